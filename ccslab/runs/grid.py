# SPDX-License-Identifier: GPL-2.0-only
"""Runs a lab's cells: from the settings of each to a matrix that is over, with its table and its files."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ccslab import progress
from ccslab.errors import UserError
from ccslab.evidence.table import counted, shown_path
from ccslab.kernel import catalog
from ccslab.labs import definition, setup, tuning
from ccslab.labs.definition import Lab
from ccslab.runs import folder as runs
from ccslab.runs import matrixreport, parity
from ccslab.runs.cell import Cell, State
from ccslab.runs.manifest import MANIFEST, identity, read_manifest
from ccslab.runs.matrix import FOLDER, Drive, Matrix, open_matrix
from ccslab.runs.scenario import manifest_of
from ccslab.runs.watching import Watcher
from ccslab.settings import Settings


def matrix(
    cells: Sequence[Settings], name: str, *, update_golden: bool = False, chosen: Sequence[str] = ()
) -> int:
    """Run a lab in every cell; returns the exit code: 0 all passed, 1 a verdict failed, 2 or 3 some had none.

    :raises LabError: what was asked for is wrong, or the matrix' own folder cannot be written.
    """
    if update_golden:
        raise UserError("--golden takes one kernel and one architecture", mend="name them")
    lab = definition.find(name, cells[0].root)
    done = run(cells, lab, chosen)
    folder = cells[0].runs
    pairs = parity.of_cells(lab, done.cells, folder)
    done.parity = [pair.document() for pair in pairs]
    done.save()
    matrixreport.write_reports(done, pairs, folder)
    matrixreport.show_matrix(done, pairs, folder, progress.console)
    return done.code


def run(cells: Sequence[Settings], lab: Lab, chosen: Sequence[str] = ()) -> Matrix:
    """Bring every cell to its end.

    :param chosen: options of the lab, ``NAME=NUMBER`` each.

    :raises UserError: a setting, the lab or a kernel is wrong; said before anything is started.
    :raises InfrastructureError: the matrix' folder cannot be written.
    """
    lab.choose(chosen)
    settings = {}
    for one in cells:
        setup.examine(one, lab)
        settings[f"{catalog.find(one).name} {one.arch}"] = one
    first = cells[0]
    tuning.examine(lab)
    setup.tidy(first)
    told = [Cell(one.arch, name.removesuffix(f" {one.arch}"), one.flags()) for name, one in settings.items()]
    console = progress.console
    at_once = slots(setup.memory_mib(lab, debug=first.debug))
    matrix, former = open_matrix(first.runs / FOLDER, lab.name, told)
    if former:
        console.print(f"going on with the matrix of {matrix.living.run.started:%Y-%m-%d %H:%M} UTC")
    console.print(f"{counted(len(told), 'cell')}, {at_once} at once: {shown_path(matrix.folder)}")

    def command(stage: State, cell: Cell) -> list[str]:
        # -P: a folder of that name where the user stands is not meant.
        program = [sys.executable, "-P", "-m", "ccslab"]
        if stage is State.BUILDING:
            # A guest that is starved of its processor misses the deadlines of its phases.
            return ["nice", "-n", "10", *program, "lab.build", *cell.flags]
        return [*program, "lab.scenario", lab.name, *cell.flags, *(f"--set={word}" for word in chosen)]

    def current(cell: Cell) -> str:
        one = settings[cell.name]
        with quiet():
            return identity(manifest_of(one, lab, setup.build(one, lab)).inputs)

    expected = expected_s(first.runs, lab.name, [cell.name for cell in told])
    watcher = Watcher(told, console, expected_s=expected, slots=at_once)
    drive = Drive(
        matrix,
        former,
        folder=first.runs,
        command=command,
        current=current,
        slots=at_once,
        watcher=watcher,
        env=environment(first),
    )
    with matrix.living, watcher.watching():
        drive.run()
        matrix.ended = datetime.now(UTC)
        matrix.save()
    return matrix


def environment(settings: Settings) -> Mapping[str, str]:
    """What the processes of the cells get beside their flags."""
    given = {
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(settings.root), os.environ.get("PYTHONPATH")])),
        "COLUMNS": "100",
    }
    return {**given, "INVOKE_LAB_CACHE": settings.cache} if settings.cache else given


def expected_s(folder: Path, lab: str, cells: Sequence[str]) -> dict[str, float]:
    """Cell's name -> seconds its run took the last time, or that of any cell of the lab if it never ran."""
    found: dict[str, float] = {}
    for run in runs.listed(folder, lab):
        with contextlib.suppress(UserError, KeyError, TypeError):
            found[f"{run.kernel} {run.arch}"] = float(read_manifest(run.folder / MANIFEST)["seconds"])
    if not found:
        return {}
    newest = list(found.values())[-1]
    return {name: found.get(name, newest) for name in cells}


def slots(memory_mib: int, *, cores: int | None = None, free_mib: int | None = None) -> int:
    """How many cells are worked on at once: one a core, if there is memory for their guests.

    A cell has two guests most of the time, and each keeps about one core busy, whatever it is given
    (docs/matrix.md has the figures).

    :param memory_mib: what a guest is given.
    """
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    free = setup.available_mib() if free_mib is None else free_mib
    return max(1, min(cores // 2, free // setup.guests_mib(memory_mib)))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Say nothing meanwhile."""
    before, progress.console.quiet = progress.console.quiet, True
    try:
        yield
    finally:
        progress.console.quiet = before
