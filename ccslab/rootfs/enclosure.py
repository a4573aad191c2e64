# SPDX-License-Identifier: GPL-2.0-only
"""Run a build step as root of a namespace of its own: mounts, processes and owners that nobody else sees.

The real root needs no user namespace; an ordinary user gets one in which the user is root and the
subordinate ids of ``/etc/subuid`` are everybody else.  The step's trees are on a tmpfs mounted inside, so the
kernel takes everything back with the last process, however that one ended.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ccslab import process
from ccslab.errors import InfrastructureError

PROBE_TIMEOUT_S = 10.0
SUBIDS_WANTED = 65535  # Debian's ids go up to nobody, 65534


def prefix(*, network: bool) -> list[str]:
    """The start of the command line that runs the rest of it inside an enclosure.

    :param network: whether the step may use the host's network.
    :raises InfrastructureError: unshare is missing, or this user has no subordinate ids.
    """
    argv = [process.need("unshare", "util-linux"), "--mount", "--pid", "--fork", "--kill-child"]
    argv += ["--uts", "--ipc", "--propagation", "private"]
    if not network:
        argv.append("--net")
    if os.geteuid() != 0:
        process.need("newuidmap", "uidmap")
        for file in (Path("/etc/subuid"), Path("/etc/subgid")):
            need_subids(file, user_name())
        argv += ["--map-root-user", "--map-auto"]
    return [*argv, "--"]


def run(
    script: Path,
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    network: bool,
    timeout_s: float,
    log: Path,
    on_line: Callable[[str], None] | None = None,
) -> tuple[int, str]:
    """Run a shell script in an enclosure; returns its exit status and the end of its output.

    :raises InfrastructureError: the enclosure cannot be made, or the step took longer than ``timeout_s``.
    """
    argv = [*prefix(network=network), "/bin/sh", script, *arguments]
    clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", **env}
    status, said = process.run(argv, timeout_s=timeout_s, env=clean, log=log, on_line=on_line, check=False)
    if status != 0 and "unshare: " in said:
        raise _refused(said)
    return status, said


def probe() -> str:
    """Whether an enclosure can be made; says as whom.

    :raises InfrastructureError: not so; says why and the mend.
    """
    status, said = process.run([*prefix(network=True), "true"], timeout_s=PROBE_TIMEOUT_S, check=False)
    if status != 0:
        raise _refused(said)
    return "root" if os.geteuid() == 0 else "user namespaces"


def _refused(said: str) -> InfrastructureError:
    lines = said.splitlines() or ["unshare said nothing"]
    why = next((line for line in lines if "unshare: " in line), lines[-1])
    if "root filesystem propagation" in why:
        mend = "/ is no mount point here: bind the chroot's folder on itself and pivot_root into it"
    else:
        mend = "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)"
    return InfrastructureError(f"cannot make a namespace: {why}", mend=mend)


def user_name() -> str:
    """The name of the effective user; the number, if it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def need_subids(file: Path, user: str) -> None:
    """Check that a user owns enough subordinate ids in ``/etc/subuid`` or ``/etc/subgid``.

    :raises InfrastructureError: not so; the mend is the command that root has to run.
    """
    lines = file.read_text().splitlines() if file.is_file() else []
    for line in lines:
        owner, _, rest = line.partition(":")
        count = rest.partition(":")[2]
        if owner == user and count.isdigit() and int(count) >= SUBIDS_WANTED:
            return
    option = "--add-subuids" if file.name == "subuid" else "--add-subgids"
    raise InfrastructureError(
        f"user {user} has no range of {SUBIDS_WANTED} subordinate ids",
        where=file,
        mend=f"have root run: usermod {option} 100000-165535 {user}",
    )
