# SPDX-License-Identifier: GPL-2.0-only
"""What a run found out: plain data, filled phase by phase, readable while the run is not over."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class What(enum.StrEnum):
    """What a run waits for."""

    HTTP = "http"
    """The server's answers."""
    SSH = "ssh"
    """Commands of the harness over SSH."""
    CONSOLE = "tty"
    """What is typed on the console."""
    AUDIT = "audit"
    """The auditor, until a record is in the log, and its reading."""
    RESTORE = "load"
    """Going back to a checkpoint."""
    SAVE = "save"
    """Making one."""
    TESTS = "tests"
    """The lab's assertions."""
    REST = "rest"
    """The harness itself."""


@dataclass
class Spent:
    """Wall seconds, and in how many parts."""

    seconds: float = 0.0
    times: int = 0


class Phase(enum.StrEnum):
    """The states a guest lives through, in this order, without a restart."""

    BOOT = "boot"
    DISABLED = "disabled"
    LEARNING = "learning"
    TUNED = "tuned"
    PERMISSIVE = "permissive"
    ENFORCING = "enforcing"
    LOGWATCH = "logwatch"
    REPAIR = "repair"
    ATTACKED = "attacked"
    """Beside the others, on clones of the guest as it was in three of them."""


class Outcome(enum.StrEnum):
    """What became of an attack in one mode."""

    SUCCEEDED = "succeeded"
    LOGGED = "logged"
    """It succeeded, and the kernel logged what policy would have denied."""
    DENIED = "denied"
    """The attacker got nothing, the kernel logged the denial, and the client saw what it should."""
    FAILED = "failed"
    """The attacker got nothing, but not because of a denial of ours: proves nothing."""
    UNDENIED = "undenied"
    """The attacker got it although the policy is enforced."""
    UNLOGGED = "unlogged"
    """It succeeded in permissive mode, and nothing was logged."""
    MISLED = "misled"
    """Denied and logged, but the client saw another status than it should."""


WANTED = {
    Phase.DISABLED: Outcome.SUCCEEDED,
    Phase.PERMISSIVE: Outcome.LOGGED,
    Phase.ENFORCING: Outcome.DENIED,
}


@dataclass
class Check:
    """One thing the run asserts, and whether it held."""

    phase: Phase
    name: str
    passed: bool
    detail: str = ""
    seconds: float = 0.0
    evidence: str = ""
    """The file of the run's folder that shows the whole of it, if one does."""


@dataclass
class PhaseResult:
    """One phase as it went."""

    name: Phase
    seconds: float = 0.0
    requests: int = 0
    violations: int = 0
    """Audit records of protected domains in this phase that were not granted."""
    spent: dict[What, Spent] = field(default_factory=dict)
    """Where its time went."""
    began: float = 0.0
    """Seconds after the first of the run."""

    def add(self, spent: Mapping[What, Spent], seconds: float) -> None:
        """A further part of the phase."""
        self.seconds = round(self.seconds + seconds, 1)
        for what, one in spent.items():
            total = self.spent.setdefault(what, Spent())
            total.seconds += one.seconds
            total.times += one.times


@dataclass
class AttackResult:
    """One attack in the three modes."""

    name: str
    title: str
    outcomes: dict[Phase, Outcome] = field(default_factory=dict)
    status: dict[Phase, int] = field(default_factory=dict)
    """HTTP status of its last request, by mode."""
    records: dict[Phase, list[str]] = field(default_factory=dict)
    """The audit records that protected domains left, by mode."""

    @property
    def passed(self) -> bool:
        """Succeeded when disabled, logged when permissive, denied when enforcing."""
        return all(self.outcomes.get(phase) is wanted for phase, wanted in WANTED.items())


@dataclass
class Results:
    """All that one run of one lab found out."""

    lab: str
    arch: str
    kernel: str
    release: str = ""
    accel: str = ""
    phases: list[PhaseResult] = field(default_factory=list)
    attacks: list[AttackResult] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    policy_memory_bytes: dict[str, int] = field(default_factory=dict)
    drift: list[str] = field(default_factory=list)
    """Learned and generalised policy against the golden one, a line each."""
    drift_since: dict[str, str] = field(default_factory=dict)
    """Line that came (``scope: line``) -> the step of the workload that asks for it."""
    finished: bool = False
    error: str = ""
    """Why the run did not come to its end, the one line a person was told."""

    @property
    def passed(self) -> bool:
        """Whether every phase was reached, every check held and every attack met its fate."""
        return (
            self.finished
            and all(check.passed for check in self.checks)
            and all(attack.passed for attack in self.attacks)
        )

    @property
    def verdict(self) -> str:
        """``passed``, ``failed``, or ``error`` for a run that did not come to its end."""
        if not self.finished:
            return "error"
        return "passed" if self.passed else "failed"
