# SPDX-License-Identifier: GPL-2.0-only
"""The single lines of a policy that allow something, and which of them may have granted a request."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ccslab.policy.acl import SHAPES, Acl
from ccslab.policy.audit import Record, acl_of
from ccslab.policy.canonical import atoms
from ccslab.policy.coverage import Coverage
from ccslab.policy.domain import DomainPolicy
from ccslab.policy.exception import ExceptionPolicy, GroupAcl, GroupMember


@dataclass(frozen=True, order=True)
class Line:
    """One line that allows something.

    :param domain: whose it is; "" for a line of the exception policy.
    """

    domain: str
    text: str

    def removal(self) -> list[str]:
        """What is written to the kernel's policy to take it out."""
        return [*([f"select {self.domain}"] if self.domain else []), f"delete {self.text}"]

    def __str__(self) -> str:
        return f"{self.domain or '(exception policy)'}: {self.text}"


class Lines:
    """The lines of one policy that allow something: ACLs, those of acl_groups, and members of groups.

    Only groups that an ACL of the domains uses count: others allow nothing to these domains.
    """

    def __init__(self, policy: DomainPolicy, exceptions: ExceptionPolicy) -> None:
        self.policy = policy
        self.exceptions = exceptions
        self._coverage = Coverage(exceptions)
        self._known: dict[tuple[str, str], frozenset[Line]] = {}

    def all(self) -> list[Line]:
        """Every line, those of domains first, in the files' order."""
        domains = self.policy.domains.values()
        own = [(domain, acl) for domain in domains for acl in domain.acls]
        shared = self._shared({number for domain in domains for number in domain.groups})
        acls = [*(acl for _, acl in own), *(item.acl for item in shared)]
        used = {group for acl in acls for group in acl.groups()}
        members = [
            item
            for item in self.exceptions.items()
            if isinstance(item, GroupMember) and (item.kind, item.name) in used
        ]
        return [
            *(Line(domain.name, acl.format()) for domain, acl in own),
            *(Line("", item.format()) for item in shared),
            *(Line("", item.format()) for item in members),
        ]

    def _shared(self, numbers: Collection[int]) -> list[GroupAcl]:
        """The lines of some acl_groups."""
        items = self.exceptions.items()
        return [item for item in items if isinstance(item, GroupAcl) and item.number in numbers]

    def granting(self, record: Record) -> frozenset[Line]:
        """The lines of which each may have granted a request, and the members of groups that let it.

        Text against text, to know what to remove and what else may cover it: whether it does, the kernel
        says.
        """
        key = (record.domain, " ".join(acl.format() for acl in acl_of(record)))
        if key not in self._known:
            self._known[key] = frozenset(self._granting(record))
        return self._known[key]

    def _granting(self, record: Record) -> Iterator[Line]:
        domain = self.policy.domains.get(record.domain)
        if domain is None:
            return
        lines = [(acl, Line(domain.name, acl.format())) for acl in domain.acls]
        lines += [(item.acl, Line("", item.format())) for item in self._shared(domain.groups)]
        for wanted in (atom for acl in acl_of(record) for atom in atoms(acl)):
            for acl, line in lines:
                for atom in atoms(acl):
                    if self._coverage.atom(atom, wanted):
                        yield line
                        yield from self._members(atom, wanted)

    def _members(self, acl: Acl, wanted: Acl) -> Iterator[Line]:
        kinds = {"number": "number_group", "port": "number_group", "address": "address_group"}
        for kind, wide, narrow in zip(SHAPES[wanted.shape], acl.arguments, wanted.arguments, strict=True):
            if wide.startswith("@"):
                group = kinds.get(kind, "path_group")
                for member in self._coverage.members(group, wide[1:]):
                    if self._coverage.word(kind, member, narrow):
                        yield Line("", GroupMember(group, wide[1:], member).format())
