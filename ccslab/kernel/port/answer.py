# SPDX-License-Identifier: GPL-2.0-only
"""What a person made of a conflict, and what of the patch is not in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ccslab.kernel.port.chunk import Chunk
from ccslab.kernel.port.mail import decode, encode, lines_of
from ccslab.kernel.port.sides import File, Sides

WORD = "DROP:"
_LINE = re.compile(rf"{WORD}[ \t]*(?P<why>\S.*?)\s*")


@dataclass(frozen=True)
class Answer:
    """A mended file, read."""

    content: bytes
    """Without the lines that say why something is dropped."""
    reasons: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether it says only why nothing of the patch is taken in this file."""
        return bool(self.reasons) and not self.content.strip()


def read(answer: bytes) -> Answer:
    """Take the lines ``DROP: why`` out of a mended file."""
    kept, reasons = [], []
    for line in lines_of(decode(answer)):
        if match := _LINE.fullmatch(line.rstrip("\r\n")):
            reasons.append(match["why"])
        else:
            kept.append(line)
    return Answer(encode("".join(kept)) if reasons else answer, tuple(reasons))


def dropped(content: bytes, sides: Sides, chunks: tuple[Chunk, ...]) -> int:
    """At how many places nothing of what the patch does is left, as far as it can be seen; 1 for the file."""
    if not content.strip():
        return 0 if sides.theirs is None or not sides.theirs.content.strip() else 1
    if sides.ours is not None and content == sides.ours.content:
        return 1
    if sides.theirs is None:
        return 0
    text = decode(content)
    return sum(_untouched(chunk) in text for chunk in chunks if _telling(chunk))


def result(answer: Answer, sides: Sides, executable: bool) -> File | None:
    """The new tree's file as the person wants it; None for no such file."""
    if answer.nothing:
        return sides.ours
    if not answer.content and not (sides.ours and sides.theirs):
        return None
    return File(answer.content, executable)


def _telling(chunk: Chunk) -> bool:
    """Whether it could be told from its surroundings that the place is as in the new tree."""
    return chunk.ours.lines != chunk.theirs.lines and bool(chunk.before or chunk.after or chunk.ours.lines)


def _untouched(chunk: Chunk) -> str:
    return "".join((*chunk.before, *chunk.ours.lines, *chunk.after))
