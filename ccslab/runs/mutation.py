# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.mutate`` does: prove the golden policy line by line, and say in a table what was found out."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from ccslab import datafile, progress
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, InfrastructureError
from ccslab.evidence.table import counted, duration, plain_table, show, shown_path
from ccslab.evidence.text import one_line, write_json
from ccslab.labs import definition, payload, setup, tuning
from ccslab.labs.definition import Lab
from ccslab.labs.guest import Guest
from ccslab.labs.mutation import ENFORCED, Mutant, Mutation, Need, Widened, recalled, told
from ccslab.policy.lines import Line
from ccslab.runs.continuation import Wanted, journaled
from ccslab.runs.manifest import words
from ccslab.runs.scenario import manifest_of
from ccslab.settings import Settings

FOLDER = "mutation"
FILE = "mutation.json"
SCHEMA = 1
EXPLAINED = "unproven.toml"
SHOWN = 10
LEAST = 0.95  # of a golden policy's lines that are needed


class _Kept(datafile.Record, frozen=True, kw_only=True):
    domain: datafile.TextOrNothing
    """"" is the exception policy."""
    lines: tuple[datafile.Text, ...]
    why: datafile.Text
    chance: bool = False


class _File(datafile.Record, frozen=True):
    """unproven.toml."""

    kept: tuple[_Kept, ...]


@dataclass
class Proof:
    """How much of a golden policy is proved."""

    mutants: list[Mutant] = field(default_factory=list)
    attacks: list[Widened] = field(default_factory=list)
    explained: dict[Line, str] = field(default_factory=dict)
    chance: frozenset[Line] = frozenset()
    """Explained lines that some runs of the workload need."""
    only: str = ""
    """Of which lines and attacks, if not of all."""
    missing: list[str] = field(default_factory=list)
    """What came to no result."""
    taken_over: int = 0
    """How many results are from before the run broke off."""

    def take(self, found: Mutant | Widened) -> None:
        """Put a result to the others."""
        if isinstance(found, Mutant):
            self.mutants.append(found)
        else:
            self.attacks.append(found)

    def order(self, names: Sequence[str]) -> None:
        """Bring the results into this order, whichever came first, and find out what is missing."""
        at = {name: number for number, name in enumerate(names)}
        self.mutants.sort(key=lambda one: at[one.name])
        self.attacks.sort(key=lambda one: at[one.name])
        found = {one.name for one in self.mutants} | {one.name for one in self.attacks}
        self.missing = [name for name in names if name not in found]

    @property
    def share(self) -> float:
        """Of the lines, those that are needed."""
        needed = sum(one.need is Need.NEEDED for one in self.mutants)
        return needed / len(self.mutants) if self.mutants else 1.0

    def unexplained(self) -> list[Mutant]:
        """Lines that are neither needed nor explained."""
        return [one for one in self.mutants if one.need is not Need.NEEDED and one.line not in self.explained]

    def idle(self) -> list[Line]:
        """Explanations of lines that are needed after all."""
        needed = {one.line for one in self.mutants if one.need is Need.NEEDED}
        return [line for line in self.explained if line in needed and line not in self.chance]

    @property
    def passed(self) -> bool:
        """All was tried, enough is needed, the rest explained, and the policy alone stops each attack."""
        through = all(one.through for one in self.attacks)
        enough = self.share >= LEAST and not self.unexplained() and not self.idle()
        return enough and through and not self.missing

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "schema": SCHEMA,
            "passed": self.passed,
            "only": self.only,
            "needed": round(self.share, 4),
            "missing": self.missing,
            "lines": [
                {
                    "domain": one.line.domain,
                    "line": one.line.text,
                    "need": one.need.value,
                    "step": one.step,
                    "denied": one.denied,
                    "noticed": one.noticed,
                    "covered_by": [str(line) for line in one.covered_by],
                    "explained": self.explained.get(one.line, ""),
                }
                for one in self.mutants
            ],
            "attacks": [
                {
                    "name": one.attack,
                    "stopped_by": one.stopped_by,
                    "through": one.through,
                    "lines": [str(line) for line in one.lines],
                }
                for one in self.attacks
            ],
        }


def mutate(settings: Settings, name: str, *, only: str = "", resume: bool = False) -> int:
    """Prove a lab's golden policy; returns 0 if enough of it is needed and the rest is explained, else 1.

    :param only: take lines and attacks only in whose domain, text or name it is.
    :param resume: go on where the newest run that broke off did.
    :raises LabError: the lab has no golden policy, it denies the workload, or the world failed, if only for
        some of the lines; what was found out is in the run's folder.
    """
    began = time.monotonic()
    lab = definition.find(name, settings.root, settings.arch)
    definition.require(lab, "lab.mutate", "a server", "a workload", "protected domains", "rules")
    proof = Proof(explained=explanations(lab), chance=frozenset(explanations(lab, chance=True)), only=only)
    mutation = Mutation(payload.fitted(lab, settings.store), only=only)
    setup.tidy(settings)
    parts = setup.build(settings, lab)
    names = mutation.names
    wanted = Wanted(
        command="lab.mutate",
        lab=name,
        arch=settings.arch,
        kernel=settings.kernel,
        of=len(names),
        asked={"only": only},
        inputs=words(manifest_of(settings, lab, parts).inputs),
    )
    with journaled(settings.runs / FOLDER, wanted, resume=resume) as journal:
        proof.taken_over = journal.taken_over
        for data in journal.results.values():
            proof.take(recalled(data))
        mutation.leave_out(journal.results)
        title = (
            f"Taking out {counted(len(mutation.chosen), 'line')},"
            f" lifting what stops {counted(len(mutation.attacks), 'attack')}"
        )
        telling = threading.Lock()
        step: list[progress.Step] = []

        def tell(found: Mutant | Widened) -> None:
            journal.add(found.name, told(found))
            with telling:
                proof.take(found)
                step[0].advance(note=found.name)

        try:
            if mutation.names:
                with (
                    guests(settings, lab, parts, mutation, journal.folder) as some,
                    progress.step(title, len(mutation.names)) as steps,
                ):
                    step.append(steps)
                    mutation.mutate(some, tell)
        finally:
            proof.order(names)
            path = write_json(journal.folder / FILE, proof.document())
        show_proof(proof)
        if proof.missing:
            why = str(mutation.failed[0]) if mutation.failed else "its guests ended"
            raise InfrastructureError(
                f"{len(proof.missing)} of {len(names)} came to no result: {why}", where=path
            )
    word = "PASSED" if proof.passed else "FAILED"
    progress.console.print(f"{word} in {duration(time.monotonic() - began)}: {shown_path(path)}")
    return EXIT_PASSED if proof.passed else EXIT_VERDICT


