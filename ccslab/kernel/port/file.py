# SPDX-License-Identifier: GPL-2.0-only
"""One file of one patch: what the old tree had, what the patch makes of it, and what the new tree has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ccslab.kernel.port import tools
from ccslab.kernel.port.chunk import Chunk, chunks_of
from ccslab.kernel.port.hints import hints
from ccslab.kernel.port.mail import Section
from ccslab.kernel.port.sides import File, Sides

TEXT_CHANGED = "the text around it changed"
BINARY_BYTES = 8000  # git's rule: a NUL in them makes a file binary (xdiff-interface.c, buffer_is_binary)


class Outcome(StrEnum):
    """How a patch fared; the later, the more there is to look at."""

    UPSTREAM = "upstream"
    CLEAN = "clean"
    OFFSET = "offset"
    MERGED = "merged"
    MENDED = "mended"
    CONFLICT = "conflict"


ORDER = list(Outcome)


@dataclass(frozen=True)
class Clash:
    """What a person has to decide."""

    marked: bytes | None
    """The merge with diff3's markers; None where there is no text to mark."""
    chunks: tuple[Chunk, ...]
    key: str
    """Of the three sides: a mended file is the answer to this question only."""


@dataclass(frozen=True)
class Verdict:
    """What became of the file."""

    outcome: Outcome
    result: File | None
    """The new tree's file afterwards; of a conflict, the best there is without a decision."""
    detail: str = ""
    clash: Clash | None = None
    dropped: str = ""
    """Why a person left out what the patch does there; "" if all of it was taken."""
    offsets: tuple[int, ...] | None = None
    """How far from its line each of the patch's hunks applies; None if they do not give the result."""


@dataclass(frozen=True)
class Labels:
    """What the sides are called in conflict markers."""

    ours: str
    base: str
    theirs: str


def port(sides: Sides, sections: Sequence[Section], labels: Labels, scratch: Path) -> Verdict:
    """Try one file's part of a patch.

    :param sections: the patch's hunks for this file.
    :param scratch: an empty folder for the programs' files.
    """
    base, theirs, ours = sides.base, sides.theirs, sides.ours
    if ours == theirs:
        return Verdict(Outcome.UPSTREAM, ours, "the new tree has it")
    if any(map(_binary, (base, theirs, ours))):
        if ours == base:
            return Verdict(Outcome.CLEAN, theirs)
        why = "a binary file that differs in the new tree"
        return Verdict(Outcome.CONFLICT, ours, why, Clash(None, (), sides.key))
    if base and theirs and ours:
        merged = tools.merge(
            ours.content, base.content, theirs.content, labels=_names(labels), scratch=scratch
        )
        verdict = _text(sides, merged, sections, scratch)
        told = hints(sections, base.content, ours.content) if verdict.outcome is not Outcome.UPSTREAM else []
        return replace(verdict, detail="; ".join(filter(None, (verdict.detail, *told))))
    if ours == base:
        return Verdict(Outcome.CLEAN, theirs)
    return _came_or_went(sides, labels, scratch)


def _text(sides: Sides, merged: tools.Merge, sections: Sequence[Section], scratch: Path) -> Verdict:
    base, theirs, ours = sides.base, sides.theirs, sides.ours
    assert base
    assert theirs
    assert ours
    executable = theirs.executable if theirs.executable != base.executable else ours.executable
    settled = None if merged.conflicts else File(merged.content, executable)
    if settled == ours:
        return Verdict(Outcome.UPSTREAM, ours, "the new tree has it")
    if applied := tools.apply_hunks(ours.content, sections, scratch):
        content, offsets = File(applied[0], executable), applied[1]
        how = _how_far(offsets)
        if settled is None:
            how = f"{how or 'at its line'}; the three-way merge could not confirm the place: look at it"
        elif settled != content:
            # patch takes the nearest place that looks alike; the merge knows the whole file.
            how = f"patch would put it elsewhere ({how or 'at its line'}), the merge is taken: look at it"
            return Verdict(Outcome.MERGED, settled, how)
        outcome = Outcome.OFFSET if any(offsets) else Outcome.CLEAN
        return Verdict(outcome, content, how, offsets=tuple(offsets) if len(sections) == 1 else None)
    if settled is not None:
        # Only a mode changed, or several sections of a patch build on each other.
        same = ours.content in {base.content, settled.content}
        return Verdict(*((Outcome.CLEAN, settled) if same else (Outcome.MERGED, settled, TEXT_CHANGED)))
    if all(section.telling for section in sections) and tools.apply_hunks(
        ours.content, sections, scratch, reverse=True
    ):
        return Verdict(Outcome.UPSTREAM, ours, "the new tree has it: it can be taken out of it")
    chunks = tuple(chunks_of(merged.marked, ours.content, theirs.content))
    why = _line_ends(base.content, ours.content) or f"{_count(len(chunks), 'place')} changed on both sides"
    clash = Clash(merged.marked, chunks, sides.key)
    return Verdict(Outcome.CONFLICT, File(merged.content, executable), why, clash)


def _came_or_went(sides: Sides, labels: Labels, scratch: Path) -> Verdict:
    """The file is not on all three sides, and the new tree's differs from both others."""
    base, theirs, ours = sides.base, sides.theirs, sides.ours
    if base is None:
        why = "the patch adds it, and the new tree has another one of that name"
    elif theirs is None:
        why = "the patch deletes it, and it differs in the new tree"
    else:
        why = "the new tree has no such file"
    ours_text, base_text, theirs_text = (side.content if side else b"" for side in (ours, base, theirs))
    merged = tools.merge(ours_text, base_text, theirs_text, labels=_names(labels), scratch=scratch)
    marked = merged.marked
    if not merged.conflicts:  # nothing in the text says that there is a question
        marked = tools.mark(ours_text, base_text, theirs_text, labels=_names(labels))
    chunks = chunks_of(marked, ours_text, theirs_text)
    return Verdict(Outcome.CONFLICT, ours, why, Clash(marked, tuple(chunks), sides.key))


def _names(labels: Labels) -> tuple[str, str, str]:
    return labels.ours, labels.base, labels.theirs


def _binary(side: File | None) -> bool:
    return side is not None and b"\0" in side.content[:BINARY_BYTES]


def _how_far(offsets: Sequence[int]) -> str:
    """``+4 to +12 lines``, ``2 of 3 hunks -1 line``."""
    moved = sorted({offset for offset in offsets if offset})
    if not moved:
        return ""
    span = f"{moved[0]:+d}" if len(moved) == 1 else f"{moved[0]:+d} to {moved[-1]:+d}"
    unit = "line" if moved in ([1], [-1]) else "lines"
    some = sum(map(bool, offsets))
    part = "" if some == len(offsets) else f"{some} of {_count(len(offsets), 'hunk')} "
    return f"{part}{span} {unit}"


def _line_ends(base: bytes, ours: bytes) -> str:
    was, now = (b"\r\n" in side for side in (base, ours))
    names = {False: "LF", True: "CR LF"}
    return f"line ends changed from {names[was]} to {names[now]}" if was != now else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
