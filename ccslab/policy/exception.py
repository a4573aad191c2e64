# SPDX-License-Identifier: GPL-2.0-only
"""Exception policy: transitions, aggregators, groups, acl_groups and deny_autobind."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ccslab.policy import language, pathname, value
from ccslab.policy.acl import Acl, parse_acl
from ccslab.policy.source import Statement, namespaced, read, refuse


@dataclass(frozen=True)
class Transition:
    """``initialize_domain PROGRAM from DOMAIN`` and its relatives; ``any`` stands for no restriction."""

    control: str
    program: str
    domain: str

    def format(self) -> str:
        """The line without its namespace."""
        return f"{self.control} {self.program} from {self.domain}"


@dataclass(frozen=True)
class Aggregator:
    """``aggregator PATTERN NAME``."""

    pattern: str
    name: str

    def format(self) -> str:
        """The line without its namespace."""
        return f"aggregator {self.pattern} {self.name}"


@dataclass(frozen=True)
class GroupMember:
    """One member of a ``path_group``, ``number_group`` or ``address_group``."""

    kind: str
    name: str
    member: str

    def format(self) -> str:
        """The line without its namespace."""
        return f"{self.kind} {self.name} {self.member}"


@dataclass(frozen=True)
class GroupAcl:
    """``acl_group N ACL``."""

    number: int
    acl: Acl

    def format(self) -> str:
        """The line without its namespace."""
        return f"acl_group {self.number} {self.acl.format()}"


@dataclass(frozen=True)
class DenyAutobind:
    """``deny_autobind PORTS`` (1.8 only)."""

    ports: str

    def format(self) -> str:
        """The line without its namespace."""
        return f"deny_autobind {self.ports}"


ExceptionItem = Transition | Aggregator | GroupMember | GroupAcl | DenyAutobind


@dataclass(frozen=True)
class Entry:
    """An item and the namespace it belongs to."""

    item: ExceptionItem
    namespace: str = "<kernel>"


@dataclass
class ExceptionPolicy:
    """The entries in the order in which they were read."""

    entries: list[Entry] = field(default_factory=list)

    def format(self) -> str:
        """The text for ``exception_policy``; with several namespaces each line carries its own."""
        several = any(entry.namespace != "<kernel>" for entry in self.entries)
        prefix = (f"{entry.namespace} " if several else "" for entry in self.entries)
        return "".join(f"{p}{entry.item.format()}\n" for p, entry in zip(prefix, self.entries, strict=True))

    def add(self, item: ExceptionItem, namespace: str = "<kernel>") -> None:
        """Append an item unless it is there."""
        entry = Entry(item, namespace)
        if entry not in self.entries:
            self.entries.append(entry)

    def items(self, namespace: str = "<kernel>") -> Iterator[ExceptionItem]:
        """The items of one namespace."""
        return (entry.item for entry in self.entries if entry.namespace == namespace)

    def members(self, kind: str, name: str, namespace: str = "<kernel>") -> list[str]:
        """The members of a group; empty if it is not defined."""
        return [
            item.member
            for item in self.items(namespace)
            if isinstance(item, GroupMember) and item.kind == kind and item.name == name
        ]

    def group_acls(self, numbers: Iterable[int], namespace: str = "<kernel>") -> list[Acl]:
        """The lines of the given acl_groups."""
        wanted = set(numbers)
        return [i.acl for i in self.items(namespace) if isinstance(i, GroupAcl) and i.number in wanted]


def _transition(control: str, rest: str) -> Transition:
    program, sign, domain = rest.partition(" from ")
    if not sign:
        program, domain = ("any", rest) if control.endswith("keep_domain") else (rest, "any")
    if program != "any" and not pathname.is_path(program):
        raise ValueError(f"{program!r} is not the pathname of a program (or 'any')")
    if domain != "any" and not pathname.is_domain(domain) and not pathname.is_path(domain):
        raise ValueError(f"{domain!r} is not a domain, the last program of one, or 'any'")
    return Transition(control, program, domain)


def _aggregator(rest: str) -> Aggregator:
    pattern, _, name = rest.partition(" ")
    if not pathname.is_word(pattern) or not pathname.is_path(name):
        raise ValueError("aggregator takes a pattern and the pathname it stands for")
    if pathname.is_pattern(name):
        raise ValueError(f"{name!r}: the second word of aggregator must not be a pattern")
    return Aggregator(pattern, name)


def _group(kind: str, rest: str) -> GroupMember:
    name, _, member = rest.partition(" ")
    if fault := pathname.word_fault(name):
        raise ValueError(f"{kind} name: {fault}")
    if not member:
        raise ValueError(f"{kind} takes a name and a member")
    if member.startswith("@") and kind != "path_group":
        raise ValueError("groups cannot be nested")
    if kind == "number_group":
        return GroupMember(kind, name, value.number(member))
    if kind == "address_group":
        return GroupMember(kind, name, value.address(member))
    # The kernel takes any word here and prints it back; a malformed one matches nothing (see check).
    return GroupMember(kind, name, member.partition(" ")[0])


def _acl_group(rest: str) -> GroupAcl:
    number, _, line = rest.partition(" ")
    if not number.isdecimal() or int(number) >= language.MAX_ACL_GROUPS:
        raise ValueError(f"acl_group takes a number from 0 to {language.MAX_ACL_GROUPS - 1}")
    return GroupAcl(int(number), parse_acl(line))


def parse_exception_line(line: str) -> ExceptionItem:
    """Read one normalised line without its namespace.

    :raises ValueError: with the reason, where the kernel would drop the line.
    """
    keyword, _, rest = line.partition(" ")
    if keyword in language.TRANSITION_CONTROLS:
        return _transition(keyword, rest)
    if keyword in language.GROUPS:
        return _group(keyword, rest)
    if keyword == "aggregator":
        return _aggregator(rest)
    if keyword == "acl_group":
        return _acl_group(rest)
    if keyword == "deny_autobind":
        return DenyAutobind(value.number(rest, maximum=65535))
    known = [*language.TRANSITION_CONTROLS, *language.GROUPS, "aggregator", "acl_group", "deny_autobind"]
    near = difflib.get_close_matches(keyword, known, n=1, cutoff=0.5)
    raise ValueError(f"unknown keyword {keyword!r}" + (f", did you mean {near[0]}?" if near else ""))


def scan_exception_policy(text: str) -> Iterator[Statement[ExceptionItem]]:
    """Every line with its namespace and its meaning or fault; never raises."""
    for number, space, rest, line in namespaced(text):
        item, fault = read(parse_exception_line, rest)
        yield Statement(number, line, space, item, fault)


def parse_exception_policy(text: str, source: str = "") -> ExceptionPolicy:
    """Read an exception policy of 2.6 or 1.8.

    :raises UserError: for the first malformed line.
    """
    policy = ExceptionPolicy()
    for statement in refuse(scan_exception_policy(text), source):
        assert statement.item is not None
        policy.add(statement.item, statement.scope)
    return policy
