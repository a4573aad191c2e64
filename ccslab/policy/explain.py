# SPDX-License-Identifier: GPL-2.0-only
"""Audit records as sentences: who wanted what, what became of it, and which line of policy would allow it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ccslab.policy.acl import Acl
from ccslab.policy.audit import Record, acl_of

PHRASES: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("phrases.toml").read_text(encoding="ascii")
)
"""Of an access control line's head, by operation."""
NOBODY = "a process"
# What became of a request that no line of policy allows, by mode.
UNGRANTED = {
    "disabled": "and was let",
    "learning": "and was let: it was learned",
    "permissive": "and was let, though no line of policy allows it",
    "enforcing": "and was denied: no line of policy allows it",
}


@dataclass(frozen=True)
class Explanation:
    """One sentence, and what it is about."""

    record: Record
    """The last of them."""
    times: int
    sentence: str
    lines: tuple[str, ...]
    """Of policy: what would allow it in ``record.domain``; none if it is allowed."""

    def format(self) -> str:
        """A few lines of text."""
        often = f" ({self.times} times, the last)" if self.times > 1 else ""
        told = [f"{self.record.time:%F %T}{often} {self.sentence}", f"    in  {self.record.domain}"]
        told += [f"    add {line}" for line in self.lines]
        return "\n".join(told)


def explain(records: Iterable[Record]) -> list[Explanation]:
    """The sentences of an audit log, in the order in which each was said first; the same one only once.

    :raises UserError: a request is not of the language.
    """
    same: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        key = (record.domain, record.request, record.mode, str(record.granted), who(record))
        same.setdefault(key, []).append(record)
    return [_explanation(found[-1], len(found)) for found in same.values()]


def _explanation(record: Record, times: int) -> Explanation:
    found = acl_of(record, conditions=False)
    if not found:  # the kernel's note of what it did to a domain
        return Explanation(record, times, f"the kernel noted: {record.request}", ())
    (wanted,) = found
    result = "and was let, as policy says" if record.granted else UNGRANTED[record.mode]
    about = _about(record) if wanted.head == "file" else ""
    lines = () if record.granted else tuple(acl.format() for acl in acl_of(record))
    return Explanation(record, times, f"{who(record)} wanted to {phrase(wanted)}{about} {result}", lines)


def phrase(acl: Acl) -> str:
    """What an access control line is about: ``rename /a to /b``; several operations with "or"."""
    return " or ".join(PHRASES[acl.head][operation].format(*acl.arguments) for operation in acl.operations)


def who(record: Record) -> str:
    """The program of the record's domain, and as whom it ran; its PID differs from time to time."""
    last = record.domain.split(" ")[-1]
    name = NOBODY if last.startswith("<") else last.rpartition("/")[2]
    user = record.task.get("euid", record.task.get("uid"))
    return name if user is None else f"{name} (as {'root' if user == 0 else f'uid {user}'})"


def _about(record: Record) -> str:
    """The object's owner and mode, where the kernel looked at them."""
    found = record.paths.get("path1", {})
    if not {"uid", "gid", "perm", "type"} <= found.keys():
        return ""
    return f", a {found['type']} of uid {found['uid']} and gid {found['gid']} with mode {found['perm']},"
