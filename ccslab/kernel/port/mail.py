# SPDX-License-Identifier: GPL-2.0-only
"""A patch as git-format-patch and quilt write it: its message, the hunks of each file, and its end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ccslab.kernel.series import GIT_HEADER, unquoted

CONTEXT = 3  # lines around a change, diff's default
TELLING = 4  # lines of a hunk that are not blank
HASH_DIGITS = 12  # what the kernel's documentation asks for (submitting-patches.rst)
_INDEX = re.compile(r"^index ([0-9a-f]{7,40})\.\.", re.MULTILINE)
_HUNK = re.compile(r"@@ -(?P<at>\d+)(?:,(?P<old>\d+))? \+\d+(?:,(?P<new>\d+))? @@(?P<function>.*)")
_STAT = re.compile(
    r" (?:\S.* \| +(?:\d+ ?[+-]*$|Bin)|\d+ files? changed|(?:create|delete) mode |mode change |rename )"
)
_QUILT = re.compile(r"Index: |={67}$")
_END = "-- \n"


@dataclass(frozen=True)
class Section:
    """What a patch says of one file."""

    names: frozenset[str]
    """The file's name before and after, without ``a/`` and ``b/``."""
    hunks: tuple[str, ...]

    @property
    def context(self) -> int:
        """The unchanged lines around a change: fewer than three where its author left some out."""
        return max((_context(hunk) for hunk in self.hunks), default=CONTEXT)

    @property
    def telling(self) -> bool:
        """Whether a file that looks like the patched one must be it: not so after a few braces and blanks."""
        return all(_told(hunk) >= TELLING for hunk in self.hunks)

    def added(self) -> Iterator[str]:
        """Each run of added lines that is long enough to be known again."""
        for hunk in self.hunks:
            body = "".join(line if line.startswith("+") else "\n" for line in lines_of(hunk)[1:])
            for run in re.findall(r"(?:^\+.*\n)+", body, re.MULTILINE):
                if _told(f"@@\n{run}") >= TELLING:
                    yield "".join(line[1:] for line in lines_of(run))

    def text(self, name: str) -> str:
        """A plain patch of these hunks, for a file of any name."""
        return f"--- a/{name}\n+++ b/{name}\n{''.join(self.hunks)}"

    def moved(self, offsets: Sequence[int]) -> str:
        """The author's own hunks, each at the line where it applies.

        :param offsets: how many lines that is off what the hunk says.
        """
        grown = 0
        text = ""
        for hunk, offset in zip(self.hunks, offsets, strict=True):
            match = _HUNK.match(hunk)
            assert match
            old, new = _counts(match)
            at = int(match["at"]) + offset
            # A side without lines is named by the line before it.
            there = at + grown + (old == 0) - (new == 0)
            grown += new - old
            spans = (
                f"{line}" if count == 1 else f"{line},{count}" for line, count in ((at, old), (there, new))
            )
            text += f"@@ -{next(spans)} +{next(spans)} @@{match['function']}{hunk[match.end() :]}"
        return text


@dataclass(frozen=True)
class Mail:
    """A whole patch. Its text is UTF-8; bytes that are not are kept as surrogates."""

    head: str
    """All that is before the first file: author, subject, message, notes, but no statistics."""
    sections: tuple[Section, ...]
    renames: tuple[tuple[str, str], ...]
    tail: str
    """The signature after the last hunk, if there is one."""
    statistics: bool
    """Whether the head had a diffstat."""
    digits: int = HASH_DIGITS
    """How much of a file's hash its ``index`` lines give."""

    def of(self, *names: str) -> list[Section]:
        """The sections about a file of one of these names."""
        return [section for section in self.sections if section.names & set(names)]

    def text(self, statistics: str, diff: str) -> str:
        """The same message with other hunks."""
        stat = f"{statistics}\n" if self.statistics else ""
        return f"{self.head}{stat}{diff}{self.tail}"


