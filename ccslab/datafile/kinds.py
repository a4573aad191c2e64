# SPDX-License-Identifier: GPL-2.0-only
"""What the types of data files are made of: records, constrained texts and numbers, choices.

A type is written once and is all there is to say of a file: what its reader refuses, and how it says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from ccslab.datafile.place import Place
from ccslab.errors import unknown

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a data file, each key of which is known.

    Say ``frozen=True`` of each subclass as well, for type checkers; and ``kw_only=True`` where a key that
    must be there comes after one that need not. ``__post_init__`` may raise a :class:`Fault` of keys that do
    not go together.
    """


class Loose(msgspec.Struct, frozen=True):
    """A table of which only some keys are read; others may be there."""


class Fault(ValueError):
    """What is wrong with a value, raised by a type of one's own while a file is read.

    :param what: what is wrong, no full stop.
    :param place: where, from the value that is looked at; empty for the value itself.
    :param mend: what to do about it, if it is known better than by the reader.
    :param key: the key at that place whose line it is.
    """

    def __init__(self, what: str, *place: str | int, mend: str = "", key: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.place: Place = place
        self.mend = mend
        self.key = key

    def below(self, *place: str | int) -> Fault:
        """The same, seen from above."""
        return Fault(self.what, *place, *self.place, mend=self.mend, key=self.key)


# Control characters, what turns a line around, and halves of a character: nothing that is to become a file's
# name, a line of policy or a command has them.
_NO_CONTROLS = r"[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
_NO_CONTROLS_BUT_LINES = r"(?:[\t\n]|" + _NO_CONTROLS + ")"
_LINE = "a line of text (not blank, no control characters)"
_INSIDE = rf"\A(?!/)(?!(?:.*/)?\.\.(?:/|\Z))(?=.*\S){_NO_CONTROLS}+\Z"

Text: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"\A(?=.*\S){_NO_CONTROLS}+\Z",
        description="a line of text (not blank, no control characters)",
    ),
]
"""One line, not blank."""
TextOrNothing: TypeAlias = Annotated[
    str, Meta(pattern=rf"\A(?:(?=.*\S){_NO_CONTROLS}+)?\Z", description=f"{_LINE}, or empty")
]
"""One line, or ""."""
Lines: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"\A(?=[\s\S]*\S){_NO_CONTROLS_BUT_LINES}+\Z",
        description="a text (not blank, no control characters but new lines and tabs)",
    ),
]
"""One line or more, such as commands of a shell; not blank."""
Inside: TypeAlias = Annotated[str, Meta(pattern=_INSIDE, description="a path inside the folder")]
"""A relative path that does not climb out by its names; what its links do is seen where it is used."""
Absolute: TypeAlias = Annotated[
    str, Meta(pattern=rf"\A/{_NO_CONTROLS}*\Z", description="a path from / (no control characters)")
]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1, description="a whole number from 0")]
Number: TypeAlias = Annotated[float, Meta(ge=-1e300, le=1e300, description="a number")]
"""Whole or not, finite."""
Positive: TypeAlias = Annotated[float, Meta(gt=0, le=1e300, description="a number above 0")]
Regex: TypeAlias = re.Pattern[str]
"""A regular expression of lines (``re.MULTILINE``), compiled; one that matches anything is refused."""


class Parsed:
    """A type that makes itself of what a file holds."""

    __slots__ = ()

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """The value.

        :raises ValueError: it is none; a :class:`Fault` also says where in it.
        """
        raise NotImplementedError


class Checked(str):
    """A line of text with a rule of its own, which ``check`` of a subclass holds."""

    __slots__ = ()
    kind: ClassVar[str] = _LINE

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """The text.

        :raises ValueError: it is none, is blank, or has control characters.
        """
        if not isinstance(data, str) or not re.fullmatch(rf"(?=.*\S){_NO_CONTROLS}+", data):
            raise Fault(must_be(cls.kind, data))
        cls.check(data)
        return cls(data)

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if the text is one of these.

        :raises ValueError: it is not; says why.
        """


class Word(Checked):
    """One of the words that are known, where they come from data themselves: else say ``Literal``."""

    __slots__ = ()
    noun: ClassVar[str] = "word"
    words: ClassVar[Collection[str]] = ()

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if the word is known.

        :raises Fault: it is not; suggests the nearest.
        """
        if text not in cls.words:
            near = unknown(cls.noun, text, cls.words)
            raise Fault(near.what, mend=near.mend)


class OneOrList(tuple[T, ...]):
    """A value, or a list of such: a tuple in either case. A union would not do (:mod:`unions`)."""

    listed: bool
    """Whether it was written as a list."""

    @classmethod
    def from_data(cls, data: Any, item: Any) -> Self:
        """The values.

        :param item: the type of each.
        :raises Fault: one is something else.
        """
        from ccslab.datafile import part  # noqa: PLC0415 (which itself needs the types)

        listed = isinstance(data, list)
        try:
            made = cls(part(data, tuple[item, ...]) if listed else (part(data, item),))
        except Fault as fault:
            if listed or fault.place:
                raise
            raise Fault(f"{fault.what}; or a list of such", mend=fault.mend) from None
        made.listed = listed
        return made


class Choice(Parsed):
    """A table that is one of several records, by which key is there.

    Its subclasses are records that derive from it as well; ``key`` of each is the key it is known by::

        class Step(Choice): ...

        class HttpStep(Record, Step, frozen=True, kw_only=True):
            key = "http"
            http: Text
            status: int = 200
    """

    __slots__ = ()
    key: ClassVar[str]

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """The record whose key is there.

        :raises Fault: it is no table, has none or several of the keys, or is wrong in itself.
        """
        from ccslab.datafile import part  # noqa: PLC0415 (which itself needs the types)

        if not isinstance(data, dict):
            raise Fault(must_be("a table", data))
        records = {record.key: record for record in cls.__subclasses__()}
        present = [key for key in records if key in data]
        if len(present) != 1:
            has = f"has {' and '.join(present)}" if present else "has none"
            raise Fault(f"needs one of the keys {', '.join(records)}, and {has}")
        return part(data, records[present[0]])


def regex(data: Any) -> re.Pattern[str]:
    """A regular expression of a file.

    :raises Fault: it is none, or matches anything.
    """
    if not isinstance(data, str) or not data.strip():
        raise Fault(must_be("a regular expression", data))
    try:
        pattern = re.compile(data, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise Fault(f"is no regular expression: {error}") from error
    if pattern.search(""):
        raise Fault(f"{value_of(data)} matches anything, so it proves nothing")
    return pattern


def must_be(kind: str, data: Any) -> str:
    """The sentence for a value of another kind."""
    return f"must be {kind}, not {value_of(data)}"


def value_of(data: Any) -> str:
    """A value as an error shows it: its beginning."""
    try:
        return f"{data!r:.60}"
    except (ValueError, RecursionError):  # numbers of 5,000 digits; lists in lists in lists ...
        return "a value too long to show"
