# SPDX-License-Identifier: GPL-2.0-only
"""The rules of generalisation, as a lab's TOML file gives them (see docs/policy.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ccslab.datafile import (
    Checked,
    Meta,
    Record,
    Text,
    TextOrNothing,
    Word,
    parse_toml,
    read_text_of,
)
from ccslab.policy import language, pathname, value
from ccslab.policy.acl import parse_acl

MAX_DEPTH = 64


class Pathname(Checked):
    """A pathname, or a part or a pattern of it, as a kernel takes it."""

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if it is one.

        :raises ValueError: a kernel would refuse it.
        """
        if fault := pathname.word_fault(text):
            raise ValueError(f"{text!r}: {fault}")


class Operation(Word):
    """An operation on files."""

    noun = "file operation"
    words = frozenset(name for names in language.FILE.values() for name in names)


class NumberRange(Checked):
    """A number, a range of them, or ``@GROUP``."""

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if it is one.

        :raises ValueError: it is not.
        """
        if not text.startswith("@"):
            value.number(text)


class AddressRange(Checked):
    """An address, a range of them, or ``@GROUP``."""

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if it is one.

        :raises ValueError: it is not.
        """
        if not text.startswith("@"):
            value.address(text)


class PolicyLine(Checked):
    """A line of a domain's policy."""

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if it is one.

        :raises ValueError: it is not.
        """
        parse_acl(text)


class GroupRule(Record, frozen=True):
    """Names below ``root`` become ``@name``; its members are patterns for each depth.

    :param depth: declared number of levels; the depth found counts if it is greater or none is declared.
    :param exclude: names (patterns) that no level of the group stands for.
    :param directories: whether directories (names ending in ``/``) belong to it as well.
    """

    name: Text
    root: Pathname
    depth: Annotated[int, Meta(ge=0, le=MAX_DEPTH)] = 0
    exclude: tuple[Pathname, ...] = ()
    operations: tuple[Operation, ...] = ()
    directories: bool = False

    def component(self) -> str:
        """The pattern of one level."""
        return "\\*" + "".join(f"\\-{name}" for name in self.exclude)

    def members(self, depth: int) -> list[str]:
        """The patterns for all levels down to ``depth``, and of the directories if they belong to it.

        The kernel ignores a last ``/\\*`` when the name ends before it: each pattern stands for the level
        above as well, so that every other one would allow nothing more. Which of them matches a program is
        seen, in its domain's name.
        """
        root = self.root.rstrip("/")
        levels = [root + f"/{self.component()}" * level for level in range(1, depth + 1)]
        folders = [root + "/", *(f"{level}/" for level in levels)] if self.directories else []
        doubled = not self.exclude and "execute" not in self.operations
        return (levels[::-1][::2][::-1] if doubled else levels) + folders

    def depth_of(self, path: str) -> int:
        """At which level below the root a name stands, 0 if the rule is not for it."""
        root = self.root.rstrip("/") + "/"
        if not path.startswith(root) or (path.endswith("/") and not self.directories):
            return 0
        parts = path[len(root) :].rstrip("/").split("/")
        return len(parts) if all(pathname.matches(part, self.component()) for part in parts) else 0


class PatternRule(Record, frozen=True):
    """Names that ``match`` become that pattern, or ``become`` (a wider pattern or ``@GROUP``)."""

    match: Pathname
    become: TextOrNothing = ""
    operations: tuple[Operation, ...] = ()


class NumberRule(Record, frozen=True):
    """Numbers of file operations within ``range`` become that range."""

    range: NumberRange
    operations: tuple[Operation, ...]
    paths: tuple[Pathname, ...] = ()


class NetworkRule(Record, frozen=True):
    """``network inet`` lines within ``addresses`` and ``ports`` become those.

    :param sockets: such as ``stream connect``.
    """

    sockets: tuple[Text, ...]
    addresses: AddressRange | None = None
    ports: NumberRange | None = None


class EnvironmentRule(Record, frozen=True):
    """Names of environment variables that match become the pattern."""

    match: Pathname


class ConditionRule(Record, frozen=True):
    """Conditions whose left side is in ``drop`` (``exec.realpath``, ``exec.argv[0]``, ...) are taken off."""

    drop: tuple[Text, ...]
    operations: tuple[Operation, ...] = ()
    paths: tuple[Pathname, ...] = ()


class ForgetRule(Record, frozen=True):
    """Lines that are left out, and why."""

    why: Text
    operations: tuple[Operation, ...] = ()
    paths: tuple[Pathname, ...] = ()
    domains: tuple[Text, ...] = ()


class AlwaysRule(Record, frozen=True):
    """Lines that a domain gets whether they were learned or not, as what needs them is a matter of chance.

    :param beside: what a line that was learned must begin with: it shows that the kernel knows of such lines.
    """

    why: Text
    domain: Text
    beside: Text
    lines: tuple[PolicyLine, ...]


@dataclass(frozen=True)
class Rules:
    """All rules of a file; those of one kind are tried in order, the first that fits decides.

    :param select: roots of the domain trees to keep; all if empty.
    """

    select: tuple[str, ...] = ()
    groups: tuple[GroupRule, ...] = ()
    patterns: tuple[PatternRule, ...] = ()
    numbers: tuple[NumberRule, ...] = ()
    networks: tuple[NetworkRule, ...] = ()
    environment: tuple[EnvironmentRule, ...] = ()
    conditions: tuple[ConditionRule, ...] = ()
    forget: tuple[ForgetRule, ...] = ()
    always: tuple[AlwaysRule, ...] = ()


class _Selection(Record, frozen=True):
    domains: tuple[Text, ...] = ()


class _File(Record, frozen=True):
    """The TOML file."""

    select: _Selection = _Selection()
    group: tuple[GroupRule, ...] = ()
    pattern: tuple[PatternRule, ...] = ()
    number: tuple[NumberRule, ...] = ()
    network: tuple[NetworkRule, ...] = ()
    environment: tuple[EnvironmentRule, ...] = ()
    condition: tuple[ConditionRule, ...] = ()
    forget: tuple[ForgetRule, ...] = ()
    always: tuple[AlwaysRule, ...] = ()


def parse_rules(text: str, source: str = "") -> Rules:
    """Read the rules of generalisation.

    :raises UserError: if the TOML is malformed, or a table, key, operation or pattern is unknown.
    """
    file = parse_toml(text, _File, source or "rules", "see docs/policy.md")
    return Rules(
        select=file.select.domains,
        groups=file.group,
        patterns=file.pattern,
        numbers=file.number,
        networks=file.network,
        environment=file.environment,
        conditions=file.condition,
        forget=file.forget,
        always=file.always,
    )


def load_rules(path: str | Path) -> Rules:
    """Read the rules of generalisation from a file; UserError if it is missing or malformed."""
    return parse_rules(read_text_of(Path(path), "give a TOML file"), str(path))
