# SPDX-License-Identifier: GPL-2.0-only
"""Drives one guest through the phases of a lab, from a policy that is disabled to one that is enforced.

One guest lives through all of them; attacks are tried on clones of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ccslab.errors import LabError
from ccslab.labs import tuning
from ccslab.labs.attackers import Attackers
from ccslab.labs.client import Exchange
from ccslab.labs.definition import Lab
from ccslab.labs.guest import ENFORCING, LEARNING, PERMISSIVE, Guest, appears
from ccslab.labs.inspection import inspect
from ccslab.labs.keeping import Keeper
from ccslab.labs.splats import Witness
from ccslab.labs.step import HttpStep, Step
from ccslab.policy import audit
from ccslab.policy.audit import Record
from ccslab.policy.domain import DomainPolicy
from ccslab.policy.drift import since
from ccslab.policy.exception import ExceptionPolicy
from ccslab.policy.lines import Lines
from ccslab.policy.readback import dropped
from ccslab.results import AttackResult, Check, Phase, PhaseResult, Results

MAIL_TIMEOUT_S = 60.0

Observer = Callable[[PhaseResult], None]


class Engine:
    """One run of one lab on one booted guest.

    :param folder: where policies, audit log and test results of the run go.
    :param observe: told of each phase as it ends.
    :param update_golden: make this run's policy the golden one.
    :param keeper: keeps the guest of what fails first.
    :param attackers: how many clones are attacked at once beside the phases; 0: one, after them.
    """

    def __init__(
        self,
        guest: Guest,
        results: Results,
        folder: Path,
        *,
        observe: Observer,
        update_golden: bool = False,
        attackers: int = 1,
        keeper: Keeper | None = None,
    ) -> None:
        self.guest = guest
        self.lab: Lab = guest.lab
        self.results = results
        self.folder = folder
        self.observe = observe
        self.update_golden = update_golden
        self.baseline: dict[str, Exchange] = {}
        self.pids: dict[str, str] = {}
        self.witness = Witness(guest, folder, results.checks.append)
        self.began = time.monotonic()
        self.keeper = keeper or Keeper(folder, wanted=False, tell=print)
        self.attackers = Attackers(results, folder, guests=attackers, keeper=self.keeper)
        results.attacks = [AttackResult(attack.name, attack.title) for attack in self.lab.attacks]

    def run(self) -> None:
        """All phases in order.

        :raises LabError: the world failed; what was found out until then is in the results.
        """
        with self.attackers:
            for phase, body in (
                (Phase.DISABLED, self.disabled),
                (Phase.LEARNING, self.learning),
                (Phase.TUNED, self.tuned),
                (Phase.PERMISSIVE, self.permissive),
                (Phase.ENFORCING, self.enforcing),
                (Phase.LOGWATCH, self.logwatch),
                (Phase.REPAIR, self.repair),
            ):
                with self.phase(phase) as result:
                    self.attackers.look()
                    body(result)
            with self.phase(Phase.ATTACKED, self.attackers.result):
                self.attackers.finish()
        self.results.finished = True

    @contextlib.contextmanager
    def phase(self, name: Phase, result: PhaseResult | None = None) -> Iterator[PhaseResult]:
        """Times one phase and keeps its result, also when it ends in an error.

        :param result: of a phase that went on beside the others, and times itself.
        """
        beside, result = result is not None, result or PhaseResult(name)
        self.results.phases.append(result)
        started = time.monotonic()
        if not beside:
            result.began = round(started - self.began, 1)
        try:
            yield result
            if not beside:
                self.witness.hear(name)
                if any(check.phase is name and not check.passed for check in self.results.checks):
                    self.keeper.keep(self.guest.machine, f"{name} failed")
        except BaseException as error:
            # Told to the observer below, who must not call this phase passed.
            self.results.error = str(error) or type(error).__name__
            if not beside:
                self.keeper.keep(self.guest.machine, f"{name} broke off")
            with contextlib.suppress(LabError):  # the first error is the one to be told
                self.witness.hear(name)
            raise
        finally:
            if not beside:
                result.add(self.guest.stopwatch.take(), time.monotonic() - started)
            self.observe(result)

    def check(self, result: PhaseResult, name: str, passed: bool, detail: str = "") -> None:
        """Keep one assertion's outcome."""
        self.results.checks.append(Check(result.name, name, passed, "" if passed else detail))

    # Phases

    def disabled(self, result: PhaseResult) -> None:
        """Record what the server answers without TOMOYO."""
        for exchange in self.send(result, [*self.lab.workload, *self.lab.forgotten]):
            self.baseline[exchange.name] = exchange
        self.expect_statuses(result)
        self.pids = self.guest.pids()
        inspect(self, result)
        self.attackers.begin(self.guest, result.name)

    def learning(self, result: PhaseResult) -> None:
        """The same workload, learned; nothing may look different to the client."""
        self.guest.set_profile(LEARNING)
        self.compare(result, self.lab.workload)
        self.guest.typed("ccs-savepolicy")
        self.guest.typed("ccs-pstree | tail -n 20")
        self.keep_kernels("learned")
        inspect(self, result)

    def tuned(self, result: PhaseResult) -> None:
        """Generalise what was learned, load it into the running kernel, and name what the kernel dropped."""
        learned, exceptions = self.guest.domains(), self.guest.exceptions()
        self.results.policy_memory_bytes["learned"] = self.guest.settled_policy_memory()
        policy, groups = tuning.tune(self.lab, learned, exceptions)
        self.load(result, "tuned", policy, groups, replace=True)
        self.results.policy_memory_bytes["tuned"] = self.guest.settled_policy_memory()
        before, after = (self.results.policy_memory_bytes[stage] for stage in ("learned", "tuned"))
        self.check(
            result, "tuning saves policy memory", after < before, f"{before} bytes before, {after} after"
        )
        self.results.drift = tuning.drift(self.lab, policy, groups)
        if self.update_golden:
            tuning.write_golden(self.lab, policy, groups)

    def permissive(self, result: PhaseResult) -> None:
        """Violations are logged, not denied: none by the workload, exactly its own by a CGI never learned."""
        self.guest.set_profile(PERMISSIVE)
        self.guest.forget_violations()
        if any(line.startswith("+") for line in self.results.drift):
            self.trace(result)
        else:
            self.compare(result, self.lab.workload)
        self.none_logged(result, "the learned workload violates nothing")
        self.compare(result, self.lab.forgotten)
        records = self.violations(result)
        # Its first execution comes first; what it runs in turn has its name in the domain.
        unlearned = next(iter(tuning.named_programs(records)), "")
        self.check(
            result,
            f"the program nobody learned is named: {unlearned}",
            bool(unlearned),
            "no execution was logged",
        )
        foreign = [
            f"{record.domain}: {record.request}"
            for record in records
            if unlearned not in f"{record.domain} {record.request}".split(" ")
        ]
        self.check(result, "exactly the forgotten CGI's accesses are logged", not foreign, "; ".join(foreign))
        self.allow(result, records, PERMISSIVE)
        self.guest.forget_violations()
        self.compare(result, self.lab.forgotten)
        self.none_logged(result, "the forgotten CGI, added, violates nothing")
        inspect(self, result)
        self.guest.forget_violations()
        self.attackers.begin(self.guest, result.name)

    def enforcing(self, result: PhaseResult) -> None:
        """Enforce for the protected domains, stay permissive elsewhere; nobody who behaves notices."""
        for domain in self.lab.protected:
            self.guest.set_profile(ENFORCING, domain)
        self.compare(result, [*self.lab.workload, *self.lab.forgotten])
        self.none_logged(result, "nothing legitimate is denied")
        self.same_pids(result)
        self.results.policy_memory_bytes["enforcing"] = self.guest.settled_policy_memory()
        self.keep_kernels("enforcing")
        inspect(self, result)
        self.guest.forget_violations()
        self.attackers.begin(self.guest, result.name)

    def logwatch(self, result: PhaseResult) -> None:
        """A denial reaches the administrator's mailbox by the hourly job of the guest's own cron."""
        self.guest.forget_violations()
        self.guest.perform(self.lab.attacks[0].steps)
        denied = self.violations(result)
        self.guest.typed(f"date -s '{self.lab.hour}'")
        # cron sleeps by elapsed time; the signal makes it look at the clock again.
        self.guest.typed("pkill -HUP -x cron")
        wanted = denied[0].request if denied else "(nothing was denied)"
        status, _ = self.guest.root(
            f"timeout {MAIL_TIMEOUT_S * self.guest.patience:.0f} {appears(wanted, self.lab.mailbox)}",
            check=False,
            timeout_s=MAIL_TIMEOUT_S + 10,
        )
        self.check(
            result, "the denial is in the administrator's mailbox", status == 0, f"no mail names {wanted}"
        )

    def repair(self, result: PhaseResult) -> None:
        """A legitimate access that was denied is added to the running kernel, and works."""
        self.guest.forget_violations()
        steps = [step for step in self.lab.repair if isinstance(step, HttpStep)]
        refused = [exchange.status for exchange in self.send(result, self.lab.repair)]
        self.check(
            result,
            "the unlearned access is denied",
            bool(refused) and all(code >= 400 for code in refused),
            f"{refused or 'the lab has no request for it'}",
        )
        self.guest.typed("tail -n 4 /var/log/tomoyo/reject_003.log")
        self.allow(result, self.violations(result), ENFORCING)
        granted = [exchange.status for exchange in self.send(result, self.lab.repair)]
        wanted = [step.status for step in steps]
        self.check(result, "added live, it works", granted == wanted, f"{granted}, expected {wanted}")
        self.same_pids(result)
        self.witness.examine(result.name)
        (self.folder / audit.FILE).write_text(self.guest.root("cat /var/log/tomoyo/reject_*.log")[1])
        self.guest.machine.shutdown()

    # What phases are made of

    def send(self, result: PhaseResult, steps: list[Step] | tuple[Step, ...]) -> list[Exchange]:
        """Perform steps and count the requests."""
        result.requests += sum(isinstance(step, HttpStep) for step in steps)
        return self.guest.perform(steps)

    def expect_statuses(self, result: PhaseResult) -> None:
        """The undisturbed server answers each step as its file says; else the lab itself is broken."""
        for step in [*self.lab.workload, *self.lab.forgotten]:
            if isinstance(step, HttpStep) and step.status is not None:
                found = self.baseline[step.name].status
                self.check(
                    result, f"{step.name} answers", found == step.status, f"{found}, not {step.status}"
                )

    def compare(self, result: PhaseResult, steps: list[Step] | tuple[Step, ...]) -> None:
        """Perform steps again; each answer must be byte-identical to the disabled run's."""
        for exchange in self.send(result, steps):
            before = self.baseline[exchange.name]
            self.check(
                result,
                f"{exchange.name} is byte-identical",
                exchange.digest() == before.digest(),
                f"was {before.digest()}, is {exchange.digest()}",
            )

    def trace(self, result: PhaseResult) -> None:
        """Perform the workload with a record of each grant: which step asks for what drifted?"""
        self.guest.log_grants(PERMISSIVE, wanted=True)
        self.guest.grants()
        granted = {}
        for step in self.lab.workload:
            self.compare(result, [step])
            granted[step.name] = self.guest.grants()
        self.guest.log_grants(PERMISSIVE, wanted=False)
        lines = Lines(self.guest.domains(), self.guest.exceptions())
        self.results.drift_since = since(self.results.drift, lines, granted)

    def violations(self, result: PhaseResult) -> list[Record]:
        """The protected domains' violations since they were last forgotten, counted."""
        records = self.guest.violations()
        result.violations += len(records)
        return records

    def none_logged(self, result: PhaseResult, name: str) -> None:
        """No protected domain violated policy."""
        records = self.violations(result)
        told = "; ".join(f"{record.domain}: {record.request}" for record in records[:5])
        self.check(result, name, not records, f"{len(records)} violations: {told}")

    def same_pids(self, result: PhaseResult) -> None:
        """The services are the processes that were there before the policy was."""
        now = self.guest.pids()
        self.check(result, "the services' PIDs are unchanged", now == self.pids, f"{self.pids} became {now}")

    def allow(self, result: PhaseResult, records: list[Record], profile: int) -> None:
        """Add what the records ask for to the running kernel, as the administrator would."""
        policy, exceptions = tuning.additions(self.lab, records, profile)
        self.load(result, f"{result.name}-added", policy, exceptions)

    def load(
        self,
        result: PhaseResult,
        stage: str,
        policy: DomainPolicy,
        exceptions: ExceptionPolicy,
        *,
        replace: bool = False,
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
                told = "dropped: " + "; ".join(lost[:5])
                self.check(result, f"the kernel took the {stage} {name}", not lost, told)

    def keep(self, stage: str, name: str, text: str) -> None:
        """Leave policy text in the run's folder."""
        folder = self.folder / "policy" / stage
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.conf").write_text(text)

    def keep_kernels(self, stage: str) -> None:
        """Leave what the kernel has now in the run's folder."""
        for name in ("domain_policy", "exception_policy", "profile", "manager", "stat"):
            self.keep(stage, name, self.guest.interface(name))
