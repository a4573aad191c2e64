# SPDX-License-Identifier: GPL-2.0-only
"""``lab.parity``: a lab's policies of two architectures beside each other, and what of it is not as declared.

What is compared are the protected domains and the exception policy. Policy as it was learned holds names that
programs make up anew in every run, so the verdict is over what the lab's rules made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, UserError
from ccslab.evidence import markdown
from ccslab.evidence.table import STYLES, counted, plain_table, show, shown_path
from ccslab.evidence.text import one_line, write, write_json
from ccslab.labs import tuning
from ccslab.labs.definition import Lab
from ccslab.policy.domain import parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.parity import Difference, Parity, Policy, compare, load_declared
from ccslab.policy.source import read_text
from ccslab.runs import folder as runs
from ccslab.runs.cell import VERDICTS, Cell

STAGES = ("learned", "tuned", "enforcing")
JUDGED = ("tuned", "enforcing")
FOLDER = "parity"
REPORT = "parity.md"
SHOWN_LINES = 10


@dataclass(frozen=True)
class Pair:
    """The policies of two runs of one lab, stage by stage."""

    kernel: str
    arches: tuple[str, str]
    folders: tuple[Path, Path]
    stages: dict[str, Parity]

    @property
    def passed(self) -> bool:
        """Whether all that differs in the stages that are judged is declared."""
        return all(self.stages[stage] for stage in JUDGED)

    @property
    def undeclared(self) -> int:
        """How many lines differ that may not."""
        return sum(_undeclared(self.stages[stage]) for stage in JUDGED)

    def document(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "kernel": self.kernel,
            "arches": list(self.arches),
            "runs": [folder.name for folder in self.folders],
            "passed": self.passed,
            "stages": {
                stage: {
                    "equal": len(found.equal),
                    "declared": len(found.declared),
                    "undeclared": found.drift(),
                }
                for stage, found in self.stages.items()
            },
        }


def compare_runs(lab: Lab, kernel: str, folders: dict[str, Path]) -> Pair:
    """The policies of two runs beside each other.

    :param folders: architecture -> its run's folder; the first two count.
    :raises UserError: a policy is missing or malformed, or an architecture is none the table knows.
    """
    (arch_a, a), (arch_b, b), *_ = folders.items()
    declared = load_declared(tuning.golden_folder(lab).parent / tuning.ARCHITECTURES_FILE)
    stages = {
        stage: compare(_policy(lab, a, stage), _policy(lab, b, stage), declared, arches=(arch_a, arch_b))
        for stage in STAGES
    }
    return Pair(kernel, (arch_a, arch_b), (a, b), stages)


def of_cells(lab: Lab, cells: Sequence[Cell], folder: Path) -> list[Pair]:
    """A pair for each kernel of a matrix that has a verdict on two architectures.

    :param folder: where the runs are.
    :raises UserError: as ``compare_runs``.
    """
    found: list[Pair] = []
    for kernel in dict.fromkeys(cell.kernel for cell in cells):
        mine = {
            cell.arch: folder / cell.run for cell in cells if cell.kernel == kernel and cell.state in VERDICTS
        }
        if len(mine) > 1:
            found.append(compare_runs(lab, kernel, mine))
    return found


def report(lab: Lab, pair: Pair, folder: Path, console: Console) -> int:
    """Leave the report, show its table; returns 0 if all that differs is declared, else 1.

    :param folder: the folder of all runs.
    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    with runs.create(folder / FOLDER, lab=lab.name, kernel=pair.kernel) as living:
        write_json(living.folder / "parity.json", {"schema": 1, "lab": lab.name, **pair.document()})
        path = write(living.folder / REPORT, text(lab, pair).encode())
    show_pair(pair, console)
    verdict = "passed" if pair.passed else "failed"
    line = Text(verdict.upper(), STYLES[verdict])
    console.print(line.append(f": {shown_path(path)}", "default"))
    return EXIT_PASSED if pair.passed else EXIT_VERDICT


