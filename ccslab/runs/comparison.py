# SPDX-License-Identifier: GPL-2.0-only
"""``lab.compare``: what a patch buys, attack by attack and control by control, from two runs of one lab.

The first run is of the kernel without the patches, the second of the one with them. Its lab fails by design:
what is judged is whether every difference goes one way, the second kernel logging and denying more.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, UserError
from ccslab.evidence import markdown
from ccslab.evidence.results import read_results
from ccslab.evidence.table import STYLES, plain_table, show, shown_path
from ccslab.evidence.text import one_line, write, write_json
from ccslab.labs import attacking
from ccslab.labs.attack import Attack
from ccslab.labs.attacking import WANTED, Outcome
from ccslab.labs.definition import Lab
from ccslab.results import Results
from ccslab.results import Row as Tried
from ccslab.runs import folder as runs

FOLDER = "compare"
REPORT = "comparison.md"
MODES = ("permissive", "enforcing")


class Finding(enum.StrEnum):
    """How an attack or a check of the two kernels differs."""

    SAME = "same"
    MORE = "denies more"
    """The second kernel logs or denies what the first lets through: what the patches are for."""
    UNEXPECTED = "unexpected"
    """It differs in another way: the second kernel lets something through, or the attack itself differs."""


@dataclass(frozen=True)
class Row:
    """One attack on both kernels."""

    attack: str
    title: str
    control: str
    """What in policy stands against it, as its audit record names it (``file mount``); "-" if none does."""
    a: dict[str, str]
    b: dict[str, str]

    @property
    def finding(self) -> Finding:
        """Whether the kernels differ, and which way."""
        differing = [mode for mode in WANTED if self.a.get(mode) != self.b.get(mode)]
        if not differing:
            return Finding.SAME
        better = all(mode in MODES and self.b.get(mode) == WANTED[mode] for mode in differing)
        return Finding.MORE if better else Finding.UNEXPECTED


@dataclass(frozen=True)
class Held:
    """One control over all attacks that it stands against."""

    control: str
    attacks: tuple[str, ...]
    by_a: int
    """How many of them the first kernel denied, enforcing."""
    by_b: int
    passed_a: tuple[str, ...]
    """Those that the first kernel let through and the second denied."""


@dataclass(frozen=True)
class Comparison:
    """Two runs of one lab beside each other."""

    lab: str
    arch: str
    kernels: tuple[str, str]
    releases: tuple[str, str]
    folders: tuple[Path, Path]
    rows: tuple[Row, ...]
    checks: dict[str, Finding]
    """Other checks that failed on one kernel and held on the other."""

    @property
    def unexpected(self) -> list[str]:
        """What differs in a way it should not."""
        return [
            *(f"attack {row.attack}" for row in self.rows if row.finding is Finding.UNEXPECTED),
            *(name for name, finding in self.checks.items() if finding is Finding.UNEXPECTED),
        ]

    @property
    def more(self) -> list[Row]:
        """The attacks that only the second kernel logs or denies."""
        return [row for row in self.rows if row.finding is Finding.MORE]

    @property
    def controls(self) -> list[Held]:
        """Control by control, those first that the first kernel does not hold."""
        found = []
        for control in dict.fromkeys(row.control for row in self.rows):
            mine = [row for row in self.rows if row.control == control]
            denied_a = [row.attack for row in mine if row.a.get("enforcing") == Outcome.DENIED]
            denied_b = [row.attack for row in mine if row.b.get("enforcing") == Outcome.DENIED]
            passed = tuple(name for name in denied_b if name not in denied_a)
            names = tuple(row.attack for row in mine)
            found.append(Held(control, names, len(denied_a), len(denied_b), passed))
        return sorted(found, key=lambda held: (not held.passed_a, held.control))

    def document(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "schema": 1,
            "lab": self.lab,
            "arch": self.arch,
            "kernels": list(self.kernels),
            "releases": list(self.releases),
            "runs": [folder.name for folder in self.folders],
            "unexpected": self.unexpected,
            "attacks": [
                {
                    "name": row.attack,
                    "title": row.title,
                    "control": row.control,
                    "finding": row.finding.value,
                    "outcomes": [{mode: side.get(mode) for mode in WANTED} for side in (row.a, row.b)],
                }
                for row in self.rows
            ],
            "checks": {name: finding.value for name, finding in self.checks.items()},
        }


def compare_runs(lab: Lab, a: Path, b: Path) -> Comparison:
    """Two runs of a lab beside each other.

    :param a: the folder of the first kernel's run; ``b`` the second's.
    :raises UserError: a run did not come to its end, or they are not of this lab and one architecture.
    """
    first, second = (_finished(lab, folder) for folder in (a, b))
    if first.arch != second.arch:
        raise UserError(
            f"one run is on {first.arch}, the other on {second.arch}",
            where=b,
            mend="lab.parity compares architectures",
        )
    known = {attack.name: attack for attack in lab.attacks}
    before = {row.name: row for row in _tried(first, a)}
    after = {row.name: row for row in _tried(second, b)}
    if (names := set(after)) != set(before):
        differing = ", ".join(sorted(names ^ set(before)))
        raise UserError(f"the runs have not the same attacks: {differing}", where=b, mend="run the lab again")
    rows = tuple(
        Row(
            row.name,
            row.title,
            control_of(known.get(row.name), row, before[row.name]),
            {mode: cell.got for mode, cell in before[row.name].cells.items()},
            {mode: cell.got for mode, cell in row.cells.items()},
        )
        for row in after.values()
    )
    return Comparison(
        lab.name,
        first.arch,
        (first.kernel, second.kernel),
        (first.release, second.release),
        (a, b),
        rows,
        _checks(first, second),
    )


def control_of(attack: Attack | None, *tried: Tried) -> str:
    """The control that stands against an attack: the first words of the audit record that is its own.

    :param attack: the lab's definition, which says which record that is; any will do without one.
    :param tried: what became of it; records of denials count before those of permissive mode.
    """
    for mode in reversed(MODES):
        for row in tried:
            for record in row.cells[mode].records if mode in row.cells else ():
                request = record.rpartition(": ")[2]
                if attack is None or attack.enforcing.record.search(request):
                    words = request.split(" ")
                    return " ".join(words[: 4 if words[0] == "network" else 2])
    return "-"


def _finished(lab: Lab, folder: Path) -> Results:
    results = read_results(folder)
    if results.lab != lab.name:
        raise UserError(
            f"is a run of {results.lab}, not of {lab.name}", where=folder, mend="name a run of that lab"
        )
    if not results.finished:
        raise UserError(f"did not come to its end: {results.error}", where=folder, mend="run the lab again")
    return results


def _tried(results: Results, folder: Path) -> list[Tried]:
    grid = results.grid(attacking.GRID)
    if grid is None:
        raise UserError(f"lab {results.lab} tries no attacks", where=folder, mend="name a lab that does")
    return grid.rows


def _checks(first: Results, second: Results) -> dict[str, Finding]:
    """Checks that hold on one kernel only."""

    def failing(results: Results) -> dict[str, None]:
        return {f"{check.phase}: {check.name}": None for check in results.checks if not check.passed}

    a, b = failing(first), failing(second)
    return {
        name: Finding.UNEXPECTED if name in b else Finding.MORE
        for name in [*a, *b]
        if (name in a) is not (name in b)
    }


def report(found: Comparison, folder: Path, console: Console) -> int:
    """Leave the report, show its tables; returns 0 if all that differs is what the patches are for, else 1.

    :param folder: the folder of all runs.
    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    both = "-".join(found.kernels)
    with runs.create(folder / FOLDER, lab=found.lab, arch=found.arch, kernel=both) as living:
        write_json(living.folder / "comparison.json", found.document())
        path = write(living.folder / REPORT, text(found).encode())
    show_comparison(found, console)
    verdict = "failed" if found.unexpected else "passed"
    line = Text("UNEXPECTED" if found.unexpected else "EXPECTED", STYLES[verdict])
    console.print(line.append(f": {shown_path(path)}", "default"))
    return EXIT_VERDICT if found.unexpected else EXIT_PASSED


