# SPDX-License-Identifier: GPL-2.0-only
"""The server that lives through a lab's phases, from a policy that is disabled to one that is enforced.

One guest without a restart; attacks are tried on clones of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ccslab.labs import attacking, tuning
from ccslab.labs.attackers import Attackers
from ccslab.labs.client import Exchange
from ccslab.labs.guest import PERMISSIVE, Guest
from ccslab.labs.splats import Witness
from ccslab.labs.step import HttpStep, Step
from ccslab.policy import audit
from ccslab.policy.audit import Record
from ccslab.policy.domain import DomainPolicy
from ccslab.policy.drift import since
from ccslab.policy.exception import ExceptionPolicy
from ccslab.policy.lines import Lines
from ccslab.policy.readback import dropped

if TYPE_CHECKING:
    from ccslab.labs.run import Run

KERNELS = ("domain_policy", "exception_policy", "profile", "manager", "stat")


class Server:
    """What the phases of a run are made of.

    :param attackers: how many clones are attacked at once beside the phases; 0: one, after them.
    """

    def __init__(self, run: Run, guest: Guest, *, attackers: int = 1) -> None:
        self.run = run
        self.guest = guest
        self.baseline: dict[str, Exchange] = {}
        """What it answered when TOMOYO was disabled, by the step's name."""
        self.pids: dict[str, str] = {}
        """Of its services, then."""
        self.witness = Witness(guest.machine, run.folder, run.results.checks.append, guest=guest)
        self.attackers: Attackers | None = None
        if attacking.PHASE in run.lab.phases:
            grid = run.grid(attacking.grid(run.lab.attacks))
            self.attackers = Attackers(run.results, grid, run.folder, guests=attackers, keeper=run.keeper)
            run.beside(self.attackers.result)

    def look(self) -> None:
        """Whether all is well beside the phases.

        :raises LabError: a clone's world failed.
        """
        if self.attackers:
            self.attackers.look()

    def attack(self) -> None:
        """Begin the lab's attacks on a clone of the guest as it is now, in the mode of this phase."""
        if self.attackers:
            self.attackers.begin(self.guest, self.run.current.name)

    def finish(self) -> None:
        """Wait for all attacks.

        :raises LabError: a clone's world failed.
        """
        if self.attackers:
            self.attackers.finish()

    def close_down(self) -> None:
        """What is asked of a kernel at the end, the audit log, and the shutdown."""
        self.witness.examine(self.run.current.name)
        (self.run.folder / audit.FILE).write_text(self.guest.root("cat /var/log/tomoyo/reject_*.log")[1])
        self.guest.machine.shutdown()

    # Steps and answers

    def send(self, steps: Sequence[Step]) -> list[Exchange]:
        """Perform steps and count the requests."""
        self.run.current.count("request", sum(isinstance(step, HttpStep) for step in steps))
        return self.guest.perform(steps)

    def compare(self, steps: Sequence[Step]) -> None:
        """Perform steps again; each answer must be byte-identical to the disabled run's."""
        for exchange in self.send(steps):
            before = self.baseline[exchange.name]
            self.run.check(
                f"{exchange.name} is byte-identical",
                exchange.digest() == before.digest(),
                f"was {before.digest()}, is {exchange.digest()}",
            )

    def trace(self) -> None:
        """Perform the workload with a record of each grant: which step asks for what drifted?"""
        self.guest.log_grants(PERMISSIVE, wanted=True)
        self.guest.grants()
        granted = {}
        for step in self.run.lab.workload:
            self.compare([step])
            granted[step.name] = self.guest.grants()
        self.guest.log_grants(PERMISSIVE, wanted=False)
        lines = Lines(self.guest.domains(), self.guest.exceptions())
        self.run.results.drift_since = since(self.run.results.drift or [], lines, granted)

    def same_pids(self) -> None:
        """The services are the processes that were there before the policy was."""
        now = self.guest.pids()
        self.run.check("the services' PIDs are unchanged", now == self.pids, f"{self.pids} became {now}")

    # Violations

    def violations(self) -> list[Record]:
        """The protected domains' violations since they were last forgotten, counted."""
        records = self.guest.violations()
        self.run.current.count("violation", len(records))
        return records

    def none_logged(self, name: str) -> None:
        """No protected domain violated policy."""
        records = self.violations()
        first = "; ".join(f"{record.domain}: {record.request}" for record in records[:5])
        self.run.check(name, not records, f"{len(records)} violations: {first}")

    # Policy

    def allow(self, records: Sequence[Record], profile: int) -> None:
        """Add what the records ask for to the running kernel, as the administrator would."""
        policy, exceptions = tuning.additions(self.run.lab, records, profile)
        self.load(f"{self.run.current.name}-added", policy, exceptions)

    def load(
        self, stage: str, policy: DomainPolicy, exceptions: ExceptionPolicy, *, replace: bool = False
    ) -> None:
        """Load policy into the running kernel, keep it in the run's folder, and read it back."""
        for kind, name, text in (
            ("e", "exception_policy", exceptions.format()),
            ("d", "domain_policy", policy.format()),
        ):
            self.keep(stage, name, text)
            if text:
                self.guest.load(kind, text, f"{stage}-{name}.conf", replace=replace)
                lost = dropped(text, self.guest.interface(name), name.removesuffix("_policy"))
                self.run.check(
                    f"the kernel took the {stage} {name}", not lost, "dropped: " + "; ".join(lost[:5])
                )

    def measure_memory(self, stage: str) -> int:
        """What policy takes of the kernel's memory now, bytes; kept as a figure of the run."""
        size = self.guest.settled_policy_memory()
        self.run.measure("policy memory", stage, size, "bytes")
        return size

    def keep(self, stage: str, name: str, text: str) -> None:
        """Leave policy text in the run's folder."""
        folder = self.run.folder / "policy" / stage
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.conf").write_text(text)

    def keep_kernels(self, stage: str) -> None:
        """Leave what the kernel has now in the run's folder."""
        for name in KERNELS:
            self.keep(stage, name, self.guest.interface(name))
