# SPDX-License-Identifier: GPL-2.0-only
"""Waits of tests, each with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

WAIT_S = 60.0  # a busy host takes twenty seconds for what is two of work


def until(condition: Callable[[], object], what: str = "it happens", within_s: float = WAIT_S) -> None:
    """Wait until a condition holds.

    :raises AssertionError: it does not within the deadline.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {within_s:.0f} s in vain until {what}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
