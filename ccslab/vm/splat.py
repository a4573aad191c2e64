# SPDX-License-Identifier: GPL-2.0-only
"""Splats: the reports a kernel prints of its own mistakes, found among the lines of a console.

Looked for on the console, not in ``dmesg``: a guest that goes back to a checkpoint forgets what its kernel
said since then, the console's lines have left it.
"""

from __future__ import annotations

import re
import threading
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ccslab.vm.kernelline import STAMP

KINDS = Path(__file__).with_name("splats.toml")
KERNEL_LINE = re.compile(STAMP + "(.*)")
GAP_S = 2.0  # of the guest's time between two lines of a splat, and of ours until one counts as ended
LONGEST = 500  # lines; a lockdep report has some 150
KEPT = 50  # different splats between two looks; a flood's later ones are in console.log only
UNTITLED = "trace"

_TASK = re.compile(r"CPU: \d+ (?:UID: \d+ )?PID: \d+ Comm: ")
_TRACE = re.compile(r" ?Call Trace:")
_IN_TRACE = re.compile(r"\s|(?:[RE][A-Z0-9]{1,2}|[C-G]S|CR\d|ORIG_[RE]AX|Code): ")  # frames, registers
_SCISSORS = "[ cut here ]"
# What differs between two occurrences of one mistake: numbers, but not those of source lines.
_PASSING = re.compile(r"CPU#\d+: \S+|(?<!\.[chS]:)\b\d+\b|\b[0-9a-f]{8,}\b")


@dataclass(frozen=True)
class Kind:
    """A kind of splat, from splats.toml."""

    name: str
    title: re.Pattern[str]
    ends_with_trace: bool


@dataclass(frozen=True)
class Format:
    """How splats look."""

    kinds: tuple[Kind, ...]
    frame: re.Pattern[str]
    mark: re.Pattern[str]

    def kind(self, text: str) -> Kind | None:
        """The kind of splat a line is the title of."""
        return next((kind for kind in self.kinds if kind.title.match(text)), None)


@cache
def format_of_splats() -> Format:
    """What splats.toml says."""
    data = tomllib.loads(KINDS.read_text())
    return Format(
        tuple(Kind(one["kind"], re.compile(one["title"]), one["ends"] == "trace") for one in data["splat"]),
        re.compile("|".join(data["frames"])),
        re.compile("|".join(data["marks"])),
    )


@dataclass
class Splat:
    """One report of a kernel, whole."""

    kind: str
    title: str
    lines: list[str] = field(default_factory=list)
    """What the kernel said, without time stamps."""
    at_s: float = 0.0
    """The kernel's time at its first line, in seconds since boot."""
    times: int = 1
    """How often it came."""

    @property
    def cause(self) -> str:
        """What two occurrences of one mistake have in common."""
        return f"{self.kind}: {_PASSING.sub('', self.title)}"


class Splats:
    """Collects splats out of the lines of a console as they come; thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._format = format_of_splats()
        self._done: dict[str, Splat] = {}
        self._open: Splat | None = None
        self._kind: Kind | None = None
        self._traced = False
        self._previous = ""
        self._last_s = 0.0
        self._heard = 0.0

    def line(self, text: str) -> None:
        """A line came from the console; what is not the kernel's is passed over."""
        if found := KERNEL_LINE.search(text):
            at_s = float(found[0].lstrip("[ ").partition("]")[0])
            with self._changed:
                self._heard = time.monotonic()
                self._take(at_s, found[1])
                self._changed.notify_all()

    def take(self, *, timeout_s: float = 10.0) -> list[Splat]:
        """The splats since the last call, once the kernel has ended the one it may be in the middle of."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._open:
                now = time.monotonic()
                left = min(self._heard + GAP_S, deadline) - now
                if left <= 0:
                    self._close()
                else:
                    self._changed.wait(left)
            taken, self._done = list(self._done.values()), {}
        return taken

    def end(self) -> list[Splat]:
        """The splats of a text that has come to its end."""
        with self._changed:
            self._close()
        return self.take()

    def _take(self, at_s: float, text: str) -> None:
        kind = self._format.kind(text)
        if self._open and self._is_over(at_s, text, kind):
            self._close()
        if self._open:
            self._continue(text, kind)
        else:
            self._begin(at_s, text, kind)
        self._last_s = at_s
        self._previous = text

    def _is_over(self, at_s: float, text: str, kind: Kind | None) -> bool:
        """Whether a line no longer belongs to the splat that is open."""
        assert self._open
        # A checkpoint that was loaded turns the guest's clock back.
        if not 0 <= at_s - self._last_s <= GAP_S or len(self._open.lines) >= LONGEST:
            return True
        if not self._traced:
            return False
        with_trace = self._kind is None or self._kind.ends_with_trace
        return kind is not None or (with_trace and not _IN_TRACE.match(text))

    def _begin(self, at_s: float, text: str, kind: Kind | None) -> None:
        before = self._previous
        if kind:
            self._open = Splat(kind.name, text, [text], at_s)
        elif _SCISSORS in text:
            self._open = Splat(UNTITLED, "", [text], at_s)
        elif _TASK.match(text) or _TRACE.match(text):
            self._open = Splat(UNTITLED, before.strip() or text, [before, text], at_s)
        else:
            return
        if kind and self._format.frame.match(before):
            self._open.lines.insert(0, before)
        self._kind = kind
        self._traced = bool(_TRACE.match(text))

    def _continue(self, text: str, kind: Kind | None) -> None:
        splat = self._open
        assert splat
        splat.lines.append(text)
        if self._kind is None and kind:
            # Between the scissors and this line stands what the WARN was given to say.
            self._kind, splat.kind = kind, kind.name
            splat.title = ": ".join(filter(None, [text, splat.title]))
        elif not splat.title:
            splat.title = text
        if _TRACE.match(text):
            self._traced = True
        elif self._format.mark.match(text):
            self._close()

    def _close(self) -> None:
        splat, self._open, self._kind, self._traced = self._open, None, None, False
        if splat is None:
            return
        # Scissors with nothing but empty lines behind them: their own line has to do.
        splat.title = splat.title or next(line for line in reversed(splat.lines) if line)
        if earlier := self._done.get(splat.cause):
            # The same instant again is the same splat again, shown by a dmesg on the console.
            earlier.times += splat.at_s != earlier.at_s
        elif len(self._done) < KEPT:
            self._done[splat.cause] = splat


def parse(text: Iterable[str]) -> list[Splat]:
    """The splats in the lines of a console or of ``dmesg``."""
    splats = Splats()
    for line in text:
        splats.line(line)
    return splats.end()
