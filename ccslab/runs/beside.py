# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.compare`` and ``lab.parity`` do: two runs beside each other, made if need be."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ccslab import progress
from ccslab.errors import InfrastructureError, UserError
from ccslab.evidence.results import read_results
from ccslab.evidence.table import shown_path
from ccslab.kernel import catalog
from ccslab.labs import definition, setup
from ccslab.labs.definition import Lab
from ccslab.runs import comparison, grid, parity
from ccslab.runs import folder as runs
from ccslab.runs.cell import VERDICTS
from ccslab.runs.manifest import MANIFEST, identity, read_manifest
from ccslab.runs.scenario import manifest_of
from ccslab.settings import ALL, Settings


def compare(settings: Settings, name: str, folders: Sequence[str] = ()) -> int:
    """What the second kernel denies that the first lets through; returns 0, or 1 if they differ otherwise.

    :param settings: name two kernels; of one, it is compared with the same tree without patches.
    :param folders: two runs' folders, instead of the newest of those kernels.
    :raises LabError: what was asked for is wrong, or a lab that had to be run came to no verdict.
    """
    lab = definition.find(name, settings.root)
    definition.require(lab, "lab.compare", "attacks")
    if folders and len(folders) != 2:
        raise UserError(f"a comparison takes two runs, not {len(folders)}", where="--runs", mend="--runs A,B")
    if folders:
        a, b = map(Path, folders)
    else:
        cells = catalog.expand(settings)
        if len(cells) == 1:
            cells.insert(0, dataclasses.replace(cells[0], patchset="none"))
        kernels = {catalog.find(one).name for one in cells}
        if len(cells) != 2 or len(kernels) != 2:
            told = ", ".join(f"{catalog.find(one).name} {one.arch}" for one in cells)
            mend = "say --kernel stock-6.12,6.12"
            raise UserError(f"a comparison takes two kernels of one architecture, not {told}", mend=mend)
        a, b = newest(cells, lab)
    return comparison.report(comparison.compare_runs(lab, a, b), settings.runs, progress.console)


def on_a_par(settings: Settings, name: str) -> int:
    """Whether a lab's policies on two architectures differ only as declared; returns 0 if they do, else 1.

    :param settings: name one kernel; of one architecture, it is compared with the others.
    :raises LabError: as ``compare``.
    """
    lab = definition.find(name, settings.root)
    definition.require(lab, "lab.parity", "a server", "rules")
    cells = catalog.expand(settings)
    if len(cells) == 1:
        cells = catalog.expand(dataclasses.replace(settings, arch=ALL))
    kernels = {catalog.find(one).name for one in cells}
    if len(cells) != 2 or len(kernels) != 1:
        told = ", ".join(f"{catalog.find(one).name} {one.arch}" for one in cells)
        raise UserError(f"parity is of one kernel on two architectures, not {told}", mend="name one --kernel")
    folders = dict(zip((one.arch for one in cells), newest(cells, lab), strict=True))
    pair = parity.compare_runs(lab, kernels.pop(), folders)
    return parity.report(lab, pair, settings.runs, progress.console)


def newest(cells: Sequence[Settings], lab: Lab) -> list[Path]:
    """Each cell's newest run that came to its end and whose inputs are today's; run now where there is none.

    :raises LabError: a part cannot be built, or a run came to no verdict.
    """
    found = {id(one): current(one, lab) for one in cells}
    missing = [one for one in cells if found[id(one)] is None]
    if missing:
        done = grid.run([lab], missing)
        for one, cell in zip(missing, done.cells, strict=True):
            if cell.state not in VERDICTS:
                raise InfrastructureError(cell.why, where=cell.name, mend=f"see {shown_path(done.folder)}")
            found[id(one)] = one.runs / cell.run
    return [folder for one in cells if (folder := found[id(one)])]


def current(settings: Settings, lab: Lab) -> Path | None:
    """The newest finished run of a cell whose inputs are what they are today, if there is one.

    :raises LabError: its kernel or image cannot be built.
    """
    parts = setup.build(settings, lab)
    wanted = identity(manifest_of(settings, lab, parts).inputs)
    kernel = catalog.find(settings).name
    for run in reversed(runs.listed(settings.runs, lab.name)):
        if (run.kernel, run.arch) == (kernel, settings.arch) and _is(run, wanted):
            progress.console.print(f"{kernel} {settings.arch}: its run of {run.started:%H:%M} UTC is current")
            return run.folder
    return None


def _is(run: runs.Run, wanted: str) -> bool:
    """Whether a run came to its end and was made of just those inputs."""
    try:
        made_of = identity(read_manifest(run.folder / MANIFEST)["inputs"])
        return made_of == wanted and read_results(run.folder).finished
    except (UserError, KeyError):
        return False
