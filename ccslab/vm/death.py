# SPDX-License-Identifier: GPL-2.0-only
"""What tells, in the middle of any wait, that a guest is lost: console lines, QMP events, QEMU's exit."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.vm.kernelline import STAMP
from ccslab.vm.splat import Splats

DEATHS = Path(__file__).with_name("deaths.txt")
LAST_LINES = 60
SHOWN_LINES = 6
SETTLE_S = 0.3  # a dying kernel is listened to until it has been quiet for so long ...
SETTLE_AT_MOST_S = 2.0  # ... but no longer than this
EXIT_NOTICE_S = 3.0  # from the end of a connection to the news of QEMU's exit


class GuestDied(InfrastructureError):
    """The guest is lost: panic, oops, early exit of QEMU, silence.

    ``reason`` says how, ``last`` are the last lines of its console; ``kernel`` whether it was its kernel that
    died, and not QEMU, the host, or a guest that ended by itself.
    """

    def __init__(
        self, reason: str, *, where: object = "", last: list[str] | None = None, kernel: bool = False
    ) -> None:
        self.reason = reason
        self.kernel = kernel
        self.last = last or []
        shown = " | ".join([line for line in self.last if line.strip()][-SHOWN_LINES:]) or "(nothing)"
        super().__init__(reason, where=where, mend=f"the console ended with: {shown}")


@cache
def death_pattern() -> re.Pattern[str]:
    """The death strings of deaths.txt as one expression."""
    lines = (line.strip() for line in DEATHS.read_text().splitlines())
    words = "|".join(line for line in lines if line and not line.startswith("#"))
    return re.compile(rf"(?:^|{STAMP})(?:{words}).*")


class Watch:
    """The one place where a guest is declared dead; waits ask ``check``, others are called back.

    Thread-safe: the console's reader, QMP's loop and the thread that waits for QEMU's exit all report here.

    :param patience: how many times longer than usual the guest may take for anything. Whoever waits for
        the guest stretches its deadline by this, and by nothing else.
    """

    def __init__(self, where: object = "", *, patience: float = 1.0) -> None:
        self.where = where
        self.patience = patience
        self.splats = Splats()
        """What the kernel reports of its own mistakes: not a death, but not in order."""
        self.changed = threading.Condition()
        self.expected = False
        """Whether the guest is meant to end; an exit is no death then."""
        self.reason = ""
        self.kernel = False
        """Whether it was the guest's kernel that died."""
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self.on_death: list[Callable[[], None]] = []
        self.pulse: Callable[[], str] = lambda: ""
        """Asks QEMU for a sign of life; says what is wrong, "" if nothing is."""
        self._declared = 0.0
        self._heard = 0.0

    def line(self, text: str) -> None:
        """A whole line came from the console."""
        self.last.append(text)
        self._heard = time.monotonic()
        self.splats.line(text)
        if found := death_pattern().search(text):
            last = re.sub("^" + STAMP, "", found.group()).strip()
            self.declare(f"the guest's kernel died: {last}", kernel=True)

    def declare(self, reason: str, *, grace_s: float = 0.0, kernel: bool = False) -> None:
        """The guest is lost; the first reason stands.

        :param grace_s: seconds in which somebody who knows more may give a better one.
        :param kernel: whether its kernel died.
        """
        with self.changed:
            self.changed.wait_for(lambda: bool(self.reason), grace_s)
            if self.reason or self.expected:
                return
            self.reason, self.kernel = reason, kernel
            self._declared = self._heard = time.monotonic()
            self.changed.notify_all()
        for callback in self.on_death:
            callback()

    @property
    def settled(self) -> bool:
        """Whether the dying kernel has had its last words."""
        now = time.monotonic()
        return bool(self.reason) and (now - self._heard > SETTLE_S or now - self._declared > SETTLE_AT_MOST_S)

    def check(self) -> None:
        """:raises GuestDied: the guest is lost."""
        if self.reason:
            raise self.error()

    def blame(self) -> None:
        """A wait for the guest was in vain: find out whether the guest, or its QEMU, is the reason.

        QEMU's exit is noticed by another thread, perhaps a moment after the end of a connection to it; a
        QEMU that stands still is noticed by nobody who does not ask.

        :raises GuestDied: it is.
        """
        if not self.reason and not self.expected and (trouble := self.pulse()):
            self.declare(trouble, grace_s=EXIT_NOTICE_S)
        self.check()

    def error(self, reason: str = "") -> GuestDied:
        """The exception for what happened, with the last console lines."""
        return GuestDied(
            reason or self.reason, where=self.where, last=list(self.last), kernel=self.kernel and not reason
        )
