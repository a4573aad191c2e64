# SPDX-License-Identifier: GPL-2.0-only
"""Is each line of a lab's golden policy needed? It is taken out, and what the workload did by it repeated.

And the other way round: is a line that is not there what stops an attack? Put in, the attack is tried again.
"""

from __future__ import annotations

import contextlib
import enum
import queue
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from ccslab.errors import InfrastructureError, LabError, UserError
from ccslab.labs import attacking, tuning
from ccslab.labs.attack import Attack
from ccslab.labs.definition import Lab
from ccslab.labs.guest import ENFORCING, PERMISSIVE, Guest
from ccslab.policy.domain import parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.lines import Line, Lines

SEGMENT = 6  # steps between two checkpoints: what a mutant's way to its step is at most
ENFORCED = "enforced"
ANSWER_S = 15.0  # a program that tries again and again keeps its visitor waiting
IN_VAIN = 3  # trials in a row that a guest may fail at before it is given up
ROUNDS = 4  # of denials that an attack meets only when those before are lifted
TYPED = 2000  # characters of policy in one command on a serial line


class Need(enum.StrEnum):
    """What became of the workload without a line."""

    NEEDED = "needed"
    """The kernel denied what it had granted before."""
    REDUNDANT = "redundant"
    """It did not: another line covers all that the workload does."""
    UNEXERCISED = "never exercised"
    """The workload asks for nothing that the line allows."""


