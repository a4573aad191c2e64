# SPDX-License-Identifier: GPL-2.0-only
"""The ``stat`` file: policy updates, violations per mode, memory in use and its quotas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ccslab.policy.source import Statement, lines, read, refuse

_POLICY = re.compile(
    r"Policy (?P<what>update|violation in (?:learning|permissive|enforcing) mode): "
    r"(?P<count>[0-9]+)(?: \(Last: (?P<last>[0-9/]+ [0-9:]+)\))?"
)
_MEMORY = re.compile(
    r"Memory used by (?P<kind>policy|audit log|query message): "
    r"(?P<used>[0-9]+)(?: \(Quota: (?P<quota>[0-9]+)\))?"
)
_TOTAL = re.compile(r"Total memory used: (?P<total>[0-9]+)")


@dataclass(frozen=True)
class Count:
    """How often, and when last (``YYYY/MM/DD hh:mm:ss``, "" for never)."""

    count: int
    last: str = ""


@dataclass(frozen=True)
class Memory:
    """Bytes in use and, unless 0, allowed."""

    used_bytes: int
    quota_bytes: int = 0


@dataclass
class Stat:
    """What the kernel reports.

    :param updates: policy updates; None in a file of quotas.
    :param violations: by mode (``learning``, ``permissive``, ``enforcing``).
    :param memory: by kind (``policy``, ``audit log``, ``query message``).
    :param total_bytes: all memory in use; None in a file of quotas.
    """

    updates: Count | None = None
    violations: dict[str, Count] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    total_bytes: int | None = None

    def format(self) -> str:
        """As the kernel prints it."""
        out = []
        if self.updates:
            out.append(_count("update:", self.updates))
        out += [_count(f"violation in {mode} mode:", count) for mode, count in self.violations.items()]
        for kind, memory in self.memory.items():
            quota = f" (Quota: {memory.quota_bytes:>10})" if memory.quota_bytes else ""
            out.append(f"Memory used by {kind + ':':<22} {memory.used_bytes:>10}{quota}")
        if self.total_bytes is not None:
            out.append(f"Total memory used:                    {self.total_bytes:>10}")
        return "".join(f"{line}\n" for line in out)


def _count(what: str, count: Count) -> str:
    return f"Policy {what:<30} {count.count:>10}" + (f" (Last: {count.last})" if count.last else "")


def parse_stat_line(line: str) -> re.Match[str]:
    """Read one normalised line; ValueError if it is none of the known ones."""
    for form in (_POLICY, _MEMORY, _TOTAL):
        if found := form.fullmatch(line):
            return found
    raise ValueError("not a line of stat (Policy ...: N, Memory used by ...: N, Total memory used: N)")


def scan_stat(text: str) -> Iterator[Statement[re.Match[str]]]:
    """Every line with its meaning or fault; never raises."""
    for number, line in lines(text):
        item, fault = read(parse_stat_line, line)
        yield Statement(number, line, "", item, fault)


def parse_stat(text: str, source: str = "") -> Stat:
    """Read a stat file (as printed) or stat.conf (quotas); UserError for the first malformed line."""
    stat = Stat()
    for statement in refuse(scan_stat(text), source):
        assert statement.item is not None
        said = statement.item.groupdict()
        if "what" in said:
            count = Count(int(said["count"]), said["last"] or "")
            if said["what"] == "update":
                stat.updates = count
            else:
                stat.violations[said["what"].split(" ")[2]] = count
        elif "kind" in said:
            stat.memory[said["kind"]] = Memory(int(said["used"]), int(said["quota"] or 0))
        else:
            stat.total_bytes = int(said["total"])
    return stat
