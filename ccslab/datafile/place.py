# SPDX-License-Identifier: GPL-2.0-only
"""A place in a data file: keys and numbers from its top, how a person is told it, and its line in TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""Keys of tables, and numbers (from 0) of a list's items."""

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEYS})\s*\]")
_ENTRY = re.compile(rf"\s*({_KEYS})\s*=")


def shown(place: Place) -> str:
    """``attack 2: steps 1: status`` for ``("attack", 1, "steps", 0, "status")``; "" for a file's top."""
    words: list[str] = []
    for part in place:
        if isinstance(part, int) and words:
            words[-1] += f" {part + 1}"
        else:
            words.append(f"item {part + 1}" if isinstance(part, int) else part)
    return ": ".join(words)


def line_of(text: str, place: Place) -> int:
    """The line (from 1) of a TOML text that sets a place, or the nearest table around it; 0 if none does."""
    best, length = 0, 0
    for number, here in _set(text):
        if len(here) > length and place[: len(here)] == here:
            best, length = number, len(here)
    return best


def _set(text: str) -> Iterator[tuple[int, Place]]:
    """Each line that begins a table or sets a key, and the place it does so."""
    table: Place = ()
    items: dict[Place, int] = {}
    inside = False  # a text of several lines, which may look like anything
    for number, line in enumerate(text.splitlines(), start=1):
        if not inside:
            if header := _HEADER.match(line):
                table = _below(_parts(header[2]), items, new=header[1] == "[[")
                yield number, table
            elif entry := _ENTRY.match(line):
                yield number, (*table, *_parts(entry[1]))
        inside ^= (line.count('"""') + line.count("'''")) % 2 == 1


def _parts(keys: str) -> list[str]:
    try:
        return [next(iter(tomllib.loads(f"{key} = 0"))) for key in re.findall(_KEY, keys)]
    except tomllib.TOMLDecodeError:  # it only looked like a key
        return [keys]


def _below(keys: list[str], items: dict[Place, int], *, new: bool) -> Place:
    """The place of a table by its header; of an array of tables on the way it is the last item."""
    place: Place = ()
    for at, key in enumerate(keys, start=1):
        place = (*place, key)
        if new and at == len(keys):
            items[place] = items.get(place, -1) + 1
        if place in items:
            place = (*place, items[place])
    return place
