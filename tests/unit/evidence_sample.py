# SPDX-License-Identifier: GPL-2.0-only
"""Made-up results of a run, for the tests of what is made of results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ccslab.labs.attacking import GRID, MEANING, NOTE, PHASE, WANTED, Outcome
from ccslab.results import Cell, Check, Grid, Measure, Phase, Results, Row, Spent, What

RECORD = (
    "#2026/11/22 05:31:07# profile=3 mode=enforcing granted=no (global-pid=812) task={ pid=812 }\n"
    "<kernel> /usr/sbin/apache2 /usr/lib/cgi-bin/sample.cgi\nfile read /etc/shadow"
)
PHASES = (
    "boot", "disabled", "learning", "tuned", "permissive", "enforcing", "logwatch", "repair", "attacked",
)  # fmt: skip


def cell(mode: str, outcome: Outcome, *, note: str = "", records: Sequence[str] = ()) -> Cell:
    """What came of an attack in a mode, as ``attacking.run_attack`` says it."""
    wanted = WANTED[mode]
    return Cell(outcome.value, wanted.value, outcome is wanted, MEANING[outcome], note, list(records))


def attack(name: str, title: str, **outcomes: Outcome) -> Row:
    """An attack that met its fate, but for the outcomes given by mode."""
    row = Row(name, title)
    for mode, wanted in WANTED.items():
        row.cells[mode] = cell(mode, outcomes.get(mode, wanted))
    row.cells["enforcing"].note, row.cells["enforcing"].records = "HTTP 403", [RECORD]
    return row


def attacks(*rows: Row) -> Grid:
    """The grid of attacks by modes."""
    return Grid(GRID, PHASE, list(WANTED), list(rows), note=NOTE)


def rows(results: Results) -> list[Row]:
    """The attacks of a run."""
    grid = results.grid(GRID)
    assert grid
    return grid.rows


def set_outcome(results: Results, number: int, mode: str, outcome: Outcome) -> None:
    """Let another thing have come of an attack; what was seen beside it stays."""
    cells = rows(results)[number].cells
    cells[mode] = cell(mode, outcome, note=cells[mode].note, records=cells[mode].records)


def memory(**used: int) -> list[Measure]:
    """Bytes of policy memory, by stage."""
    return [Measure("policy memory", stage, value, "bytes") for stage, value in used.items()]


def passed() -> Results:
    """A run in which all went well."""
    return Results(
        lab="sample-lab",
        arch="x86_64",
        kernel="6.12",
        release="6.12.0-ccs",
        accel="tcg",
        phases=[
            Phase(name, 10.5, {"request": 20, "violation": 3}, {What.HTTP: Spent(9.5, 20)}) for name in PHASES
        ],
        grids=[
            attacks(
                attack("shadow", "A CGI reads /etc/shadow"),
                attack(
                    "injection",
                    "A command is injected into a form's field, and a shell of the server runs it",
                ),
            )
        ],
        checks=[
            Check("boot", "the kernel is protected", True, seconds=0.25),
            Check("tuned", "tuning saves policy memory", True),
            Check("enforcing", "nothing legitimate is denied", True, seconds=1.5),
        ],
        measures=memory(learned=1_234_567, tuned=98_304, enforcing=98_304),
        drift=[],
        finished=True,
    )


def failed() -> Results:
    """A run that came to its end, with one check and one attack that did not."""
    results = passed()
    set_outcome(results, 1, "enforcing", Outcome.UNDENIED)
    results.checks.append(Check("enforcing", "the PIDs are unchanged", False, "[red]812[/red] became 901"))
    results.drift = [f"+ file read /var/www/{number}" for number in range(11)]
    results.drift.insert(
        0, "<kernel> /usr/sbin/apache2 /usr/lib/cgi-bin/sample.cgi: + file execute /bin/dash exec.argc=3"
    )
    return results


def broken() -> Results:
    """A run that an error ended while it learned."""
    results = passed()
    results.phases = results.phases[:3]
    results.checks = results.checks[:1]
    shadow, injection = rows(results)
    shadow.cells = {"disabled": shadow.cells["disabled"]}
    injection.cells = {}
    results.measures, results.drift = [], None
    results.finished = False
    results.error = "console.log: the guest panicked - look at its last lines"
    return results


def artifact(folder: Path, **manifest: object) -> Path:
    """An artifact's folder with a manifest."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def fill(folder: Path) -> None:
    """What a run and its guest leave in a run's folder."""
    (folder / "console.log").write_text("sample login:\n")
    (folder / "console.cast").write_text('{"version": 2, "width": 80, "height": 25}\n[0.1, "o", "login:"]\n')
    (folder / "audit.log").write_text(RECORD)
    for stage in ("learned", "tuned", "enforcing"):
        (folder / "policy" / stage).mkdir(parents=True)
        (folder / "policy" / stage / "domain_policy.conf").write_text("<kernel>\nuse_profile 1\n")
