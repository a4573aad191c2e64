# SPDX-License-Identifier: GPL-2.0-only
"""Values checked for their shape: for labs/definition.py and labs/trials.py, until they have types."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ccslab.errors import UserError, unknown

ANY = "*"
"""In a shape, any key."""
NUMBER = float
"""In a shape, a finite number, whole or not; ``int`` is a whole one from 0."""


class Nothing:
    """In a shape, null, or the shape that follows: ``(Nothing, str)``."""


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