@dataclass
class Mutant:
    """The policy without one line, and what came of it."""

    line: Line
    need: Need = Need.UNEXERCISED
    step: str = ""
    """The first step of the workload that asked for it."""
    denied: str = ""
    noticed: bool = False
    """Whether a visitor got another answer."""
    covered_by: list[Line] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What sets it apart from all others of a golden policy."""
        return str(self.line)


@dataclass
class Widened:
    """The policy with what an attack lacks, and whether it gets through then."""

    attack: str
    title: str
    stopped_by: str = ""
    """What the kernel denied it, of what the lab expects."""
    lines: list[Line] = field(default_factory=list)
    """What was added."""
    through: bool = False

    @property
    def name(self) -> str:
        """What sets it apart from all others of a lab."""
        return f"attack {self.attack}"


def told(found: Mutant | Widened) -> dict[str, Any]:
    """A result as plain JSON data; ``recalled`` makes it again."""
    return asdict(found)


def recalled(data: Mapping[str, Any]) -> Mutant | Widened:
    """The result that was told.

    :raises UserError: it is none.
    """
    try:
        if "attack" in data:
            return Widened(**{**data, "lines": [Line(**line) for line in data["lines"]]})
        more = {"line": Line(**data["line"]), "need": Need(data["need"])}
        return Mutant(**{**data, **more, "covered_by": [Line(**line) for line in data["covered_by"]]})
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"is no result of lab.mutate: {error}", mend="leave out --resume") from error


@dataclass
class Steps:
    """What the workload did under the whole policy."""

    baseline: list[str] = field(default_factory=list)
    """Of each step, what it answered."""
    seen: dict[Line, list[int]] = field(default_factory=dict)
    """Line -> the steps that were granted something it allows."""
    together: dict[Line, set[Line]] = field(default_factory=dict)
    """Line -> others that allow the same of some request."""


class Mutation:
    """One guest under the golden policy, then as many clones of it as there are cores for.

    :param only: take lines and attacks only in whose domain, text or name it is.
    """

    def __init__(self, lab: Lab, *, only: str = "") -> None:
        self.lab = lab
        domains, exceptions = tuning.golden(lab)
        self.texts = domains, exceptions
        self.lines = Lines(parse_domain_policy(domains), parse_exception_policy(exceptions))
        self.chosen = [line for line in self.lines.all() if only in str(line)]
        self.attacks = [attack for attack in lab.attacks if only in attack.name]
        if not self.chosen and not self.attacks:
            raise UserError(
                f"no line of the golden policy and no attack has {only!r} in it",
                where="--only",
                mend="name a part of one",
            )
        self.steps = Steps()
        self.failed: list[LabError] = []
        """Why something came to no result."""

    @property
    def names(self) -> list[str]:
        """Of all that is to be found out, in order."""
        return [*(Mutant(line).name for line in self.chosen), *(_widened(one).name for one in self.attacks)]

    def leave_out(self, done: Collection[str]) -> None:
        """What of it is known already."""
        self.chosen = [line for line in self.chosen if Mutant(line).name not in done]
        self.attacks = [attack for attack in self.attacks if _widened(attack).name not in done]

    # Under the whole policy

    def enforce(self, guest: Guest) -> None:
        """Load the golden policy and enforce it, with a record of all that is granted.

        :raises InfrastructureError: the guest cannot do it.
        """
        # As in a run of the lab: what is made once was made before anything is learned.
        guest.perform(self.lab.workload)
        domains, exceptions = self.texts
        guest.load("e", exceptions, "golden-exception_policy.conf", replace=True)
        guest.load("d", domains, "golden-domain_policy.conf")
        guest.set_profile(PERMISSIVE)
        for domain in self.lab.protected:
            guest.set_profile(ENFORCING, domain)
        guest.log_grants(ENFORCING, wanted=True)
        guest.forget_violations()

    def walk(self, guest: Guest, advance: Callable[[str], None]) -> None:
        """Do the workload once, with a checkpoint now and then, and note which lines each step uses.

        :raises UserError: the golden policy denies some of it.
        """
        for number, step in enumerate(self.lab.workload):
            if number % SEGMENT == 0:
                guest.grants()
                guest.save(segment(number))
            self.steps.baseline.append(answer(guest, [step]))
            if denied := guest.violations():
                raise UserError(
                    f"the golden policy denies the workload's step {step.name!r}: {denied[0].request}",
                    where=tuning.golden_folder(self.lab),
                    mend=f"./inv lab.scenario {self.lab.name} shows what it lacks",
                )
            for record in guest.grants():
                lines = self.lines.granting(record)
                for line in lines:
                    if number not in (seen := self.steps.seen.setdefault(line, [])):
                        seen.append(number)
                    self.steps.together.setdefault(line, set()).update(lines - {line})
            advance(step.name)
        guest.log_grants(ENFORCING, wanted=False)
        guest.forget_violations()

    # Under policies with a line less or more

    def mutate(self, guests: Sequence[Guest], tell: Callable[[Mutant | Widened], None]) -> None:
        """Take out each line in turn, and lift what stops each attack; each guest does a part of it.

        A guest whose world fails costs what it was at and no more; why is in ``failed``.

        :param tell: called with each result, from any thread.
        """
        work: queue.SimpleQueue[Line | Attack] = queue.SimpleQueue()
        for line in self.chosen:
            work.put(line)
        for attack in self.attacks:
            work.put(attack)
        with ThreadPoolExecutor(len(guests), thread_name_prefix="mutation") as pool:
            try:
                for done in [pool.submit(self._work, guest, work, tell) for guest in guests]:
                    done.result()
            except BaseException:
                # The disk is full, or a person wants no more: nobody waits for what the guests are at.
                while not work.empty():
                    with contextlib.suppress(queue.Empty):
                        work.get_nowait()
                for guest in guests:
                    guest.machine.kill()
                raise

    def _work(
        self,
        guest: Guest,
        work: queue.SimpleQueue[Line | Attack],
        tell: Callable[[Mutant | Widened], None],
    ) -> None:
        in_vain = 0
        while in_vain < IN_VAIN and guest.machine.alive():
            try:
                one = work.get_nowait()
            except queue.Empty:
                return
            try:
                guest.client.timeout_s = ANSWER_S * guest.patience
                with guest.on_console():
                    found = self.without(guest, one) if isinstance(one, Line) else self.widened(guest, one)
            except LabError as error:
                self.failed.append(error)
                in_vain += 1
            else:
                in_vain = 0
                tell(found)

    def without(self, guest: Guest, line: Line) -> Mutant:
        """The policy without a line, and the steps that were granted something by it."""
        mutant = Mutant(line)
        seen = self.steps.seen.get(line)
        if not seen:
            return mutant
        mutant.step = self.lab.workload[seen[0]].name
        for first in sorted({number - number % SEGMENT for number in seen}):
            guest.go_back(segment(first))
            guest.log_grants(ENFORCING, wanted=False)
            typed(guest, "d" if line.domain else "e", line.removal())
            mine = [number for number in seen if first <= number < first + SEGMENT]
            for number in range(first, mine[-1] + 1):
                try:
                    mutant.noticed |= (
                        answer(guest, [self.lab.workload[number]]) != self.steps.baseline[number]
                    )
                except InfrastructureError:
                    if not guest.machine.alive():
                        raise
                    mutant.noticed = True  # what the step waited for did not come
                if number in mine and (denied := guest.violations(most=1)):
                    mutant.need, mutant.step = Need.NEEDED, self.lab.workload[number].name
                    mutant.denied = f"{denied[0].domain}: {denied[0].request}"
                    return mutant
            self._examine_gone(guest, line)
        mutant.need = Need.REDUNDANT
        mutant.covered_by = sorted(self.steps.together.get(line, ()))
        return mutant

    def _examine_gone(self, guest: Guest, line: Line) -> None:
        """That nothing was denied proves nothing while the kernel still has the line."""
        if line.domain:
            domain = guest.domains().domains.get(line.domain)
            there = [acl.format() for acl in domain.acls] if domain else []
        else:
            there = [item.format() for item in guest.exceptions().items()]
        if line.text in there:
            raise InfrastructureError(f"the kernel did not take out {line}", where=guest.machine.folder)

    def widened(self, guest: Guest, attack: Attack) -> Widened:
        """The policy with what an attack lacks: does it get through then?

        What it lacks is logged in permissive mode; what it does beyond that, once it is let, is denied next.
        """
        found = _widened(attack)
        guest.go_back(ENFORCED)
        denied = attacking.attempt(guest, attack).records
        own = [one for one in denied if attack.enforcing.record.search(one.request)]
        found.stopped_by = next((f"{one.domain}: {one.request}" for one in own), "")
        guest.go_back(ENFORCED)
        for domain in self.lab.protected:
            guest.set_profile(PERMISSIVE, domain)
        lacking = attacking.attempt(guest, attack).records
        for _ in range(ROUNDS):
            policy, exceptions = tuning.additions(self.lab, [*denied, *lacking], ENFORCING)
            lines = Lines(policy, exceptions).all()
            guest.go_back(ENFORCED)
            for text in added(lines):
                typed(guest, "d", text)
            if more := exceptions.format().splitlines():
                typed(guest, "e", ["", *more])
            tried = attacking.attempt(guest, attack)
            found.lines, found.through = lines, tried.gained
            if tried.gained or not tried.records:
                break
            lacking += tried.records
        return found


def _widened(attack: Attack) -> Widened:
    return Widened(attack.name, attack.title)


def segment(number: int) -> str:
    """The name of the checkpoint before a step."""
    return f"segment{number // SEGMENT}"


def answer(guest: Guest, steps: Sequence[object]) -> str:
    """What some steps gave back, in one line."""
    with guest.on_console():
        return " ".join(one.digest() for one in guest.perform(steps))  # type: ignore[arg-type]


def added(lines: Sequence[Line]) -> Iterator[list[str]]:
    """What is written to the kernel's policy to put lines in, domain by domain.

    A domain that an execution makes anew is enforced, too.
    """
    for domain in dict.fromkeys(line.domain for line in lines if line.domain):
        yield [
            domain,
            f"use_profile {ENFORCING}",
            "use_group 0",
            *(line.text for line in lines if line.domain == domain),
        ]


def typed(guest: Guest, kind: str, text: Sequence[str]) -> None:
    """Load policy text as the administrator does, without a file; the first line stands before each part.

    :param kind: ``d`` or ``e``: of domains or of exceptions.
    """
    head, *rest = text
    while True:
        part, size = [head], len(head)
        while rest and size + len(rest[0]) < TYPED:
            part.append(rest.pop(0))
            size += len(part[-1])
        words = " ".join(shlex.quote(line) for line in part)
        with guest.machine.console.unrecorded():
            guest.typed(f"printf '%s\\n' {words} | ccs-loadpolicy -{kind}")
        if not rest:
            return
