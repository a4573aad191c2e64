# SPDX-License-Identifier: GPL-2.0-only
"""What is to be measured: modes, and how many rules of which kind stand before the ones that are needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ccslab.datafile import ANY, check, read_toml
from ccslab.errors import UserError, unknown
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


_MODES = frozenset({ABSENT, CONFINED, *PROFILES})
SHAPE: dict[str, Any] = {
    "kinds": {ANY: {"rule": str, "apparmor?": str, "group?": str}},
    ANY: {"calls": int, "modes": [_MODES], "counted": [_MODES], "rules": {ANY: [int]}},
}
"""Of plan.toml."""


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

    def _numbered(self, part: str) -> list[str]:
        template = _read()["kinds"][self.kind].get(part, "") if self.count else ""
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
    plans = {key: value for key, value in _read().items() if key != "kinds"}
    if name not in plans:
        raise unknown("plan", name, plans)
    told = plans[name]
    plain = [Configuration(mode) for mode in told["modes"]]
    counted = [
        Configuration(mode, kind, count)
        for mode in told["counted"]
        for kind, counts in told["rules"].items()
        for count in counts
    ]
    return Plan(told["calls"], (*plain, *counted))


@cache
def _read() -> dict[str, dict]:  # type: ignore[type-arg]
    told = read_toml(PLANS)
    check(told, SHAPE, PLANS)
    for name, kinds in told.items():
        for kind in kinds["rules"] if name != "kinds" else ():
            if kind not in told["kinds"]:
                raise UserError(
                    f"{name}.rules names {kind}, and there is no [kinds.{kind}]",
                    where=PLANS,
                    mend="add it, or name another",
                )
    return told
