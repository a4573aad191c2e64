# SPDX-License-Identifier: GPL-2.0-only
"""Kconfig fragments: what they ask for, and why the tree's Kconfig did not grant it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccslab.errors import UserError

_SET = re.compile(r"^CONFIG_(?P<name>\w+)=(?P<value>.+)$")
_SYMBOL = re.compile(r"\b[A-Z0-9_]*[A-Z][A-Z0-9_]*\b")  # 64BIT is one, too
_BLOCKS = (
    "config",
    "menuconfig",
    "if",
    "endif",
    "menu",
    "endmenu",
    "choice",
    "endchoice",
    "endall",
    "source",
)
_UNSET = re.compile(r"^# CONFIG_(?P<name>\w+) is not set$")


@dataclass(frozen=True)
class Request:
    """One line of a fragment: a symbol and the value it shall have (``n`` for "is not set")."""

    name: str
    value: str
    where: str

    def line(self) -> str:
        """As .config writes it."""
        return f"# CONFIG_{self.name} is not set" if self.value == "n" else f"CONFIG_{self.name}={self.value}"


def parse_fragment(path: Path) -> list[Request]:
    """The requests of one fragment file.

    :raises UserError: a line that is neither a setting, "is not set", a comment nor blank.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror}", where=path, mend="a fragment is a file of CONFIG_ lines"
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if match := _UNSET.match(text):
            found.append(Request(match["name"], "n", f"{path}:{number}"))
        elif match := _SET.match(text):
            found.append(Request(match["name"], match["value"].strip(), f"{path}:{number}"))
        elif text and not text.startswith("#"):
            raise UserError(
                f"{text!r} is no kconfig setting",
                where=f"{path}:{number}",
                mend="write CONFIG_NAME=value or '# CONFIG_NAME is not set'",
            )
    return found


def merge(fragments: Sequence[Path]) -> dict[str, Request]:
    """All requests of the fragments; a later fragment overrides an earlier one."""
    return {request.name: request for path in fragments for request in parse_fragment(path)}


def parse_config(text: str) -> dict[str, str]:
    """A .config as symbol -> value; a symbol that is not set is absent."""
    matches = (_SET.match(line) for line in text.splitlines())
    return {match["name"]: match["value"] for match in matches if match}


def check(requests: dict[str, Request], config: dict[str, str], tree: Path) -> None:
    """Make sure the final .config grants every request.

    :raises UserError: names each symbol that was refused, the fragment's line, and what it depends on.
    """
    refused = [request for request in requests.values() if config.get(request.name, "n") != request.value]
    if not refused:
        return
    first = refused[0]
    reasons = "; ".join(
        f"CONFIG_{request.name} is {config.get(request.name, 'n')}, asked for {request.value} "
        f"({explain(request.name, config, tree)})"
        for request in refused[:8]
    )
    more = f" and {len(refused) - 8} more" if len(refused) > 8 else ""
    raise UserError(
        reasons + more, where=first.where, mend="ask for what it depends on too, or drop the line"
    )


def explain(name: str, config: dict[str, str], tree: Path) -> str:
    """Why a symbol may not be set as asked: what it depends on, as the tree's Kconfig files say it."""
    found = list(definitions(name, tree))
    if not found:
        return "no Kconfig file of this tree defines it"
    parts = []
    for place, depends in found:
        unmet = sorted({word for word in _SYMBOL.findall(depends) if word not in config})
        text = (
            f"depends on {depends}"
            if depends
            else "depends on nothing; another symbol selects or a range limits it"
        )
        parts.append(f"{place}: {text}" + (f"; not set: {', '.join(unmet)}" if unmet else ""))
    return " / ".join(parts)


def definitions(name: str, tree: Path) -> Iterator[tuple[str, str]]:
    """Each ``config NAME`` of the tree: (place, its own and enclosing ``depends on``, joined by ``&&``)."""
    for path in sorted(tree.rglob("Kconfig*")):
        text = path.read_text(errors="replace")
        if not re.search(rf"^\s*(?:menu)?config {name}$", text, re.MULTILINE):
            continue
        yield from _definitions_in(text, name, str(path.relative_to(tree)))


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a Kconfig file as (line number, words), without comments and help texts."""
    help_indent: int | None = None  # 0 right after "help": its first line's indentation is the text's
    pending = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        if raw.endswith("\\"):
            pending += raw[:-1] + " "
            continue
        line = (pending + raw).expandtabs(8)
        pending = ""
        words = line.split()
        if not words:
            continue
        indent = len(line) - len(line.lstrip())
        if help_indent is not None:
            help_indent = help_indent or indent
            if 0 < help_indent <= indent:
                continue
            help_indent = None
        if words == ["help"]:
            help_indent = 0
        if not words[0].startswith("#"):
            yield number, words


def _definitions_in(text: str, name: str, place: str) -> Iterator[tuple[str, str]]:
    # Only the block structure of the language is followed: if/menu/choice open, end* closes.
    blocks: list[list[str]] = []
    own: list[str] | None = None
    header: list[str] | None = None
    number = 0
    for at, words in [*_statements(text), (0, ["endall"])]:
        if words[0] in _BLOCKS:
            if own is not None:
                yield f"{place}:{number}", " && ".join([*(part for block in blocks for part in block), *own])
                own = None
            header = None
        if words[0] in ("config", "menuconfig") and words[1:] == [name]:
            own, number = [], at
        elif words[0] == "if":
            blocks.append([_term(words[1:])])
        elif words[0] in ("menu", "choice"):
            header = []
            blocks.append(header)
        elif words[0].startswith("end") and words[0] != "endall" and blocks:
            blocks.pop()
        elif words[:2] == ["depends", "on"]:
            target = own if own is not None else header
            if target is not None:
                target.append(_term(words[2:]))


def _term(words: list[str]) -> str:
    return f"({' '.join(words)})" if "||" in words else " ".join(words)
