# SPDX-License-Identifier: GPL-2.0-only
"""Lines of a policy file with their places: what all readers of policy stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ccslab.errors import UserError
from ccslab.policy import pathname

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


@dataclass(frozen=True)
class Statement(Generic[Item_co]):
    """One line that is neither empty nor a comment: what it says, or why it says nothing.

    :param scope: the domain or namespace the line belongs to.
    """

    line: int
    text: str
    scope: str
    item: Item_co | None
    fault: str = ""


def read_text(path: Path) -> str:
    """A policy file's text; bytes that are no UTF-8 survive.

    :raises UserError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UserError(
            f"cannot read: {error.strerror}", where=path, mend="give a policy file or folder"
        ) from None


def lines(text: str) -> Iterator[tuple[int, str]]:
    """``(number, normalised line)`` of every line that is not empty or a comment."""
    for number, line in enumerate(text.split("\n"), 1):
        normal = pathname.normalise_line(line)
        if normal and not normal.startswith("#"):
            yield number, normal


def namespaced(text: str) -> Iterator[tuple[int, str, str, str]]:
    """``(number, namespace, rest, whole line)`` for files whose lines may begin with a ``<namespace>``."""
    for number, line in lines(text):
        space, gap, rest = line.partition(" ")
        if line.startswith("<") and gap and pathname.is_namespace(space):
            yield number, space, rest, line
        else:
            yield number, "<kernel>", line, line


def read(statement_of: Callable[[str], Item], line: str) -> tuple[Item | None, str]:
    """What ``statement_of`` makes of a line, or the reason why it is malformed."""
    try:
        return statement_of(line), ""
    except ValueError as error:
        return None, str(error)


def refuse(statements: Iterable[Statement[Item]], source: str) -> list[Statement[Item]]:
    """All statements, or a UserError for the first malformed one."""
    good = []
    for statement in statements:
        if statement.fault:
            raise UserError(
                f"{statement.text!r}: {statement.fault}",
                where=f"{source or 'policy'}:{statement.line}",
                mend="the kernel would drop this line without a word, correct it or take it out",
            )
        good.append(statement)
    return good
