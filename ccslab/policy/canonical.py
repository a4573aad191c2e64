# SPDX-License-Identifier: GPL-2.0-only
"""One form for all spellings of the same rule, so that policies can be compared as sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ccslab.policy import value
from ccslab.policy.acl import SHAPES, Acl
from ccslab.policy.condition import Condition


def number(word: str) -> str:
    """Decimal range, so that ``0x10`` equals ``16``; groups as they are."""
    if word.startswith("@"):
        return word
    least, most = value.number_bounds(word)
    return str(least) if least == most else f"{least}-{most}"


def _operand(word: str) -> str:
    return number(word) if word[:1].isdigit() else word


def condition(item: Condition) -> Condition:
    """The condition with its numbers in decimal."""
    return Condition(_operand(item.left), item.equals, _operand(item.right))


def atoms(acl: Acl) -> list[Acl]:
    """The line taken apart: one operation each, numbers in decimal, conditions sorted and single."""
    kinds = SHAPES[acl.shape]
    arguments = tuple(
        number(word) if kind in ("number", "port") else word
        for kind, word in zip(kinds, acl.arguments, strict=True)
    )
    conditions = tuple(sorted({condition(item) for item in acl.conditions}))
    whole = replace(acl, arguments=arguments, conditions=conditions)
    return list(whole.single())


def atom_set(acls: Iterable[Acl]) -> set[Acl]:
    """All atoms of many lines."""
    return {atom for acl in acls for atom in atoms(acl)}


def by_atom(acls: Iterable[Acl]) -> dict[Acl, Acl]:
    """Each atom to a line of that one operation in the spelling in which it was first met."""
    out: dict[Acl, Acl] = {}
    for acl in acls:
        for atom, spelled in zip(atoms(acl), acl.single(), strict=True):
            out.setdefault(atom, spelled)
    return out
