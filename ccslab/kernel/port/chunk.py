# SPDX-License-Identifier: GPL-2.0-only
"""The places where both sides changed, as git merge-file marks them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ccslab.kernel.port.mail import CONTEXT, decode, lines_of

_MARKER = re.compile(r"(?P<kind><{7}|\|{7}|={7}|>{7})(?: .*)?\r?\n?")
_FUNCTION = re.compile(r"[A-Za-z_$]")  # what diff -p takes for the beginning of a function
_NEXT = {"": "<", "<": "|", "|": "=", "=": ">"}  # which marker ends which part
_LABEL = re.compile(r"\w+:\s*$")


@dataclass(frozen=True)
class Side:
    """One side of a place."""

    lines: tuple[str, ...]
    line: int
    """Where they begin in that side's file, from 1."""
    function: str
    """The line that begins the function they are in; "" above the first."""


@dataclass(frozen=True)
class Chunk:
    """One place that both sides changed."""

    ours: Side
    base: tuple[str, ...]
    theirs: Side
    before: tuple[str, ...]
    """Up to three lines that both sides have above it."""
    after: tuple[str, ...]
    marked_line: int
    """Where it begins in the marked file, from 1."""


@dataclass
class _Open:
    """A place that is being read."""

    marked_line: int
    above: tuple[list[str], list[str]]
    parts: dict[str, list[str]] = field(default_factory=lambda: {"<": [], "|": [], "=": []})
    after: list[str] = field(default_factory=list)


def leftover_markers(content: bytes, *originals: bytes) -> list[int]:
    """The lines (from 1) that are conflict markers, and that none of the originals had itself."""
    own = {line.rstrip("\r\n") for original in originals for line in lines_of(decode(original))}
    return [
        number
        for number, line in enumerate(lines_of(decode(content)), start=1)
        if _MARKER.fullmatch(line) and line.rstrip("\r\n") not in own
    ]


def chunks_of(marked: bytes, ours: bytes, theirs: bytes) -> list[Chunk]:
    """The places between a merge's markers.

    :param ours: the whole file of the new tree, for the line numbers.
    :param theirs: the same of the patched old tree.
    """
    ours_lines, theirs_lines = (lines_of(decode(side)) for side in (ours, theirs))
    return [_chunk(one, ours_lines, theirs_lines) for one in _opened(marked)]


def _opened(marked: bytes) -> list[_Open]:
    found: list[_Open] = []
    views: tuple[list[str], list[str]] = ([], [])  # the file as each side would have it, so far
    part = ""
    for number, line in enumerate(lines_of(decode(marked)), start=1):
        match = _MARKER.fullmatch(line)
        kind = match["kind"][0] if match else ""
        if kind == _NEXT[part]:
            part = kind.strip(">")
            if kind == "<":
                found.append(_Open(number, (list(views[0]), list(views[1]))))
        elif part:
            found[-1].parts[part].append(line)
            if part != "|":
                views[part == "="].append(line)
        else:
            for view in views:
                view.append(line)
            if found and len(found[-1].after) < CONTEXT:
                found[-1].after.append(line)
    return found


def _chunk(one: _Open, ours: list[str], theirs: list[str]) -> Chunk:
    return Chunk(
        ours=_side(one.parts["<"], one.above[0], one.after, ours),
        base=tuple(one.parts["|"]),
        theirs=_side(one.parts["="], one.above[1], one.after, theirs),
        before=tuple(one.above[0][-CONTEXT:]),
        after=tuple(one.after),
        marked_line=one.marked_line,
    )


def _side(lines: list[str], above: list[str], after: list[str], whole: list[str]) -> Side:
    wanted = [*above[-1:], *lines, *after[:1]]
    start = _nearest(wanted, whole, len(above) - len(above[-1:])) + len(above[-1:])
    function = next((line.strip() for line in reversed(whole[:start]) if _opens(line)), "")
    return Side(tuple(lines), start + 1, function)


def _nearest(wanted: list[str], whole: list[str], guess: int) -> int:
    """Where ``wanted`` stands in ``whole``, next to ``guess``: what else was merged above moves lines."""
    found = [at for at in range(len(whole) - len(wanted) + 1) if whole[at : at + len(wanted)] == wanted]
    return min(found, key=lambda at: abs(at - guess), default=min(guess, len(whole)))


def _opens(line: str) -> bool:
    return bool(_FUNCTION.match(line)) and not _LABEL.match(line)