def lines_of(text: str) -> list[str]:
    """A text's lines with their ends; only a newline ends one (a form feed is ordinary in C)."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def decode(content: bytes) -> str:
    """Text that :func:`encode` turns into the same bytes again."""
    return content.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that :func:`decode` was given."""
    return text.encode("utf-8", "surrogateescape")


def read(path: Path) -> Mail:
    """Read a patch file; whether its paths stay in the tree is ``load_series``'s to say."""
    return parse(decode(path.read_bytes()))


def parse(text: str) -> Mail:
    """Split a patch into message, files and signature."""
    head: list[str] = []
    sections: list[_Open] = []
    moves: list[str] = []
    tail: list[str] = []
    old = new = 0  # lines the hunk still has
    lines = lines_of(text)
    for line, following in pairwise([*lines, ""]):
        if old > 0 or new > 0:
            sections[-1].hunks[-1] += line
            old -= not line.startswith(("+", "\\"))
            new -= not line.startswith(("-", "\\"))
        elif tail:
            tail.append(line)
        elif match := GIT_HEADER.match(line.rstrip("\r\n")):
            sections.append(_Open({unquoted(name).partition("/")[2] for name in match.groups()}))
        elif line.startswith("--- ") and following.startswith("+++ "):
            if not sections or sections[-1].hunks or sections[-1].headed:
                sections.append(_Open(set()))
            sections[-1].headed = True
            sections[-1].names |= {name for name in map(_name, (line, following)) if name}
        elif not sections:
            head.append(line)
        elif match := _HUNK.match(line):
            old, new = _counts(match)
            sections[-1].hunks.append(line)
        elif line.startswith("\\") and sections[-1].hunks:
            sections[-1].hunks[-1] += line
        elif line.startswith(("rename from ", "rename to ")):
            moves.append(unquoted(line.split(" ", 2)[2].rstrip("\n")))
        elif line == _END:
            tail.append(line)
    message, statistics = _without_statistics(head)
    return Mail(
        head=message,
        sections=tuple(Section(frozenset(one.names), tuple(one.hunks)) for one in sections),
        renames=tuple(zip(moves[::2], moves[1::2], strict=False)),
        tail="".join(tail),
        statistics=statistics,
        digits=max((len(found) for found in _INDEX.findall(text)), default=HASH_DIGITS),
    )


class _Open:
    """A section that is being read."""

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.headed = False
        self.hunks: list[str] = []


def _counts(hunk: re.Match[str]) -> tuple[int, int]:
    """How many lines a hunk has of the old and of the new file."""
    old, new = (1 if count is None else int(count) for count in hunk.group("old", "new"))
    return old, new


def _name(header: str) -> str:
    path = unquoted(header[4:].partition("\t")[0])
    return "" if path == "/dev/null" else path.partition("/")[2]


def _context(hunk: str) -> int:
    body = [line[:1] for line in lines_of(hunk)[1:] if not line.startswith("\\")]
    changed = [number for number, kind in enumerate(body) if kind in {"+", "-"}]
    return max(changed[0], len(body) - 1 - changed[-1]) if changed else CONTEXT


def _told(hunk: str) -> int:
    """How many lines with something in them a hunk leaves."""
    return sum(line[:1] in {" ", "+"} and bool(line[1:].strip()) for line in lines_of(hunk)[1:])


def _without_statistics(head: list[str]) -> tuple[str, bool]:
    """The head without what has to be counted anew, and whether there was such a thing."""
    cut = len(head) - 1 - head[::-1].index("---\n") if "---\n" in head else len(head)
    notes = [line for line in head[cut:] if not _STAT.match(line)]
    found = len(notes) < len(head) - cut
    while found and notes and not notes[-1].strip():
        notes.pop()
    kept = [line for line in (*head[:cut], *notes) if not _QUILT.match(line)]
    return "".join(kept), found