def show_comparison(found: Comparison, console: Console) -> None:
    """Both tables, and a line that says what the patches buy."""
    table = plain_table(f"What {found.kernels[1]} denies and {found.kernels[0]} does not ({found.arch})")
    table.add_column("attack", overflow="fold")
    for kernel in found.kernels:
        table.add_column(Text(kernel), overflow="fold")
    table.add_column("finding", no_wrap=True)
    for row in found.rows:
        style = {Finding.MORE: "green", Finding.UNEXPECTED: "bold red"}.get(row.finding, "")
        finding = "" if row.finding is Finding.SAME else row.finding.value
        table.add_row(Text(row.attack), _both(row.a), _both(row.b), Text(finding, style))
    show(table, console)
    table = plain_table("Control by control: attacks denied")
    table.add_column("control", no_wrap=True)
    for kernel in found.kernels:
        table.add_column(Text(kernel), justify="right", overflow="fold")
    table.add_column("let through before", overflow="fold")
    for held in found.controls:
        count = len(held.attacks)
        table.add_row(
            Text(held.control), f"{held.by_a}/{count}", f"{held.by_b}/{count}", Text(", ".join(held.passed_a))
        )
    show(table, console)
    for name, finding in found.checks.items():
        holds = found.kernels[1] if finding is Finding.MORE else found.kernels[0]
        show(Padding(Text(f"holds on {holds} alone: {one_line(name)}"), (0, 0, 0, 2)), console)
    show(Text(summary(found)), console)


