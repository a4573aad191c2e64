# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's messages on a line that programs write to as well.

The kernel prints a message whole, and between any two bytes of what a program is writing: of ``login: ``
the line may bring ``log``, a message, ``in: ``.  Whoever reads what programs say takes messages out first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

STAMP = r"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? "  # printk's time, and the caller with CONFIG_PRINTK_CALLER
BEGIN = re.compile(STAMP)
MESSAGE = re.compile(STAMP + r"[^\n]*\n")


class Spliced(NamedTuple):
    """A text without the kernel's messages."""

    text: str
    cuts: tuple[tuple[int, int], ...]
    """Where in ``text`` a message stood, and its length."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The place in the original of ``text[start:end]``, messages in between included."""
        before = sum(length for at, length in self.cuts if at <= start)
        within = sum(length for at, length in self.cuts if start < at < end)
        return start + before, end + before + within


def splice(text: str) -> Spliced:
    """A text without the messages that are whole in it."""
    parts, cuts = [], []
    begin = kept = 0
    for match in MESSAGE.finditer(text):
        parts.append(text[begin : match.start()])
        kept += len(parts[-1])
        cuts.append((kept, len(match.group())))
        begin = match.end()
    return Spliced("".join([*parts, text[begin:]]), tuple(cuts))