@contextmanager
def guests(
    settings: Settings, lab: Lab, parts: setup.Parts, mutation: Mutation, folder: Path
) -> Iterator[list[Guest]]:
    """The guests that prove it: one that did the workload step by step, and clones of it.

    :param folder: the run's.
    """
    booted = setup.booted(settings, lab, parts)
    with ExitStack() as started:
        machine = started.enter_context(setup.machine(settings, lab, parts, folder / "guest", booted=booted))
        machine.boot()
        guest = Guest(machine, mutation.lab, parts.patchset["interface"])
        mutation.enforce(guest)
        with progress.step("Doing the workload step by step", len(lab.workload)) as walking:
            mutation.walk(guest, lambda said: walking.advance(note=said))
        guest.save(ENFORCED)
        some = [guest]
        for number in range(setup.beside(lab, debug=parts.debug)):
            twin = started.enter_context(guest.clone(ENFORCED, folder / f"guest{number + 2}"))
            twin.boot()
            some.append(Guest(twin, mutation.lab, guest.folder))
        yield some


def explanations(lab: Lab, *, chance: bool = False) -> dict[Line, str]:
    """Why some lines of the golden policy are there though the workload does not need them.

    :param chance: only those that some runs of the workload need.
    :raises UserError: the file is malformed.
    """
    path: Path = tuning.golden_folder(lab) / EXPLAINED
    if not path.is_file():
        return {}
    mend = "write [[kept]] with domain, lines and why"
    kept = [one for one in datafile.read_toml(path, _File, mend).kept if not chance or one.chance]
    return {Line(one.domain, text): one.why for one in kept for text in one.lines}


def show_proof(proof: Proof) -> None:
    """The tables at the end."""
    console = progress.console
    before = f" ({proof.taken_over} results from before the run broke off)" if proof.taken_over else ""
    table = plain_table(f"Lines of the golden policy, each taken out in turn{before}")
    table.add_column("domain", ratio=1, overflow="fold")
    for word in ("lines", "needed", "noticed", "redundant", "never used"):
        table.add_column(word, justify="right", no_wrap=True)
    for domain in dict.fromkeys(one.line.domain for one in proof.mutants):
        some = [one for one in proof.mutants if one.line.domain == domain]
        table.add_row(Text(one_line(domain) or "(exception policy)"), *_counts(some))
    table.add_section()
    table.add_row(f"{proof.share:.1%} needed", *_counts(proof.mutants))
    show(table, console)
    rest = [one for one in proof.mutants if one.need is not Need.NEEDED]
    if rest:
        table = plain_table("What the workload does not need")
        for word in ("line", "because"):
            table.add_column(word, ratio=1, overflow="fold")
        for one in rest:
            table.add_row(Text(one_line(str(one.line))), Text(one_line(because(one, proof))))
        show(table, console)
    for name in proof.missing[:SHOWN]:
        console.print(f"no result: {one_line(name)}")
    if len(proof.missing) > SHOWN:
        console.print(f"no result: {len(proof.missing) - SHOWN} more")
    for line in proof.idle():
        console.print(f"{EXPLAINED} explains a line that is needed: {line}")
    table = plain_table("What stops each attack, and how many lines would let it through")
    table.add_column("attack", ratio=1, overflow="fold")
    table.add_column("denied", ratio=2, overflow="fold")
    table.add_column("lines", justify="right")
    table.add_column("with them", no_wrap=True)
    for attack in proof.attacks:
        said = "through" if attack.through else "stopped !"
        what = Text(one_line(attack.stopped_by or "-"))
        table.add_row(Text(one_line(attack.title)), what, str(len(attack.lines)), said)
    show(table, console)


def because(mutant: Mutant, proof: Proof) -> str:
    """Why a line is not needed, as a person is told it."""
    why = proof.explained.get(mutant.line, "")
    if mutant.need is Need.UNEXERCISED:
        found = "nothing of the workload asks for it"
    else:
        others = "; ".join(map(str, mutant.covered_by[:2])) or "no line that is known"
        found = f"{mutant.step!r} is granted it by {others} as well"
    return f"{found}: {why}" if why else f"{found} - NOT EXPLAINED"


def _counts(mutants: Sequence[Mutant]) -> list[str]:
    by = Counter(one.need for one in mutants)
    noticed = sum(one.noticed and one.need is Need.NEEDED for one in mutants)
    return [
        str(number)
        for number in (len(mutants), by[Need.NEEDED], noticed, by[Need.REDUNDANT], by[Need.UNEXERCISED])
    ]
