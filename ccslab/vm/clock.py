# SPDX-License-Identifier: GPL-2.0-only
"""Whether a guest's clock keeps pace with the host's.

A kernel measures its clock's frequency once, while it boots, against timers that QEMU emulates.  On a very
busy host that can go wrong: a guest was seen whose seconds took 0.2 of the host's, so that every time-out in
it was five times too short.  A checkpoint would keep such a clock for ever.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from ccslab.errors import InfrastructureError
from ccslab.vm.console import Console

MEASURED_S = 3.0
TOLERANCE = 1.25


class WrongClock(InfrastructureError):
    """A guest's clock runs at another pace than the host's."""


class Reading(NamedTuple):
    """What the guest's clock showed, and between which two times of the host's; all in seconds."""

    guest: float
    before: float
    after: float


def pace(first: Reading, second: Reading) -> tuple[float, float]:
    """Guest seconds in a second of the host: the least and the most it can have been."""
    passed = second.guest - first.guest
    return passed / (second.after - first.before), passed / max(second.before - first.after, 1e-6)


def examine(console: Console) -> None:
    """Refuse a guest, at a shell's prompt, whose clock is certainly not right; takes three of its seconds.

    :raises WrongClock: it is fast or slow by more than a quarter.
    """
    with console.unrecorded():
        first = _read(console)
        console.run(f"sleep {MEASURED_S:.0f}")
        judge(pace(first, _read(console)), str(console.watch.where))


def judge(found: tuple[float, float], where: str) -> None:
    """Refuse a pace that is certainly not 1.

    :raises WrongClock: says how fast the clock is at least, or at most.
    """
    least, most = found
    if least > TOLERANCE or most < 1 / TOLERANCE:
        times = f"at least {least:.1f}" if least > 1 else f"at most {most:.1f}"
        raise WrongClock(
            f"the guest's clock runs {times} times as fast as the host's",
            where=where,
            mend="boot it again, on a less busy host",
        )


def _read(console: Console) -> Reading:
    before = time.monotonic()
    said = console.run("cat /proc/uptime", check=True).output
    return Reading(float(said.split()[0]), before, time.monotonic())
