# SPDX-License-Identifier: GPL-2.0-only
"""Where a run's time goes: wall seconds by what was waited for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from ccslab.results import Spent, What


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
