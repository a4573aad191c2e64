# SPDX-License-Identifier: GPL-2.0-only
"""Where a run's time goes: wall seconds by what was waited for."""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


class What(enum.StrEnum):
    """What a run waits for."""

    HTTP = "http"
    """The server's answers."""
    SSH = "ssh"
    """Commands of the harness over SSH."""
    CONSOLE = "tty"
    """What is typed on the console."""
    AUDIT = "audit"
    """The auditor, until a record is in the log, and its reading."""
    RESTORE = "load"
    """Going back to a checkpoint."""
    SAVE = "save"
    """Making one."""
    TESTS = "tests"
    """The lab's assertions."""
    REST = "rest"
    """The harness itself."""


@dataclass
class Spent:
    """Wall seconds, and in how many parts."""

    seconds: float = 0.0
    times: int = 0


class Stopwatch:
    """Adds up the time between its start and ``take``, by the outermost span that was open.

    :param now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._begun = now()
        self._spent: dict[What, Spent] = {}
        self._open = False

    @contextlib.contextmanager
    def span(self, what: What) -> Iterator[None]:
        """Count the block's time as ``what``; inside of another span, it is that one's."""
        if self._open:
            yield
            return
        self._open = True
        begun = self._now()
        try:
            yield
        finally:
            self._open = False
            spent = self._spent.setdefault(what, Spent())
            spent.seconds += self._now() - begun
            spent.times += 1

    def take(self) -> dict[What, Spent]:
        """What was spent since the last call; the harness's own time makes it whole."""
        now = self._now()
        taken, self._spent = self._spent, {}
        rest = now - self._begun - sum(one.seconds for one in taken.values())
        self._begun = now
        return {**taken, What.REST: Spent(max(0.0, rest), 1)}
