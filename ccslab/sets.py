# SPDX-License-Identifier: GPL-2.0-only
"""What only some tasks need of the host: sets of packages beside the core, installed by ``inv`` at first use.

A set is ``ci/packages/SET.txt`` and ``requirements/SET.txt``. Whoever needs one calls :func:`need` before its
long work and before it imports what the set brings.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.process import run
from ccslab.settings import ROOT

TIMEOUT_S = 3600.0


def need(name: str) -> None:
    """Install a set if it is not; ``inv`` says so in a line.

    :raises InfrastructureError: it cannot be installed.
    """
    if not Path(sys.prefix, ".core.requirements").exists():
        return  # a Python that inv did not prepare is its owner's to fill
    if all(_current(name, part) for part in ("ci/packages", "requirements")):
        return
    status, _ = run(
        [ROOT / "inv", "--prepare", name],
        timeout_s=TIMEOUT_S,
        on_line=lambda line: print(line, file=sys.stderr, flush=True),
        check=False,
    )
    if status != 0:
        raise InfrastructureError(
            f"what {name} needs could not be installed", mend="mend what the lines above name, then try again"
        )
    importlib.invalidate_caches()


def _current(name: str, part: str) -> bool:
    """Whether a list of the set is the one that was installed."""
    wanted = ROOT / part / f"{name}.txt"
    stamp = Path(sys.prefix, f".{name}.{Path(part).name}")
    return not wanted.exists() or (stamp.exists() and stamp.read_bytes() == wanted.read_bytes())
