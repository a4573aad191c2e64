# SPDX-License-Identifier: GPL-2.0-only
"""Programs that end with the harness, however that ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ccslab.errors import InfrastructureError
from ccslab.process import die_with_parent

# The kernel kills a child with PR_SET_PDEATHSIG when the *thread* that forked it ends.  So all are forked by
# this one thread, which ends only with the process.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="spawner")


def spawn(
    argv: Sequence[str], *, enter: Callable[[], None] = lambda: None, **popen: Any
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; the kernel kills it when this process ends.

    :param enter: called in the new process before the program is executed.
    :param popen: as of ``subprocess.Popen``.
    :raises InfrastructureError: it cannot be started.
    """
    parent = os.getpid()

    def before_exec() -> None:
        die_with_parent()
        if os.getppid() != parent:  # it died between fork and prctl, and no signal will come
            os._exit(1)
        enter()

    def start() -> subprocess.Popen[bytes]:
        # What runs between fork and exec takes no lock that another thread may hold.
        options = {"start_new_session": True, "preexec_fn": before_exec, **popen}
        return subprocess.Popen(argv, **options)

    try:
        return _spawner.submit(start).result()
    except (OSError, subprocess.SubprocessError) as error:
        raise InfrastructureError(f"cannot be started: {error}", where=argv[0]) from error
