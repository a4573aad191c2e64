# SPDX-License-Identifier: GPL-2.0-only
"""Data files of TOML and JSON: read, or refused with the file's name, and checked for their shape."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ccslab.errors import UserError, unknown

ANY = "*"
"""In a shape, any key."""
NUMBER = float
"""In a shape, a finite number, whole or not; ``int`` is a whole one from 0."""


class Nothing:
    """In a shape, null, or the shape that follows: ``(Nothing, str)``."""


def parse_toml(text: str, where: object, mend: str = "correct the file") -> dict[str, Any]:
    """The tables of a TOML text.

    :raises UserError: it is malformed.
    """
    return _guarded(tomllib.loads, text, where, mend)  # type: ignore[no-any-return]


def read_toml(path: Path, mend: str = "correct the file") -> dict[str, Any]:
    """The tables of a TOML file.

    :raises UserError: it is missing, unreadable or malformed.
    """
    return parse_toml(read_text_of(path, mend), path, mend)


def read_json(path: Path, shape: Any = dict, mend: str = "correct the file") -> Any:
    """What a JSON file holds, of that shape.

    :raises UserError: it is missing, unreadable, malformed or of another shape.
    """
    found = _guarded(json.loads, read_text_of(path, mend), path, mend)
    check(found, shape, path, mend)
    return found


def read_text_of(path: Path, mend: str) -> str:
    """The text of a file, UTF-8.

    :raises UserError: it is missing, unreadable or no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(_reason(error), where=path, mend=mend) from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, UnicodeDecodeError):
        return f"is malformed: byte {error.start} is not of UTF-8"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _guarded(parser: Callable[[str], Any], text: str, where: object, mend: str) -> Any:
    try:
        return parser(text)
    except RecursionError as error:
        raise UserError("is malformed: nested too deeply", where=where, mend=mend) from error
    except (
        ValueError,
        OverflowError,
    ) as error:  # the parsers' own are ValueErrors, and so are numbers of 5,000 digits
        raise UserError(f"is malformed: {error}", where=where, mend=mend) from error


def check(value: Any, shape: Any, where: object, mend: str = "correct the file") -> None:
    """Compare a value with its shape.

    A shape is a type (``str`` is a text that is not blank, ``int`` a number from 0, :data:`NUMBER` any finite
    one), a list of one shape, a frozenset of words, a tuple of shapes of which one must fit, or a table:
    key -> shape, where ``key?`` may be missing and :data:`ANY` is every other key. What no key names is
    refused.

    :raises UserError: it is of another shape; names the place in it.
    """
    if fault := _fault(value, shape, ""):
        raise UserError(fault, where=where, mend=mend)


def _fault(value: Any, shape: Any, place: str) -> str:
    if isinstance(shape, dict):
        return _table_fault(value, shape, place)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _wrong(place, "a list", value)
        found = (_fault(one, shape[0], f"{place}[{number}]") for number, one in enumerate(value, start=1))
        return next(filter(None, found), "")
    if isinstance(shape, tuple):
        faults = [_fault(value, one, place) for one in shape]
        return "" if "" in faults else faults[-1]
    if isinstance(shape, frozenset):
        known = isinstance(value, str) and value in shape
        return "" if known else _wrong(place, f"one of {', '.join(sorted(shape))}", value)
    good, kind = _KINDS[shape]
    return "" if good(value) else _wrong(place, kind, value)


def _table_fault(value: Any, shape: dict[str, Any], place: str) -> str:
    if not isinstance(value, dict):
        return _wrong(place, "a table", value)
    shapes = {key.removesuffix("?"): one for key, one in shape.items()}
    for key in shape:
        if key != ANY and not key.endswith("?") and key not in value:
            return f"{place or 'it'} lacks the key {key!r}"
    for key, one in value.items():
        if key not in shapes and ANY not in shapes:
            near = unknown("key", key, shapes)
            return f"{place + ': ' if place else ''}{near.what} ({near.mend})"
        if fault := _fault(one, shapes.get(key, shapes.get(ANY)), f"{place}.{key}" if place else key):
            return fault
    return ""


def _wrong(place: str, kind: str, value: Any) -> str:
    return f"{place or 'it'} must be {kind}, not {value!r:.60}"


def _is_number(value: Any) -> bool:
    # A bool is an int to Python, and nowhere else; and an int may be too big for a float.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 if isinstance(value, int) else math.isfinite(value)


_KINDS: dict[Any, tuple[Callable[[Any], bool], str]] = {
    str: (lambda value: isinstance(value, str) and bool(value.strip()), "a text that is not blank"),
    int: (lambda value: _is_number(value) and isinstance(value, int) and value >= 0, "a whole number from 0"),
    NUMBER: (_is_number, "a number"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    dict: (lambda value: isinstance(value, dict), "a table"),
    list: (lambda value: isinstance(value, list), "a list"),
    object: (lambda value: True, "anything"),
    Nothing: (lambda value: value is None, "nothing"),
}
