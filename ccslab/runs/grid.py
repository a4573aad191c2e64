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
from ccslab.labs import setup, tuning
from ccslab.labs.definition import Lab
from ccslab.runs import folder as runs
from ccslab.runs import matrixreport, parity
from ccslab.runs.cell import Cell, State
from ccslab.runs.manifest import MANIFEST, identity, read_manifest
from ccslab.runs.matrix import FOLDER, Drive, Matrix, open_matrix
from ccslab.runs.scenario import manifest_of
from ccslab.runs.watching import Watcher
from ccslab.settings import Settings

SEVERAL = "labs"
"""What a matrix of several labs is called."""


def matrix(
    labs: Sequence[Lab], cells: Sequence[Settings], *, update_golden: bool = False, chosen: Sequence[str] = ()
) -> int:
    """Run each lab in every cell; returns 0 if all passed, 1 if a verdict failed, 2 or 3 if some had none.

    :param chosen: options of the labs, ``NAME=NUMBER`` each.
    :raises LabError: what was asked for is wrong, or the matrix' own folder cannot be written.
    """
    if update_golden:
        raise UserError("--golden takes one lab, kernel and architecture", mend="name them")
    done = run(labs, cells, chosen)
    folder = cells[0].runs
    pairs = [
        pair
        for lab in labs
        if tuning.has_golden(lab)
        for pair in parity.of_cells(lab, [cell for cell in done.cells if cell.lab in ("", lab.name)], folder)
    ]
    done.parity = [pair.document() for pair in pairs]
    done.save()
    matrixreport.write_reports(done, pairs, folder)
    matrixreport.show_matrix(done, pairs, folder, progress.console)
    return done.code


def run(labs: Sequence[Lab], cells: Sequence[Settings], chosen: Sequence[str] = ()) -> Matrix:
    """Bring every cell to its end.

    :param chosen: options of the labs, ``NAME=NUMBER`` each.
    :raises UserError: a setting, a lab or a kernel is wrong; said before anything is started.
    :raises InfrastructureError: the matrix' folder cannot be written.
    """
    first = cells[0]
    jobs: dict[str, tuple[Lab, Settings]] = {}
    told: list[Cell] = []
    words = options_of(labs, chosen)
    for lab in labs:
        tuning.examine(lab)
        for one in cells:
            setup.examine(one, lab)
            cell = Cell(one.arch, catalog.find(one).name, one.flags(), lab=lab.name if len(labs) > 1 else "")
            jobs[cell.name] = lab, one
            told.append(cell)
    setup.tidy(first)
    console = progress.console
    at_once = slots(max(setup.memory_mib(lab, debug=first.debug) for lab in labs))
    name = labs[0].name if len(labs) == 1 else SEVERAL
    matrix, former = open_matrix(first.runs / FOLDER, name, told)
    if former:
        console.print(f"going on with the matrix of {matrix.living.run.started:%Y-%m-%d %H:%M} UTC")
    console.print(f"{counted(len(told), 'cell')}, {at_once} at once: {shown_path(matrix.folder)}")

    def command(stage: State, cell: Cell) -> list[str]:
        # -P: a folder of that name where the user stands is not meant.
        program = [sys.executable, "-P", "-m", "ccslab"]
        if stage is State.BUILDING:
            # A guest that is starved of its processor misses the deadlines of its phases.
            return ["nice", "-n", "10", *program, "lab.build", *cell.flags]
        lab, _ = jobs[cell.name]
        return [*program, "lab.scenario", lab.name, *cell.flags, *words[lab.name]]

    def current(cell: Cell) -> str:
        lab, one = jobs[cell.name]
        with quiet():
            return identity(manifest_of(one, lab, setup.build(one, lab)).inputs)

    watcher = Watcher(told, console, expected_s=expected_s(first.runs, jobs), slots=at_once)
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


def options_of(labs: Sequence[Lab], chosen: Sequence[str]) -> dict[str, list[str]]:
    """Lab's name -> the flags for those of the chosen options that it has.

    :raises UserError: no lab has one of them, or one cannot be that.
    """
    for word in chosen:
        if not any(word.partition("=")[0] in lab.options for lab in labs):
            labs[0].choose([word])  # says so
    found = {}
    for lab in labs:
        mine = [word for word in chosen if word.partition("=")[0] in lab.options]
        lab.choose(mine)
        found[lab.name] = [f"--set={word}" for word in mine]
    return found


def environment(settings: Settings) -> Mapping[str, str]:
    """What the processes of the cells get beside their flags."""
    given = {
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(settings.root), os.environ.get("PYTHONPATH")])),
        "COLUMNS": "100",
    }
    return {**given, "INVOKE_LAB_CACHE": settings.cache} if settings.cache else given


def expected_s(folder: Path, jobs: Mapping[str, tuple[Lab, Settings]]) -> dict[str, float]:
    """Cell's name -> seconds its run took the last time, or that of any cell of its lab if it never ran.

    :param jobs: what each cell is, by its name.
    """
    took: dict[tuple[str, str, str], float] = {}
    newest: dict[str, float] = {}
    for past in runs.listed(folder):
        with contextlib.suppress(UserError, KeyError, TypeError):
            seconds = float(read_manifest(past.folder / MANIFEST)["seconds"])
            took[past.lab, past.kernel, past.arch] = newest[past.lab] = seconds
    found = {}
    for name, (lab, one) in jobs.items():
        before = took.get((lab.name, catalog.find(one).name, one.arch), newest.get(lab.name))
        if before is not None:
            found[name] = before
    return found


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
