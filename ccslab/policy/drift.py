# SPDX-License-Identifier: GPL-2.0-only
"""Drift as a person would tell it: what the programs may do now that the golden policy does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ccslab.errors import UserError
from ccslab.policy.acl import parse_acl
from ccslab.policy.audit import Record
from ccslab.policy.exception import GroupAcl, GroupMember, parse_exception_policy
from ccslab.policy.explain import phrase
from ccslab.policy.lines import Lines
from ccslab.policy.parity import EXCEPTIONS

WORDS = {"+": ("may now also", "now also"), "-": ("may no longer", "no longer")}


def tell(drift: Iterable[str], since: Mapping[str, str] | None = None) -> list[str]:
    """Sentences of the lines that :meth:`ccslab.policy.parity.Parity.drift` gives, one each.

    A line that is no policy is told as it is.

    :param since: what :func:`since` found out.
    """
    told: list[str] = []
    for scope, line in _scoped(drift):
        sentence = _sentence(scope, line[:1], line[1:]) if line[:1] in WORDS else line
        step = (since or {}).get(f"{scope}: {line[1:]}") if line.startswith("+") else None
        told.append(f"{sentence}, since the workload does: {step}" if step else sentence)
    return told


def since(drift: Iterable[str], lines: Lines, granted: Mapping[str, Iterable[Record]]) -> dict[str, str]:
    """Which step asks for each line that came, ``scope: line`` -> the first such step.

    :param lines: the policy that has them.
    :param granted: step -> what the kernel granted while it was done.
    """
    used: dict[str, str] = {}
    for step, records in granted.items():
        for line in {line for record in records for line in lines.granting(record)}:
            used.setdefault(f"{line.domain or EXCEPTIONS}: {line.text}", step)
    came = [f"{scope}: {line[1:]}" for scope, line in _scoped(drift) if line.startswith("+")]
    return {line: used[line] for line in came if line in used}


def _scoped(drift: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Lines of drift with the scope they stand in."""
    scope = ""
    for line in drift:
        if line.startswith("@@ ") and line.endswith(" @@"):
            scope = line[3:-3]
        else:
            yield scope, line


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
