# SPDX-License-Identifier: GPL-2.0-only
"""Types that msgspec must not see.

Of a union of a text with a pattern and a list or table, and of some unions with tuples of fixed length,
msgspec 0.22 frees memory that is not its own: seen with PYTHONMALLOC=debug, and as an abort when Python ends.
So a list or table is in no union but with None: ``OneOrList`` and ``Choice`` say what is meant.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec


@cache
def refuse_unsafe(wanted: Any) -> None:
    """Nothing, if a type may be given to msgspec.

    :raises TypeError: it holds such a union: a mistake of the code, not of a file.
    """
    for kind in _inside(wanted, set()):
        if get_origin(kind) in (Union, types.UnionType):
            members = [one for one in get_args(kind) if one is not type(None)]
            if len(members) > 1 and any(map(_is_container, members)):
                raise TypeError(f"{kind}: a list or table in a union: say OneOrList or Choice")


def _inside(wanted: Any, seen: set[Any]) -> Iterator[Any]:
    """A type and all types in it."""
    yield wanted
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct) and wanted not in seen:
        seen.add(wanted)
        hints = get_type_hints(wanted, include_extras=True)
        below = [hints[name] for name in wanted.__struct_fields__]
    else:
        below = list(get_args(wanted)[:1] if get_origin(wanted) is Annotated else get_args(wanted))
    for one in below:
        yield from _inside(one, seen)


def _is_container(kind: Any) -> bool:
    if get_origin(kind) is Annotated:
        return _is_container(get_args(kind)[0])
    own = get_origin(kind) or kind
    return isinstance(own, type) and issubclass(own, list | tuple | dict | set | frozenset | msgspec.Struct)
