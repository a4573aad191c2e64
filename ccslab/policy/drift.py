# SPDX-License-Identifier: GPL-2.0-only
"""Drift as a person would tell it: what the programs may do now that the golden policy does not say."""

from __future__ import annotations

from collections.abc import Iterable

from ccslab.errors import UserError
from ccslab.policy.acl import parse_acl
from ccslab.policy.exception import GroupAcl, GroupMember, parse_exception_policy
from ccslab.policy.explain import phrase
from ccslab.policy.parity import EXCEPTIONS

WORDS = {"+": ("may now also", "now also"), "-": ("may no longer", "no longer")}


def tell(drift: Iterable[str]) -> list[str]:
    """Sentences of the lines that :meth:`ccslab.policy.parity.Parity.drift` gives, one each.

    A line that is no policy is told as it is.
    """
    told: list[str] = []
    scope = ""
    for line in drift:
        if line.startswith("@@ ") and line.endswith(" @@"):
            scope = line[3:-3]
        else:
            told.append(_sentence(scope, line[:1], line[1:]) if line[:1] in WORDS else line)
    return told


def _sentence(scope: str, sign: str, text: str) -> str:
    may, does = WORDS[sign]
    try:
        if scope != EXCEPTIONS:
            return f"{_who(scope)} {may} {phrase(parse_acl(text))}{_below(scope)}"
        item = next(iter(parse_exception_policy(text + "\n").items()))
    except (UserError, ValueError, KeyError, StopIteration):
        return f"{scope} {does} has: {text}"
    if isinstance(item, GroupMember):
        return f"the group {item.name} {does} has {item.member}"
    if isinstance(item, GroupAcl):
        return f"every program of acl_group {item.number} {may} {phrase(item.acl)}"
    return f"the exception policy {does} has: {text}"


def _who(domain: str) -> str:
    """The program of a domain."""
    return domain.rsplit(" ", maxsplit=1)[-1].rpartition("/")[2]


def _below(domain: str) -> str:
    """By whom it was started, if the policy knows it under more than one."""
    above = [_who(word) for word in domain.split(" ")[1:-1]]
    return f" (started by {', that by '.join(reversed(above))})" if above else ""
