# SPDX-License-Identifier: GPL-2.0-only
"""Whether one rule allows all that another allows.

For generalisation and for coverage figures only; the verdict over an access is the kernel's.
"""

from __future__ import annotations

from collections.abc import Iterable

from ccslab.policy import value
from ccslab.policy.acl import SHAPES, Acl
from ccslab.policy.canonical import atoms, condition
from ccslab.policy.condition import Condition
from ccslab.policy.domain import DomainPolicy
from ccslab.policy.exception import ExceptionPolicy
from ccslab.policy.pathname import is_pattern, matches


class Coverage:
    """Answers for one exception policy, whose groups and acl_groups count."""

    def __init__(self, exception: ExceptionPolicy, namespace: str = "<kernel>") -> None:
        self._exception = exception
        self._namespace = namespace
        self._members: dict[tuple[str, str], list[str]] = {}

    def members(self, kind: str, name: str) -> list[str]:
        """Members of a group, remembered."""
        key = (kind, name)
        if key not in self._members:
            self._members[key] = self._exception.members(kind, name, self._namespace)
        return self._members[key]

    def word(self, kind: str, wide: str, narrow: str) -> bool:
        """True if the argument ``wide`` stands for all that ``narrow`` does; kind as in ``SHAPES``."""
        if wide == narrow or (kind == "domains" and narrow.startswith(f"{wide} ")):  # "domains": and below
            return True
        if narrow.startswith("@"):
            return False
        group = {"number": "number_group", "port": "number_group", "address": "address_group"}
        if wide.startswith("@"):
            return any(
                self.word(kind, member, narrow)
                for member in self.members(group.get(kind, "path_group"), wide[1:])
            )
        if kind in ("number", "port"):
            (low, high), (least, most) = value.number_bounds(wide), value.number_bounds(narrow)
            return low <= least and most <= high
        if kind == "address":
            (version, low, high), (other, least, most) = (
                value.address_bounds(wide),
                value.address_bounds(narrow),
            )
            return version == other and low <= least and most <= high
        return not kind.startswith("domain") and not is_pattern(narrow) and matches(narrow, wide)

    def atom(self, wide: Acl, narrow: Acl) -> bool:
        """True if ``wide`` allows all that ``narrow`` (each one operation) allows."""
        if wide.head != narrow.head or wide.operations != narrow.operations:
            return False
        if wide.transition and wide.transition != narrow.transition:
            return False
        kinds = SHAPES[narrow.shape]
        if not all(map(self.word, kinds, wide.arguments, narrow.arguments)):
            return False
        have = {condition(item) for item in narrow.conditions}
        return all(
            any(self._condition(needed, item) for item in have) for needed in map(condition, wide.conditions)
        )

    def _condition(self, wide: Condition, narrow: Condition) -> bool:
        if wide == narrow:
            return True
        if wide.left != narrow.left or not (wide.equals and narrow.equals):
            return False
        if wide.right.startswith('"') or wide.left in ("exec.realpath", "symlink.target"):
            return self.word("path", wide.right.strip('"'), narrow.right.strip('"'))
        numeric = all(c.right[:1].isdigit() or c.right.startswith("@") for c in (wide, narrow))
        return numeric and self.word("number", wide.right, narrow.right)

    def uncovered(self, wide: Iterable[Acl], narrow: Iterable[Acl]) -> list[Acl]:
        """Those atoms of ``narrow`` that no line of ``wide`` allows."""
        table: dict[tuple[str, tuple[str, ...]], list[Acl]] = {}
        for acl in wide:
            for atom in atoms(acl):
                table.setdefault((atom.head, atom.operations), []).append(atom)
        return [
            atom
            for acl in narrow
            for atom in atoms(acl)
            if not any(self.atom(rule, atom) for rule in table.get((atom.head, atom.operations), ()))
        ]


def lost(
    before: DomainPolicy,
    after: DomainPolicy,
    exception: ExceptionPolicy,
    renamed: dict[str, str] | None = None,
) -> dict[str, list[Acl]]:
    """By domain, the atoms of ``before`` that ``after`` with ``exception`` no longer allows.

    :param renamed: new names of domains that have another name in ``after``.
    """
    coverage = Coverage(exception)
    out: dict[str, list[Acl]] = {}
    for domain in before.domains.values():
        there = after.domains.get((renamed or {}).get(domain.name, domain.name))
        rules = [*there.acls, *exception.group_acls(there.groups)] if there else []
        if missing := coverage.uncovered(rules, domain.acls):
            out[domain.name] = missing
    return out
