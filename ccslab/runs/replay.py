# SPDX-License-Identifier: GPL-2.0-only
"""``lab.replay``: a run repeated from its manifest, and whether it finds the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccslab import progress
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, UserError
from ccslab.evidence.results import read_results
from ccslab.evidence.table import counted, shown_path
from ccslab.evidence.text import one_line
from ccslab.kernel import catalog
from ccslab.labs import definition, payload, setup
from ccslab.results import Cell, Results
from ccslab.runs import folder as runs
from ccslab.runs.completeness import verify_complete
from ccslab.runs.manifest import read_run
from ccslab.runs.overview import settings_of
from ccslab.runs.scenario import manifest_of, scenario
from ccslab.settings import Settings

PARTS = {
    "kernel": "key",
    "image": "key",
    "lab": "sha256",
    "golden_policy": "sha256",
    "harness": "sha256",
}
"""Of each input in a manifest, the word that says whether it is the same."""
BY_CHANCE = {"violation"}
"""What phases count that differs from run to run: how often a program asks again for what it was denied."""


def replay(settings: Settings, named: str, *, anyway: bool = False) -> int:
    """Repeat a run; returns 0 if it finds the same, 1 if not.

    :param named: the run's folder or its name, or a lab, whose newest it is.
    :param anyway: also if what it was made of is not what is here now.
    :raises UserError: the run is incomplete, or its inputs are gone.
    """
    run = runs.find(settings.runs, named)
    if lacks := verify_complete(run.folder):
        raise UserError(f"the run is incomplete: {lacks[0]}", where=run.folder, mend="name another run")
    before, manifest = read_results(run.folder), read_run(run.folder)
    settings = settings_of(settings, run)
    if run.kernel.removesuffix("-debug") not in catalog.names(settings.root):
        raise UserError(f"kernel {run.kernel} is a tree of yours", where=run.folder, mend=_again(manifest))
    lab = payload.fitted(definition.find(run.lab, settings.root, settings.arch), settings.store)
    parts = setup.build(settings, lab)
    others = changed(manifest["inputs"], manifest_of(settings, lab, parts).inputs)
    if others and not anyway:
        commit = (
            manifest["inputs"].get("harness", {}).get("commit") or ""
        )  # null where it was no git checkout
        raise UserError(
            f"the run's {' and '.join(others)} {'is' if len(others) == 1 else 'are'} not what is here now",
            where=run.folder,
            mend=f"git checkout {commit[:12] or 'the commit of then'}, or compare nevertheless: --anyway",
        )
    scenario(settings, run.lab)
    newest = runs.latest(settings.runs, run.lab)
    found = list(differences(before, read_results(newest.folder)))
    for line in found:
        progress.console.print(f"  {line}")
    word = "the same" if not found else counted(len(found), "difference")
    progress.console.print(f"{word}: {shown_path(run.folder)} and {shown_path(newest.folder)}")
    return EXIT_VERDICT if found else EXIT_PASSED


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The inputs of a run that are others now."""
    return [
        name.replace("_", " ")
        for name, word in PARTS.items()
        if then.get(name, {}).get(word) != now.get(name, {}).get(word)
    ]


def differences(a: Results, b: Results) -> Iterator[str]:
    """What two runs found differently, a line each; times and process numbers aside."""
    for name in ("verdict", "release", "finished"):
        if getattr(a, name) != getattr(b, name):
            yield f"{name}: {getattr(a, name)}, then {getattr(b, name)}"
    of_a, of_b = (_counted(results) for results in (a, b))
    for name in dict.fromkeys((*of_a, *of_b)):
        if of_a.get(name) != of_b.get(name):
            yield f"phase {name}: {_counts(of_a.get(name))}, then {_counts(of_b.get(name))}"
    cells_a, cells_b = (dict(_cells(results)) for results in (a, b))
    for place in dict.fromkeys((*cells_a, *cells_b)):
        was, became = _seen(cells_a.get(place)), _seen(cells_b.get(place))
        if was != became:
            yield f"{place}: {was}, then {became}"
    checks_a, checks_b = ({(c.phase, c.name): c.passed for c in results.checks} for results in (a, b))
    held = {True: "held", False: "failed", None: "was not asked"}
    for key in dict.fromkeys((*checks_a, *checks_b)):
        if checks_a.get(key) != checks_b.get(key):
            before, after = held[checks_a.get(key)], held[checks_b.get(key)]
            yield f"{key[0]}: {one_line(key[1])}: {before}, then {after}"
    if (a.drift is None) is not (b.drift is None):
        yield f"drift: {'not compared' if a.drift is None else 'compared'}, then the other way"
    drift_a, drift_b = ({*(results.drift or ())} for results in (a, b))
    for line in sorted(drift_a ^ drift_b):
        yield f"drift {'gone' if line in drift_a else 'new'}: {one_line(line)}"


def _counted(results: Results) -> dict[str, dict[str, int]]:
    """What each phase counted, by its name."""
    return {
        phase.name: {word: number for word, number in phase.counts.items() if word not in BY_CHANCE}
        for phase in results.phases
    }


def _cells(results: Results) -> Iterator[tuple[str, Cell]]:
    """Each cell of each grid, by what it is called."""
    for grid in results.grids:
        for row in grid.rows:
            for column, cell in row.cells.items():
                yield f"{grid.name}: {one_line(row.name)} when {column}", cell


def _seen(cell: Cell | None) -> str:
    return "not tried" if cell is None else f"{cell.got}{f' ({cell.note})' if cell.note else ''}"


def _counts(counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return "not reached"
    return ", ".join(counted(number, word) for word, number in counts.items()) or "nothing counted"


def _again(manifest: Mapping[str, Any]) -> str:
    return f"run again what it was: {one_line(str(manifest.get('command_line', '')))}"
