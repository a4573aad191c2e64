# SPDX-License-Identifier: GPL-2.0-only
"""From what msgspec says of a value to what is wrong with it, in our words, and the place it is at.

msgspec ends at the first fault and tells its path, except for the keys of tables with any keys ("[...]"),
which are found here. All else of its message is said anew from the type and the value that are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import inspect

from ccslab.datafile.kinds import Fault, must_be
from ccslab.datafile.place import Place
from ccslab.errors import unknown

_PATH = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_LACKS = re.compile(r"Object missing required field `(.*?)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)

Converter = Callable[[Any, Any], Any]


def explained(error: msgspec.ValidationError, data: Any, wanted: Any, converter: Converter) -> Fault:
    """What is wrong with data that is not of a type, and where.

    :param error: what msgspec said of it.
    :param converter: what said so, of data and a type.
    """
    message, keyed, path = _split(error)
    try:
        place = _found(path, str(error), data, wanted, converter)
        value, kind = _at(data, place), _kind_at(inspect.type_info(wanted), place)
    except (LookupError, TypeError):  # a place that is not there: say what msgspec said
        return Fault(message)
    if isinstance(error.__cause__, ValueError):
        cause = error.__cause__
        return cause.below(*place) if isinstance(cause, Fault) else Fault(str(cause), *place)
    if keyed:
        key = _first_bad(value, lambda some: _fails(str(error), _with(data, place, some), wanted, converter))
        return Fault(f"the key {must_be(_kind(_plain(kind).key_type), key)}", *place)
    if lacks := _LACKS.match(message):
        return Fault(f"lacks the key {lacks[1]!r}", *place)
    if extra := _UNKNOWN.match(message):
        near = unknown("key", extra[1], _keys(kind))
        return Fault(near.what, *place, mend=near.mend, key=extra[1])
    return Fault(must_be(_kind(kind), value), *place)


def _split(error: msgspec.ValidationError) -> tuple[str, bool, str]:
    """The message, whether it is of a table's key, and the path: what is behind the last "at" is no data."""
    message, at, path = str(error).rpartition(" - at ")
    if not at or not path.startswith("`"):
        return str(error), False, "$"
    return message, path.startswith("`key` in "), path.removeprefix("`key` in ").strip("`")


def _found(path: str, said: str, data: Any, wanted: Any, converter: Converter) -> Place:
    """The place of a path in the message that msgspec said, with the keys that it leaves out."""
    place: Place = ()
    for name, number in _PATH.findall(path):
        if number == "...":
            before = place

            def fails(some: dict[Any, Any], before: Place = before) -> bool:
                return _fails(said, _with(data, before, some), wanted, converter)

            place = (*place, _first_bad(_at(data, place), fails))
        else:
            place = (*place, name or int(number))
    return place


def _first_bad(table: dict[Any, Any], fails: Callable[[dict[Any, Any]], bool]) -> Any:
    """The key of a table at which converting it ends, found by halves: tables may be long."""
    keys = list(table)
    low, high = 0, len(keys) - 1
    while low < high:
        middle = (low + high) // 2
        if fails({key: table[key] for key in keys[: middle + 1]}):
            high = middle
        else:
            low = middle + 1
    return keys[low]


def _fails(said: str, data: Any, wanted: Any, converter: Converter) -> bool:
    """Whether data fails in the very same way; something behind it may fail as well."""
    try:
        converter(data, wanted)
    except msgspec.ValidationError as error:
        return str(error) == said
    return False


def _with(data: Any, place: Place, value: Any) -> Any:
    """The data with another value at a place."""
    if not place:
        return value
    head, rest = place[0], place[1:]
    if isinstance(data, list) and isinstance(head, int):
        return [*data[:head], _with(data[head], rest, value), *data[head + 1 :]]
    return {**data, head: _with(data[head], rest, value)}


def _at(data: Any, place: Place) -> Any:
    for key in place:
        data = data[key]
    return data


# --- kinds ----------------------------------------------------------------------------------------


def _plain(kind: Any) -> Any:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _kind_at(kind: Any, place: Place) -> Any:
    """The type that the value at a place is to have."""
    for key in place:
        inner = _plain(kind)
        members = map(_plain, inner.types) if isinstance(inner, inspect.UnionType) else [inner]
        kind = next(below for below in (_below(one, key) for one in members) if below is not None)
    return kind


def _below(kind: Any, key: str | int) -> Any:
    if isinstance(kind, inspect.StructType):
        return next((field.type for field in kind.fields if field.encode_name == key), None)
    if isinstance(kind, inspect.DictType):
        return kind.value_type
    if isinstance(kind, inspect.TupleType) and isinstance(key, int):
        return kind.item_types[key]
    return getattr(kind, "item_type", None)


def _keys(kind: Any) -> list[str]:
    inner = _plain(kind)
    members = map(_plain, inner.types) if isinstance(inner, inspect.UnionType) else [inner]
    return [
        field.encode_name for one in members if isinstance(one, inspect.StructType) for field in one.fields
    ]


def _kind(kind: Any) -> str:
    """What a value of a type is called."""
    if isinstance(kind, inspect.Metadata):
        described = (kind.extra_json_schema or {}).get("description")
        return str(described) if described else _kind(kind.type)
    return _NAMES[type(kind)](kind) if type(kind) in _NAMES else "something else"


def _range(name: str, kind: Any) -> str:
    least = kind.ge if kind.ge is not None else kind.gt
    most = kind.le if kind.le is not None else kind.lt
    if least is not None:
        name += f" {'above' if kind.ge is None else 'from'} {least}"
    if most is not None:
        name += f" {'below' if kind.le is None else 'to'} {most}"
    return name


def _sized(name: str, kind: Any) -> str:
    return f"{name} that is not empty" if kind.min_length else name


def _listed(kind: Any) -> str:
    return f"{_sized('a list', kind)}, each item {_kind(kind.item_type)}"


def _words(words: Iterable[Any]) -> str:
    return f"one of {', '.join(map(str, words))}"


_NAMES: dict[Any, Callable[[Any], str]] = {
    inspect.StrType: lambda kind: "a text",
    inspect.BoolType: lambda kind: "true or false",
    inspect.IntType: lambda kind: _range("a whole number", kind),
    inspect.FloatType: lambda kind: _range("a number", kind),
    inspect.NoneType: lambda kind: "null",
    inspect.StructType: lambda kind: "a table",
    inspect.DictType: lambda kind: _sized("a table", kind),
    inspect.ListType: _listed,
    inspect.VarTupleType: _listed,
    inspect.TupleType: lambda kind: f"a list of {len(kind.item_types)}",
    inspect.LiteralType: lambda kind: _words(kind.values),
    inspect.EnumType: lambda kind: _words(one.value for one in kind.cls),
    # null is no value of TOML, and in JSON goes without saying.
    inspect.UnionType: lambda kind: " or ".join(
        _kind(one) for one in kind.types if not isinstance(one, inspect.NoneType)
    ),
    inspect.CustomType: lambda kind: str(
        getattr(kind.cls, "kind", "a regular expression" if kind.cls is re.Pattern else "a table")
    ),
}
