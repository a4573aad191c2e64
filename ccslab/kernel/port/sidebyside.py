# SPDX-License-Identifier: GPL-2.0-only
"""Two texts beside each other in a block of fixed width: nothing is cut, long lines go on below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

from ccslab.kernel.port.chunk import Chunk, Side

WIDTH = 120  # columns
NUMBER = 5  # digits of a line number
TEXT = (WIDTH - 3) // 2 - NUMBER - 1
TAB = 4  # columns: half of the kernel's, so that more of a line fits
ROWS_MAX = 80
_MARKS = {"equal": " ", "replace": "|", "delete": "<", "insert": ">"}

_Line = tuple[str, str]
"""(line number or "", text)"""


def block(chunk: Chunk, ours: str, theirs: str) -> str:
    """A place that both sides changed: ours on the left, theirs on the right.

    Between them: ``|`` differs, ``<`` only ours, ``>`` only theirs.

    :param ours: heading of the left side.
    :param theirs: heading of the right side.
    """
    rows = [
        _row(("", ours), " ", ("", theirs)),
        _row(("", _where(chunk.ours)), " ", ("", _where(chunk.theirs))),
        f"{'-' * (WIDTH // 2 - 1)}+{'-' * (WIDTH - WIDTH // 2)}",
    ]
    body = [row for left, mark, right in _pairs(chunk) for row in _wrapped(left, mark, right)]
    rows += body[:ROWS_MAX]
    if len(body) > ROWS_MAX:
        rows.append(f"... {len(body) - ROWS_MAX} more rows: see the marked file")
    return "\n".join(row.rstrip() for row in rows) + "\n"


def _where(side: Side) -> str:
    return f"line {side.line}" + (f", in {side.function}" if side.function else "")


def _pairs(chunk: Chunk) -> Iterator[tuple[_Line, str, _Line]]:
    above = len(chunk.before)
    left, right = chunk.ours, chunk.theirs
    for number, line in enumerate(chunk.before):
        yield _line(left.line - above + number, line), " ", _line(right.line - above + number, line)
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, left.lines, right.lines, autojunk=False).get_opcodes():
        numbered = (
            [_line(side.line + at, side.lines[at]) for at in range(start, end)]
            for side, start, end in ((left, i1, i2), (right, j1, j2))
        )
        for one, other in zip_longest(*numbered, fillvalue=("", "")):
            mark = _MARKS[kind] if one[0] and other[0] else "<" if one[0] else ">"
            yield one, mark, other
    for number, line in enumerate(chunk.after):
        yield (
            _line(left.line + len(left.lines) + number, line),
            " ",
            _line(right.line + len(right.lines) + number, line),
        )


def _line(number: int, text: str) -> _Line:
    return str(number), printable(text.expandtabs(TAB).rstrip("\r\n"))


def printable(text: str) -> str:
    """A line of a source file for a report: bytes that are no text, and control characters, as ``?``."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def _wrapped(left: _Line, mark: str, right: _Line) -> Iterator[str]:
    parts = [[text[at : at + TEXT] for at in range(0, len(text), TEXT)] or [""] for _, text in (left, right)]
    for number, (one, other) in enumerate(zip_longest(*parts, fillvalue="")):
        first = number == 0
        yield _row((left[0] if first else "", one), mark, (right[0] if first else "", other))


def _row(left: Sequence[str], mark: str, right: Sequence[str]) -> str:
    (left_number, left_text), (right_number, right_text) = left, right
    sides = (
        f"{left_number:>{NUMBER}} {left_text[:TEXT]:<{TEXT}}",
        f"{right_number:>{NUMBER}} {right_text[:TEXT]}",
    )
    return f" {mark} ".join(sides)