def summary(found: Comparison) -> str:
    """One sentence."""
    a, b = found.kernels
    names = ", ".join(row.attack for row in found.more)
    told = (
        f"{b} stops what {a} lets through: {names}" if names else f"{b} stops nothing that {a} lets through"
    )
    return f"{told}; unexpected: {', '.join(found.unexpected)}" if found.unexpected else told


def text(found: Comparison) -> str:
    """The report in Markdown."""
    a, b = found.kernels
    out = [
        f"# {found.lab} on {found.arch}: {a} beside {b}\n\n",
        f"{summary(found)}.\n\n",
        f"{a} is {found.releases[0]}, run `{found.folders[0].name}`;\n",
        f"{b} is {found.releases[1]}, run `{found.folders[1].name}`.\n\n",
        "## Attack by attack\n\nOutcomes in permissive and in enforcing mode.\n\n",
        markdown.table(
            ("attack", "what it does", "control", a, b, "finding"),
            (
                (row.attack, row.title, row.control, _both(row.a), _both(row.b), row.finding)
                for row in found.rows
            ),
        ),
        "\n## Control by control\n\nThe attacks that each stands against, and how many were denied.\n\n",
        markdown.table(
            ("control", "attacks", f"denied by {a}", f"denied by {b}", f"let through by {a} alone"),
            (
                (held.control, ", ".join(held.attacks), held.by_a, held.by_b, ", ".join(held.passed_a) or "-")
                for held in found.controls
            ),
        ),
    ]
    if found.checks:
        rows: Iterable[tuple[str, str]] = (
            (name, b if finding is Finding.MORE else a) for name, finding in found.checks.items()
        )
        out += ["\n## Other checks that differ\n\n", markdown.table(("check", "holds on alone"), rows)]
    return "".join(out)


def _both(outcomes: dict[str, str]) -> str:
    """Permissive and enforcing, what is not as wanted marked."""
    told = []
    for mode in MODES:
        outcome = outcomes.get(mode)
        told.append(f"{outcome or '-'}{'' if outcome == WANTED[mode] else ' !'}")
    return ", ".join(told)
