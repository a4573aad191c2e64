# SPDX-License-Identifier: GPL-2.0-only
"""What is to be measured: modes, and how many rules of which kind stand before the ones that are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from ccslab.datafile import Fault, Loose, Meta, Parsed, Record, Text, Word, part, read_toml
from ccslab.errors import unknown
from ccslab.policy import language

PLANS = Path(__file__).with_name("plan.toml")
ABSENT = "not-in-lsm"
BESIDE = "disabled-beside"
"""Disabled for the benchmark, after a process was checked: the kernel has to find out for whom."""
PROFILES = {mode: number for number, mode in enumerate(language.MODES)} | {BESIDE: 0}
CONFINED = "confined"
DENIES = {"enforcing": "Operation not permitted", CONFINED: "Permission denied"}
"""What a program is told, in the modes that deny what no rule allows: TOMOYO's and AppArmor's words."""
DOMAIN = "<kernel> /bin/ccsbench"
OPERATIONS = (
    "null",
    "open+close",
    "stat",
    "read",
    "create+unlink",
    "rename",
    "fork+exit",
    "fork+exec",
    "connect+accept",
    "send+recv",
    "kill",
    "setpriority",
    "netlink+close",
)
"""What ccsbench does, in its order."""
# What the operations need, in the order of TOMOYO's lists: after all other rules. Kernels without the series
# pass over "accept", "recv" and the last lines.
NEEDED = """\
file read /bench/data/file
file getattr /bench/data/file
file create /bench/data/new 0600
file write /bench/data/new
file unlink /bench/data/new
file rename /bench/data/here /bench/data/there
file rename /bench/data/there /bench/data/here
file execute /bench/nothing
network inet stream bind/listen/connect/accept 127.0.0.1 1024-65535
network inet dgram bind/send/recv 127.0.0.1 7000
ipc signal 28 <kernel>
capability SYS_NICE
capability use_route
""".splitlines()
# The same for AppArmor.
CONFINEMENT = """\
profile ccsbench /bin/ccsbench {
  capability,
  network,
  signal,
  @RULES
  /bin/ccsbench mr,
  /bench/data/file r,
  /bench/data/{new,here,there} rw,
  /bench/nothing mrix,
}
"""
KEPT = (11, 8)
"""How many the kernel makes of those, with the series and without: one of all that share their operands."""


class Mode(Word):
    """A mode that can be measured."""

    noun = "mode"
    words = frozenset({ABSENT, CONFINED, *PROFILES})


class Kind(Record, frozen=True):
    """What the rules of a kind say, in TOMOYO's and AppArmor's words, and the group that they name."""

    rule: Text
    apparmor: Text = ""
    group: Text = ""


Calls: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
Rules: TypeAlias = Annotated[int, Meta(ge=0, le=99_999)]  # a rule's number has five digits


class _Plan(Record, frozen=True):
    calls: Calls
    modes: tuple[Mode, ...]
    counted: tuple[Mode, ...]
    rules: dict[Text, tuple[Rules, ...]]


class _Kinds(Loose, frozen=True):
    kinds: Annotated[dict[Text, Kind], Meta(min_length=1)]


class _Plans(Parsed):
    """plan.toml: ``kinds``, and every other table is a plan."""

    def __init__(self, kinds: Mapping[str, Kind], plans: Mapping[str, _Plan]) -> None:
        self.kinds = kinds
        self.plans = plans

    @classmethod
    def from_data(cls, data: Any) -> _Plans:
        """Both.

        :raises Fault: one is malformed, or a plan names a kind that there is not.
        """
        kinds = part(data, _Kinds).kinds
        plans = part({key: value for key, value in data.items() if key != "kinds"}, dict[Text, _Plan])
        for name, plan in plans.items():
            for kind in plan.rules:
                if kind not in kinds:
                    near = unknown("kind", kind, kinds)
                    raise Fault(near.what, name, "rules", mend=near.mend, key=kind)
        return cls(kinds, plans)


@dataclass(frozen=True)
class Configuration:
    """One state of the benchmark's domain."""

    mode: str
    """``not-in-lsm``, one of :data:`PROFILES`, or AppArmor's ``confined``."""
    kind: str = ""
    """Of the rules before the needed ones; "" if there are none."""
    count: int = 0
    """How many there are, or how many members has the group of the only one."""

    @property
    def name(self) -> str:
        """As tables, files and the guest call it: ``enforcing``, ``enforcing-exact-1000``."""
        return f"{self.mode}-{self.kind}-{self.count}" if self.count else self.mode

    @property
    def domain(self) -> str:
        """The domain policy, as it is written to the kernel; "" in modes that are not TOMOYO's."""
        if self.mode not in PROFILES:
            return ""
        lines = [DOMAIN, f"use_profile {PROFILES[self.mode]}", "use_group 0", *self.before, *NEEDED]
        return "\n".join(lines) + "\n"

    @property
    def before(self) -> list[str]:
        """TOMOYO's rules before the needed ones: one if they are ``count`` members of one group."""
        return self._numbered("rule")

    @property
    def exceptions(self) -> str:
        """The groups that its rules name."""
        if self.mode not in PROFILES:
            return ""
        return "".join(f"{line}\n" for line in self._numbered("group"))

    @property
    def confinement(self) -> str:
        """AppArmor's profile of the benchmark, with rules for other files as TOMOYO's domain has them."""
        return CONFINEMENT.replace("@RULES", "\n  ".join(self._numbered("apparmor")))

    def _numbered(self, words: str) -> list[str]:
        template: str = getattr(_read().kinds[self.kind], words) if self.count else ""
        lines = [
            template.replace("%s", self.name).replace("%05d", f"{number:05}") for number in range(self.count)
        ]
        return list(dict.fromkeys(lines)) if template else []


@dataclass(frozen=True)
class Plan:
    """The configurations to be measured, and how often each operation is done in each."""

    calls: int
    configurations: tuple[Configuration, ...]


def find(name: str) -> Plan:
    """A plan of plan.toml.

    :raises UserError: there is none of this name, or plan.toml is malformed.
    """
    plans = _read().plans
    if name not in plans:
        raise unknown("plan", name, plans)
    plan = plans[name]
    plain = [Configuration(mode) for mode in plan.modes]
    counted = [
        Configuration(mode, kind, count)
        for mode in plan.counted
        for kind, counts in plan.rules.items()
        for count in counts
    ]
    return Plan(plan.calls, (*plain, *counted))


def kinds() -> Mapping[str, Kind]:
    """The kinds of rules there are.

    :raises UserError: plan.toml is malformed.
    """
    return _read().kinds


@cache
def _read() -> _Plans:
    return read_toml(PLANS, _Plans)
