# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.mutate`` does: prove the golden policy line by line, and say in a table what was found out."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from ccslab import progress
from ccslab.datafile import check, read_toml
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT
from ccslab.evidence import run as runs
from ccslab.evidence.table import counted, duration, plain_table, show, shown_path
from ccslab.evidence.text import one_line, write_json
from ccslab.labs import definition, payload, setup, tuning
from ccslab.labs.definition import Lab
from ccslab.labs.guest import Guest
from ccslab.labs.mutation import ENFORCED, Mutant, Mutation, Need, Widened
from ccslab.policy.lines import Line
from ccslab.settings import Settings

FOLDER = "mutation"
FILE = "mutation.json"
SCHEMA = 1
EXPLAINED = "unproven.toml"
LEAST = 0.95  # of a golden policy's lines that are needed


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
        """Enough is needed, the rest is explained, and the policy alone is what stops each attack."""
        through = all(one.through for one in self.attacks)
        return self.share >= LEAST and not self.unexplained() and not self.idle() and through

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "schema": SCHEMA,
            "passed": self.passed,
            "only": self.only,
            "needed": round(self.share, 4),
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


def mutate(settings: Settings, name: str, *, only: str = "") -> int:
    """Prove a lab's golden policy; returns 0 if enough of it is needed and the rest is explained, else 1.

    :param only: take lines and attacks only in whose domain, text or name it is.
    :raises LabError: the lab has no golden policy, it denies the workload, or the world failed.
    """
    began = time.monotonic()
    lab = definition.find(name, settings.root, settings.arch)
    proof = Proof(explained=explanations(lab), chance=frozenset(explanations(lab, chance=True)), only=only)
    telling = threading.Lock()
    step: list[progress.Step] = []

    def tell(one: Mutant | Widened) -> None:
        with telling:
            if isinstance(one, Mutant):
                proof.mutants.append(one)
                step[0].advance(note=one.line.text)
            else:
                proof.attacks.append(one)
                step[0].advance(note=one.title)

    mutation = Mutation(payload.fitted(lab, settings.store), tell, only=only)
    setup.tidy(settings)
    parts = setup.build(settings, lab.recipe)
    booted = setup.booted(settings, lab, parts)
    with (
        runs.create(settings.runs / FOLDER, lab=name, arch=settings.arch, kernel=settings.kernel) as living,
        ExitStack() as started,
    ):
        machine = started.enter_context(
            setup.machine(settings, lab, parts, living.folder / "guest", booted=booted)
        )
        machine.boot()
        guest = Guest(machine, mutation.lab, parts.patchset["interface"])
        mutation.enforce(guest)
        with progress.step("Doing the workload step by step", len(lab.workload)) as walking:
            mutation.walk(guest, lambda said: walking.advance(note=said))
        guest.save(ENFORCED)
        guests = [guest]
        for number in range(setup.beside(lab, debug=parts.debug)):
            twin = started.enter_context(guest.clone(ENFORCED, living.folder / f"guest{number + 2}"))
            twin.boot()
            guests.append(Guest(twin, mutation.lab, guest.folder))
        lines, attacks = mutation.chosen, mutation.attacks
        title = (
            f"Taking out {counted(len(lines), 'line')}, lifting what stops {counted(len(attacks), 'attack')}"
        )
        with progress.step(title, len(lines) + len(attacks)) as steps:
            step.append(steps)
            mutation.mutate(guests)
        order = {line: number for number, line in enumerate(lines)}
        proof.mutants.sort(key=lambda one: order[one.line])
        names = [attack.name for attack in attacks]
        proof.attacks.sort(key=lambda one: names.index(one.attack))
        path = write_json(living.folder / FILE, proof.document())
        runs.link_latest(living.run)
    show_proof(proof)
    word = "PASSED" if proof.passed else "FAILED"
    progress.console.print(f"{word} in {duration(time.monotonic() - began)}: {shown_path(path)}")
    return EXIT_PASSED if proof.passed else EXIT_VERDICT


def explanations(lab: Lab, *, chance: bool = False) -> dict[Line, str]:
    """Why some lines of the golden policy are there though the workload does not need them.

    :param chance: only those that some runs of the workload need.
    :raises UserError: the file is malformed.
    """
    path: Path = tuning.golden_folder(lab) / EXPLAINED
    if not path.is_file():
        return {}
    mend = "write [[kept]] with domain, lines and why"
    told = read_toml(path, mend)
    scope = (frozenset({""}), str)  # "" is the exception policy
    check(told, {"kept": [{"domain": scope, "lines": [str], "why": str, "chance?": bool}]}, path, mend)
    kept = [one for one in told["kept"] if not chance or one.get("chance")]
    return {Line(one["domain"], text): one["why"] for one in kept for text in one["lines"]}


def show_proof(proof: Proof) -> None:
    """The tables at the end."""
    console = progress.console
    table = plain_table("Lines of the golden policy, each taken out in turn")
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
