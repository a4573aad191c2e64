# SPDX-License-Identifier: GPL-2.0-only
"""Domain policy: the domains, their profiles, groups and access control lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ccslab.errors import unknown
from ccslab.policy import language, pathname
from ccslab.policy.acl import Acl, parse_acl
from ccslab.policy.source import Statement, lines, read, refuse


@dataclass(frozen=True)
class DomainStart:
    """The line that names a domain."""

    name: str


@dataclass(frozen=True)
class UseProfile:
    """``use_profile N``."""

    number: int


@dataclass(frozen=True)
class UseGroup:
    """``use_group N``."""

    number: int


@dataclass(frozen=True)
class Flag:
    """``quota_exceeded`` or ``transition_failed``."""

    name: str


DomainItem = DomainStart | UseProfile | UseGroup | Flag | Acl


@dataclass
class Domain:
    """One domain; flags are ``quota_exceeded`` and ``transition_failed``."""

    name: str
    profile: int = 0
    flags: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    acls: list[Acl] = field(default_factory=list)

    def format(self) -> str:
        """The domain as the kernel prints it, an empty line at the end."""
        head = [self.name, f"use_profile {self.profile}", *self.flags]
        head += [f"use_group {number}" for number in self.groups]
        return "\n".join([*head, "", *(acl.format() for acl in self.acls), ""]) + "\n"


@dataclass
class DomainPolicy:
    """The domains in the order in which they were read."""

    domains: dict[str, Domain] = field(default_factory=dict)

    def format(self) -> str:
        """The text for ``domain_policy``."""
        return "".join(domain.format() for domain in self.domains.values())

    def domain(self, name: str) -> Domain:
        """The domain of that name; UserError with the nearest names if there is none."""
        if name not in self.domains:
            raise unknown("domain", name, self.domains)
        return self.domains[name]

    def add(self, name: str) -> Domain:
        """The domain of that name, made if need be."""
        return self.domains.setdefault(name, Domain(name))

    def below(self, root: str) -> list[Domain]:
        """The domain ``root`` and its descendants."""
        return [d for d in self.domains.values() if d.name == root or d.name.startswith(root + " ")]


def _number(words: str, keyword: str, limit: int) -> int:
    text = words.removeprefix(keyword).strip()
    if not text.isdecimal() or int(text) >= limit:
        raise ValueError(f"{keyword} takes a number from 0 to {limit - 1}")
    return int(text)


def parse_domain_line(line: str) -> DomainItem:
    """Read one normalised line of a domain policy.

    :raises ValueError: with the reason, where the kernel would drop the line.
    """
    if line.startswith("<"):
        if not pathname.is_domain(line):
            raise ValueError("not a domain name: a namespace such as <kernel>, then pathnames of programs")
        return DomainStart(line)
    first = line.partition(" ")[0]
    if first == "use_profile":
        return UseProfile(_number(line, first, language.MAX_PROFILES))
    if first == "use_group":
        return UseGroup(_number(line, first, language.MAX_ACL_GROUPS))
    if line in language.DOMAIN_FLAGS:
        return Flag(line)
    if first in ("delete", "select", "reset"):
        raise ValueError(f"{first!r} is a command to the kernel, not policy")
    return parse_acl(line)


def scan_domain_policy(text: str) -> Iterator[Statement[DomainItem]]:
    """Every line with its domain and its meaning or fault; never raises."""
    current = ""
    for number, line in lines(text):
        item, fault = read(parse_domain_line, line)
        if line.startswith("<"):
            current = item.name if isinstance(item, DomainStart) else ""
        elif not current and not fault:
            fault = "the line stands before any (well-formed) domain"
        yield Statement(number, line, current, item, fault)


def parse_domain_policy(text: str, source: str = "") -> DomainPolicy:
    """Read a domain policy of 2.6 or 1.8.

    :param source: name of the file, for messages.
    :raises UserError: for the first malformed line.
    """
    policy = DomainPolicy()
    seen: set[tuple[str, Acl]] = set()
    for statement in refuse(scan_domain_policy(text), source):
        domain = policy.add(statement.scope)
        match statement.item:
            case UseProfile(number):
                domain.profile = number
            case UseGroup(number):
                domain.groups = tuple(sorted({*domain.groups, number}))
            case Flag(name):
                domain.flags = tuple(flag for flag in language.DOMAIN_FLAGS if flag in (*domain.flags, name))
            case Acl() as acl:
                if (domain.name, acl) not in seen:
                    seen.add((domain.name, acl))
                    domain.acls.append(acl)
    return policy
