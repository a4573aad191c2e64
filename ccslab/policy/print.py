# SPDX-License-Identifier: GPL-2.0-only
"""Policy out of print: the backslash as yen or percent sign or lost, lines wrapped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PERCENT = re.compile(r"%(?=[*@?$+{}\-])")
_BARE = re.compile(r"(?<!\\)\*")


@dataclass(frozen=True)
class Line:
    """A line as it was before it was printed, with the number of its first line in print."""

    number: int
    text: str


def backslashes(text: str) -> str:
    """Yen signs, and percent signs before a pattern character, are backslashes again."""
    return _PERCENT.sub(r"\\", text.replace("\u00a5", "\\").replace("\uffe5", "\\"))


def unwrapped(text: str, warnings: list[str]) -> Iterator[Line]:
    """The lines of a listing: fences and page breaks gone, wrapped domain names joined, patterns restored."""
    pending: Line | None = None
    for number, raw in enumerate(text.split("\n"), 1):
        line = " ".join(backslashes(raw).split())
        if line.startswith("```"):
            continue
        if pending and pending.text.startswith("<") and line.startswith("/"):
            pending = Line(pending.number, f"{pending.text} {line}")
            warnings.append(
                f"line {number}: taken as the continuation of the domain name in line {pending.number}"
            )
            continue
        if pending:
            yield pending
            pending = None
        if not line or line.startswith("#"):
            continue
        if _BARE.search(line) and "COMMENT" not in line:
            line = _BARE.sub(r"\\*", line)
            warnings.append(f"line {number}: '*' taken as a pattern that lost its backslash in print: {line}")
        pending = Line(number, line)
    if pending:
        yield pending


def spellings(words: Iterator[str], warnings: list[str]) -> None:
    """Warn of directories that occur in two spellings which differ only in a slash."""
    seen: dict[str, set[str]] = {}
    for word in words:
        parts = word.split("/")
        for depth in range(2, len(parts)):
            folder = "/".join(parts[:depth])
            seen.setdefault(folder.replace("/", ""), set()).add(folder)
    for variants in seen.values():
        if len(variants) > 1:
            first, *rest = sorted(variants)
            warnings.append(f"one directory in two spellings? {first} and {' and '.join(rest)} are both kept")
