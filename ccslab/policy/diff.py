# SPDX-License-Identifier: GPL-2.0-only
"""What differs between two policies in what they mean, not in how they are spelled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ccslab.policy.acl import Acl, merge
from ccslab.policy.canonical import atoms, by_atom, number
from ccslab.policy.domain import Domain, DomainPolicy
from ccslab.policy.exception import DenyAutobind, Entry, ExceptionPolicy, GroupAcl, GroupMember
from ccslab.policy.manager import NON_ROOT, Managers
from ccslab.policy.profile import Profiles


@dataclass
class Section:
    """The difference in one domain, namespace or file.

    :param name: domain or namespace.
    :param state: ``added``, ``removed`` or ``changed``.
    :param removed: lines only in the first policy.
    :param added: lines only in the second policy.
    """

    name: str
    state: str
    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)


@dataclass
class Diff:
    """Sections in order of name; false if the policies mean the same."""

    sections: list[Section] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.sections)

    def lines(self) -> list[str]:
        """Readable text: a ``@@ domain @@`` line, then lines with ``-`` and ``+``."""
        out = []
        for section in self.sections:
            mark = {"added": "+", "removed": "-", "changed": ""}[section.state]
            out.append(f"@@ {mark}{section.name} @@")
            out += [f"-{line}" for line in section.removed]
            out += [f"+{line}" for line in section.added]
        return out

    def data(self) -> list[dict[str, object]]:
        """The same as plain data, for results.json."""
        return [vars(section).copy() for section in self.sections]


def _only(here: dict[Acl, Acl], there: dict[Acl, Acl]) -> list[str]:
    return [acl.format() for acl in sorted(merge(here[atom] for atom in sorted(here.keys() - there.keys())))]


def attributes(domain: Domain) -> list[str]:
    """What stands in a domain above its access control lines."""
    groups = [f"use_group {group}" for group in domain.groups]
    return [f"use_profile {domain.profile}", *domain.flags, *groups]


def _domain(a: Domain | None, b: Domain | None) -> Section | None:
    acls_a, acls_b = by_atom(a.acls if a else []), by_atom(b.acls if b else [])
    head_a, head_b = attributes(a) if a else [], attributes(b) if b else []
    removed = [line for line in head_a if line not in head_b] + _only(acls_a, acls_b)
    added = [line for line in head_b if line not in head_a] + _only(acls_b, acls_a)
    if not removed and not added:
        return None
    some = b or a
    assert some is not None
    state = "changed" if a and b else "added" if b else "removed"
    return Section(some.name, state, removed, added)


def diff_domains(a: DomainPolicy, b: DomainPolicy) -> Diff:
    """What ``b`` has that ``a`` lacks, and the other way round, by domain."""
    names = sorted({*a.domains, *b.domains})
    sections = (_domain(a.domains.get(name), b.domains.get(name)) for name in names)
    return Diff([section for section in sections if section])


def exception_lines(entry: Entry) -> Iterator[tuple[str, str]]:
    """Each line of an entry in its one form, by which it is compared, and as it is spelled."""
    item = entry.item
    match item:
        case GroupAcl(group, acl):
            for atom, spelled in zip(atoms(acl), acl.single(), strict=True):
                yield GroupAcl(group, atom).format(), GroupAcl(group, spelled).format()
        case GroupMember("number_group", name, member):
            yield f"number_group {name} {number(member)}", item.format()
        case DenyAutobind(ports):
            yield f"deny_autobind {number(ports)}", item.format()
        case _:
            yield item.format(), item.format()


def _sections(a: dict[str, dict[str, str]], b: dict[str, dict[str, str]]) -> Diff:
    out = []
    for name in sorted({*a, *b}):
        here, there = a.get(name, {}), b.get(name, {})
        removed = [here[key] for key in sorted(here.keys() - there.keys())]
        added = [there[key] for key in sorted(there.keys() - here.keys())]
        if removed or added:
            state = "changed" if name in a and name in b else "added" if name in b else "removed"
            out.append(Section(name, state, removed, added))
    return Diff(out)


def diff_exceptions(a: ExceptionPolicy, b: ExceptionPolicy) -> Diff:
    """The difference of two exception policies, by namespace."""

    def table(policy: ExceptionPolicy) -> dict[str, dict[str, str]]:
        out: dict[str, dict[str, str]] = {}
        for entry in policy.entries:
            for key, line in exception_lines(entry):
                out.setdefault(entry.namespace, {}).setdefault(key, line)
        return out

    return _sections(table(a), table(b))


def diff_profiles(a: Profiles, b: Profiles) -> Diff:
    """The difference of two sets of profiles, by namespace."""

    def table(profiles: Profiles) -> dict[str, dict[str, str]]:
        out: dict[str, dict[str, str]] = {}
        for space, version in profiles.versions.items():
            _put(out, space, [f"PROFILE_VERSION={version}"])
        for (space, profile_number), profile in profiles.profiles.items():
            one = Profiles(profiles={("<kernel>", profile_number): profile})
            _put(out, space, one.format().splitlines())
        return out

    return _sections(table(a), table(b))


def _put(table: dict[str, dict[str, str]], space: str, lines: Iterable[str]) -> None:
    table.setdefault(space, {}).update({line: line for line in lines})


def diff_managers(a: Managers, b: Managers) -> Diff:
    """The difference of two lists of managers."""

    def table(managers: Managers) -> dict[str, dict[str, str]]:
        names = [*managers.names, *([NON_ROOT] if managers.by_non_root else [])]
        return {"manager": {name: name for name in names}}

    return _sections(table(a), table(b))
