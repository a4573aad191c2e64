# SPDX-License-Identifier: GPL-2.0-only
"""The two families of failure; a verdict is neither.

A wrong denial is a *result* and travels as data.  An exception here means that the
lab could not come to a result, and says in one line what, where and the mend.
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from typing import ClassVar

from ccslab.visible import told

EXIT_PASSED = 0
EXIT_VERDICT = 1
EXIT_USER = 2
EXIT_INFRASTRUCTURE = 3


class LabError(Exception):
    """Base of every failure that is reported without a traceback.

    :param what: what went wrong, no full stop.
    :param where: file, line, host or command it concerns; may be empty.
    :param mend: what the reader can do about it; may be empty.
    """

    exit_code: ClassVar[int] = EXIT_INFRASTRUCTURE

    def __init__(self, what: str, *, where: object = "", mend: str = "") -> None:
        self.what = what
        self.where = str(where)
        self.mend = mend
        super().__init__(str(self))

    def __str__(self) -> str:
        # What a user gave or a guest printed may be in each: spelled out, and no longer than a reader bears.
        place, what, mend = (told(part) for part in (self.where, self.what, self.mend))
        return f"{place}{': ' if place else ''}{what}{' - ' if mend else ''}{mend}".strip()


class UserError(LabError):
    """What the user gave is wrong (unknown name, malformed file, refused hunk): exit code 2."""

    exit_code = EXIT_USER


class InfrastructureError(LabError):
    """The world is wrong (mirror down, disk full, QEMU missing, guest dead): exit code 3."""

    exit_code = EXIT_INFRASTRUCTURE


class Stopped(KeyboardInterrupt):
    """A signal asks us to end, whichever: all that Ctrl-C does, it does too.

    :param number: the signal's.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports of a program that the signal ended."""
        return 128 + self.number

    @property
    def told(self) -> str:
        """Who stopped us, in a word or two."""
        return "the user" if self.number == signal.SIGINT else signal.Signals(self.number).name


def stopped(error: KeyboardInterrupt) -> Stopped:
    """What stopped us: Ctrl-C, where Python itself raised the error."""
    return error if isinstance(error, Stopped) else Stopped()


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name nobody knows, with the nearest names suggested."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    listed = ", ".join(near or names) or "none"
    return UserError(
        f"unknown {kind} {name!r}",
        mend=f"did you mean {listed}?" if near else f"there are: {listed}",
    )
