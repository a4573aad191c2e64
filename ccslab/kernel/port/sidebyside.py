# SPDX-License-Identifier: GPL-2.0-only
"""Two texts beside each other in a block of fixed width: nothing is cut, long lines go on below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby, zip_longest

from ccslab.kernel.port.chunk import Chunk, Side

WIDTH = 120  # columns
NUMBER = 5  # digits of a line number
TEXT = (WIDTH - 3) // 2 - NUMBER - 1
TAB = 4  # columns: half of the kernel's, so that more of a line fits
NEAR = 4  # rows around what the patch changes that are always shown
GAP_MIN = 6  # rows that are worth leaving out
LEFT_MAX = 40  # rows of the new tree's own text in one run
_MARKS = {"equal": " ", "replace": "|", "delete": "<", "insert": ">"}

_Line = tuple[str, str]
"""(line number or "", text)"""


@dataclass(frozen=True)
class _Pair:
    """Two lines beside each other."""

    left: _Line
    mark: str
    right: _Line
    changed: bool = False
    """Whether the patch changes the right one, or deletes something next to it."""


def block(chunk: Chunk, ours: str, theirs: str) -> str:
    """A place that both sides changed: ours on the left, theirs on the right.

    Between them: ``|`` differs, ``<`` only ours, ``>`` only theirs. Long runs in which the patch changes
    nothing are left out.

    :param ours: heading of the left side.
    :param theirs: heading of the right side.
    """
    rows = [
        _row(("", ours), " ", ("", theirs)),
        _row(("", _where(chunk.ours)), " ", ("", _where(chunk.theirs))),
        f"{'-' * (WIDTH // 2 - 1)}+{'-' * (WIDTH - WIDTH // 2)}",
    ]
    pairs = list(_pairs(chunk))
    shown = _shown(pairs)
    for number, pair in enumerate(pairs):
        if shown[number]:
            rows += _wrapped(pair)
        elif number == 0 or shown[number - 1]:
            left_out = [*shown, True].index(True, number) - number
            rows.append(f"{'':>{NUMBER}} ... {left_out} lines in which the patch changes nothing ...")
    return "\n".join(row.rstrip() for row in rows) + "\n"


def _where(side: Side) -> str:
    return f"line {side.line}" + (f", in {side.function}" if side.function else "")


def _pairs(chunk: Chunk) -> Iterator[_Pair]:
    above = len(chunk.before)
    left, right = chunk.ours, chunk.theirs
    changed = _changed(chunk)
    for number, line in enumerate(chunk.before):
        yield _Pair(_line(left.line - above + number, line), " ", _line(right.line - above + number, line))
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, left.lines, right.lines, autojunk=False).get_opcodes():
        for i, j in zip_longest(range(i1, i2), range(j1, j2)):
            one, other = (
                _line(side.line + at, side.lines[at]) if at is not None else ("", "")
                for side, at in ((left, i), (right, j))
            )
            mark = "<" if j is None else ">" if i is None else _MARKS[kind]
            yield _Pair(one, mark, other, j in changed)
    for number, line in enumerate(chunk.after):
        yield _Pair(
            _line(left.line + len(left.lines) + number, line),
            " ",
            _line(right.line + len(right.lines) + number, line),
        )


def _changed(chunk: Chunk) -> set[int | None]:
    """The lines of theirs that the patch made, or next to which it deleted some."""
    found: set[int | None] = set()
    matcher = SequenceMatcher(None, chunk.base, chunk.theirs.lines, autojunk=False)
    for kind, _, _, j1, j2 in matcher.get_opcodes():
        if kind != "equal":
            found |= set(range(j1, j2)) or {j1 - 1, j1}
    return found


def _shown(pairs: Sequence[_Pair]) -> list[bool]:
    """Which rows to show: the ends, what the patch changes, the new tree's own text, and what is near."""
    telling = {number for number, pair in enumerate(pairs) if pair.changed} | {0, len(pairs) - 1}
    run = 0
    for number, pair in enumerate(pairs):
        run = run + 1 if pair.mark in {"<", "|"} else 0
        if 0 < run <= LEFT_MAX:
            telling.add(number)
    shown = [any(near in telling for near in range(at - NEAR, at + NEAR + 1)) for at in range(len(pairs))]
    start = 0
    for value, rows in groupby(list(shown)):
        end = start + len(list(rows))
        if not value and end - start < GAP_MIN:
            shown[start:end] = [True] * (end - start)
        start = end
    return shown


def _line(number: int, text: str) -> _Line:
    return str(number), printable(text.expandtabs(TAB).rstrip("\r\n"))


def printable(text: str) -> str:
    """A line of a source file for a report: bytes that are no text, and control characters, as ``?``."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def _wrapped(pair: _Pair) -> Iterator[str]:
    left, right = pair.left, pair.right
    parts = [[text[at : at + TEXT] for at in range(0, len(text), TEXT)] or [""] for _, text in (left, right)]
    for number, (one, other) in enumerate(zip_longest(*parts, fillvalue="")):
        first = number == 0
        yield _row((left[0] if first else "", one), pair.mark, (right[0] if first else "", other))


def _row(left: Sequence[str], mark: str, right: Sequence[str]) -> str:
    (left_number, left_text), (right_number, right_text) = left, right
    sides = (
        f"{left_number:>{NUMBER}} {left_text[:TEXT]:<{TEXT}}",
        f"{right_number:>{NUMBER}} {right_text[:TEXT]}",
    )
    return f" {mark} ".join(sides)
