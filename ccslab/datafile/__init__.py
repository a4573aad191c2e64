# SPDX-License-Identifier: GPL-2.0-only
"""Data files of TOML and JSON, read into types; what is wrong with one is an error of one line.

The type is a :class:`Record` (or ``dict[Text, Record]``), its fields are the types of :mod:`kinds`, lists
as ``tuple[..., ...]``, words as ``Literal``. What does not fit is a ``UserError`` with file, line and place::

    labs/x/attacks.toml:14: attack 2: steps 1: status: must be a whole number from 100 to 599, not 'x'
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, overload

import msgspec
from msgspec import Meta, field

from ccslab.datafile import fault as faults
from ccslab.datafile import kinds
from ccslab.datafile.kinds import (
    Absolute,
    Checked,
    Choice,
    Count,
    Fault,
    Inside,
    Lines,
    Loose,
    Number,
    OneOrList,
    Parsed,
    Positive,
    Record,
    Regex,
    Text,
    TextOrNothing,
    Word,
)
from ccslab.datafile.place import Place, line_of, shown
from ccslab.datafile.unions import refuse_unsafe
from ccslab.errors import UserError

__all__ = [
    "MEND",
    "Absolute",
    "Checked",
    "Choice",
    "Count",
    "Fault",
    "Inside",
    "Lines",
    "Loose",
    "Meta",
    "Number",
    "OneOrList",
    "Parsed",
    "Place",
    "Positive",
    "Record",
    "Regex",
    "Text",
    "TextOrNothing",
    "Word",
    "convert",
    "field",
    "line_of",
    "parse_toml",
    "part",
    "read_json",
    "read_text_of",
    "read_toml",
    "shown",
    "wrong",
]

T = TypeVar("T")
MEND = "correct the file"


@overload
def read_toml(path: Path, *, mend: str = ..., where: object = ...) -> dict[str, Any]: ...
@overload
def read_toml(path: Path, wanted: type[T], mend: str = ..., *, where: object = ...) -> T: ...
def read_toml(path: Path, wanted: Any = dict, mend: str = MEND, *, where: object = None) -> Any:
    """What a TOML file holds, of that type; plain tables if none is named.

    :param where: what errors call the file; its path if None.
    :raises UserError: it is missing, unreadable or malformed, or something in it is.
    """
    return parse_toml(read_text_of(path, mend, where=where), wanted, path if where is None else where, mend)


def parse_toml(text: str, wanted: type[T], where: object, mend: str = MEND) -> T:
    """What a TOML text holds, of that type.

    :raises UserError: it is malformed, or something in it is; names the line.
    """
    return convert(_guarded(tomllib.loads, text, where, mend), wanted, where, mend, text=text)


@overload
def read_json(path: Path, *, mend: str = ...) -> dict[str, Any]: ...
@overload
def read_json(path: Path, wanted: type[T], mend: str = ...) -> T: ...
def read_json(path: Path, wanted: Any = dict, mend: str = MEND) -> Any:
    """What a JSON file holds, of that type; a plain table if none is named.

    :raises UserError: it is missing, unreadable or malformed, or something in it is.
    """
    return convert(_guarded(json.loads, read_text_of(path, mend), path, mend), wanted, path, mend)


def convert(
    data: Any, wanted: type[T], where: object, mend: str = MEND, *, place: Place = (), text: str = ""
) -> T:
    """Plain data as a type.

    :param where: the file it is from, for errors.
    :param place: where in the file it is from.
    :param text: the file's text if it is TOML, to name the line.
    :raises UserError: something in it is malformed; says what and where.
    """
    try:
        return part(data, wanted)
    except Fault as fault:
        raise wrong(fault, where, mend, place=place, text=text) from None


def wrong(fault: Fault, where: object, mend: str = MEND, *, place: Place = (), text: str = "") -> UserError:
    """The error for a fault at a place of a file; parameters as those of :func:`convert`."""
    whole = (*place, *fault.place)
    line = line_of(text, (*whole, fault.key) if fault.key else whole)
    named = [f"{where}:{line}" if line else str(where), shown(whole)]
    return UserError(fault.what, where=": ".join(filter(None, named)), mend=fault.mend or mend)


def part(data: Any, wanted: type[T]) -> T:
    """Plain data as a type, for a type of one's own that reads a part of itself (``from_data``).

    :raises Fault: something in it is malformed.
    """
    try:
        return _converted(data, wanted)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise faults.explained(error, data, wanted, _converted) from None
    except UnicodeEncodeError:
        raise Fault("has a key that is no Unicode text") from None


def _converted(data: Any, wanted: Any) -> Any:
    refuse_unsafe(wanted)
    return msgspec.convert(data, wanted, dec_hook=_own)


def _own(wanted: Any, data: Any) -> Any:
    """A value of a type that msgspec does not know."""
    own = get_origin(wanted) or wanted
    return kinds.regex(data) if own is re.Pattern else own.from_data(data, *get_args(wanted))


def read_text_of(path: Path, mend: str, *, where: object = None) -> str:
    """The text of a file, UTF-8.

    :param where: what errors call it; its path if None.
    :raises UserError: it is missing, unreadable or no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(_reason(error), where=path if where is None else where, mend=mend) from error


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
    except (ValueError, OverflowError) as error:  # the parsers' own are, and so are numbers of 5,000 digits
        raise UserError(f"is malformed: {error}", where=where, mend=mend) from error
