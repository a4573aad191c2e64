# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmark's guest says on its console: figures, and the state that the kernel was in."""

from __future__ import annotations

import re
from pathlib import Path

from ccslab.bench.measurement import Figure, Measured
from ccslab.bench.plan import DENIES, KEPT, OPERATIONS, PROFILES, Configuration
from ccslab.errors import InfrastructureError

FIGURE = re.compile(r"op (\S+) minimum (\d+) median (\d+) mean ([\d.]+) calls (\d+)$")
FAILED = re.compile(r"op (\S+) failed (\d+)$")


def read(wanted: Configuration, text: str, where: Path) -> Measured:
    """What a console says of one configuration.

    :param where: the console's file, to be named in errors.
    :raises InfrastructureError: it was not measured, or the kernel was in another state than it should be.
    """
    lines = [line.strip() for line in text.splitlines()]
    try:
        begin = lines.index(f"configuration {wanted.name}")
    except ValueError:
        raise InfrastructureError(f"nothing was measured of {wanted.name}", where=where) from None
    rest = lines[begin + 1 :]
    mine = rest[: next((at for at, line in enumerate(rest) if line.startswith("configuration ")), len(rest))]
    if failed := next((match for line in mine if (match := FAILED.match(line))), None):
        raise InfrastructureError(
            f"{wanted.name}: {failed[1]} failed with error {failed[2]} (errno(3))", where=where
        )
    if "status 0" not in mine:
        raise InfrastructureError(f"{wanted.name}: the benchmark failed: {' '.join(mine[:3])}", where=where)
    if wanted.mode not in PROFILES:
        if any(line.startswith("rules ") for line in mine):
            raise InfrastructureError(f"{wanted.name}: the kernel has TOMOYO's interface", where=where)
    else:
        learned = 1 if wanted.mode == "learning" else 0  # what no rule allowed
        rules = [f"rules {len(wanted.before) + kept + learned}" for kept in KEPT]
        for lines in ([f"use_profile {PROFILES[wanted.mode]}"], rules):
            if not set(lines) & set(mine):
                raise InfrastructureError(f"{wanted.name}: the kernel does not say {lines[0]!r}", where=where)
    expected = f"denied {DENIES.get(wanted.mode, 'no')}"
    if expected not in mine:
        said = next((line for line in mine if line.startswith("denied ")), "nothing of it")
        raise InfrastructureError(
            f"{wanted.name}: of what no rule allows the guest says {said!r}, not {expected!r}", where=where
        )
    figures = {
        match[1]: Figure(int(match[2]), int(match[3]), float(match[4]), int(match[5]))
        for line in mine
        if (match := FIGURE.match(line))
    }
    for name in OPERATIONS:
        if name not in figures:
            raise InfrastructureError(f"{wanted.name}: nothing is said of {name}", where=where)
    return Measured(wanted, figures)