def show_pair(pair: Pair, console: Console) -> None:
    """The table, and the first lines that differ and may not."""
    table = plain_table(f"Policies of kernel {pair.kernel} on {' and '.join(pair.arches)}")
    table.add_column("stage", no_wrap=True)
    for name in ("equal", "as declared", "undeclared"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("judged", no_wrap=True)
    for stage, found in pair.stages.items():
        judged = stage in JUDGED
        wrong = _undeclared(found)
        style = STYLES["failed"] if judged and wrong else ""
        table.add_row(
            stage,
            str(len(found.equal)),
            str(len(found.declared)),
            Text(str(wrong), style),
            "yes" if judged else "no: made-up names",
        )
    show(table, console)
    for name, count in by_declaration(pair.stages[JUDGED[-1]].declared).items():
        console.print(Text(f"  {count} {'line differs' if count == 1 else 'lines differ'} by {name}"))
    for stage in JUDGED:
        lines = pair.stages[stage].drift()
        for line in [
            *lines[:SHOWN_LINES],
            *([f"... {len(lines) - SHOWN_LINES} more"] * (len(lines) > SHOWN_LINES)),
        ]:
            console.print(Text(f"  {stage}: {one_line(line)}"))


def text(lab: Lab, pair: Pair) -> str:
    """The report in Markdown."""
    a, b = pair.arches
    verdict = "passed" if pair.passed else f"failed: {counted(pair.undeclared, 'line')} may not differ and do"
    out = [
        f"# {lab.name}: policies of kernel {pair.kernel} on {a} and {b}\n\n",
        f"{a} is `{pair.folders[0].name}`, {b} is `{pair.folders[1].name}`.\n",
        "Compared are the protected domains and the exception policy, each operation of a line by itself.\n"
        "What may differ is declared in `policies/architectures.toml`. Learned policy holds names that\n"
        "programs make up anew in each run; judged is what the lab's rules make of it: tuned, enforcing.\n\n",
        f"**{verdict}**\n\n",
        markdown.table(
            ("stage", "equal", "as declared", "undeclared"),
            (
                (stage, len(found.equal), len(found.declared), _undeclared(found))
                for stage, found in pair.stages.items()
            ),
        ),
    ]
    for stage, found in pair.stages.items():
        out.append(f"\n## {stage}\n")
        if found.drift():
            out += [f"\nUndeclared (`-` only on {a}, `+` only on {b}):\n\n", markdown.block(found.drift())]
        if found.declared:
            rows = [(one.declaration, *map(_line, (one.a, one.b))) for one in found.declared]
            out += ["\nAs declared:\n\n", markdown.table(("declaration", a, b), rows)]
        if not found.drift() and not found.declared:
            out.append(f"\nAll {len(found.equal)} lines are equal.\n")
    return "".join(out)


def by_declaration(differences: Iterable[Difference]) -> dict[str, int]:
    """Declaration -> how many lines differ by it, the most first."""
    counts: dict[str, int] = {}
    for one in differences:
        counts[one.declaration] = counts.get(one.declaration, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _line(line: object) -> str:
    return markdown.code(str(line)) if line else "-"


def _undeclared(found: Parity) -> int:
    return len(found.undeclared_a) + len(found.undeclared_b)


def _policy(lab: Lab, run: Path, stage: str) -> Policy:
    """What one run kept of a stage.

    :raises UserError: it is missing or malformed.
    """
    folder = run / "policy" / stage
    if not folder.is_dir():
        raise UserError(f"holds no {stage} policy", where=run, mend="run the lab again on that architecture")
    domains, exceptions = folder / tuning.DOMAIN_FILE, folder / tuning.EXCEPTION_FILE
    return (
        tuning.guarded(lab, parse_domain_policy(read_text(domains), str(domains))),
        parse_exception_policy(read_text(exceptions), str(exceptions)),
    )
