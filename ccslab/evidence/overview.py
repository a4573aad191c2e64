# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.list``, ``lab.show``, ``lab.status`` and ``lab.clean`` show and do."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from ccslab.errors import EXIT_INFRASTRUCTURE, EXIT_PASSED, EXIT_VERDICT
from ccslab.evidence import run as runs
from ccslab.evidence.completeness import verify_complete
from ccslab.evidence.manifest import read_run
from ccslab.evidence.report.browser import VIEWS, screenshot
from ccslab.evidence.report.page import write_report
from ccslab.evidence.results import read_results, verdict_of
from ccslab.evidence.table import show, show_results, show_runs, shown_path, size
from ccslab.evidence.text import one_line, write
from ccslab.evidence.timings import timings
from ccslab.kernel import catalog
from ccslab.labs import definition, setup, visiting
from ccslab.labs.keeping import KEPT
from ccslab.progress import Terminal, console
from ccslab.settings import Settings, path_of, resolved
from ccslab.store import INPUTS, Store, remove

# rich's own picture fetches its fonts from the net; the viewer's monospace will do.
FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def show_labs(settings: Settings) -> None:
    """The labs and kernels there are, and how to run one."""
    table = Table("lab", "what it shows", "attacks", box=box.SIMPLE_HEAD)
    for name in definition.names(settings.root):
        lab = definition.find(name, settings.root)
        table.add_row(name, lab.title, str(len(lab.attacks)))
    console.print(table)
    console.print(f"kernels: {', '.join(catalog.names(settings.root))}")
    console.print("run one: ./inv lab.scenario NAME [--kernel KERNEL]")


def show_run(settings: Settings, name: str, *, svg: str = "", show_timings: bool = False) -> int:
    """The tables of a lab's newest run again; returns 0 if it passed, 1 if it failed, 3 if it broke off.

    :param svg: write them as a picture into this file instead.
    :param show_timings: also where the time went.
    """
    lab = definition.find(name, settings.root)
    run = runs.latest(settings.runs, lab.name)
    results = read_results(run.folder)
    seconds = float(read_run(run.folder)["seconds"] or 0.0)
    target = Terminal(record=True, width=100, file=io.StringIO(), force_terminal=True) if svg else console
    show_results(results, run.folder, seconds, target)
    if show_timings:
        show(timings(results), target)
    if results.error:
        target.print(Text(f"error: {one_line(results.error)}"))
    if svg:
        picture = target.export_svg(title=f"./inv lab.scenario {lab.name}")
        write(path_of(svg, "svg"), FONTS.sub("", picture).encode())
        console.print(f"picture: {svg}")
    if not results.finished:
        return EXIT_INFRASTRUCTURE
    return EXIT_PASSED if results.passed else EXIT_VERDICT


def report(settings: Settings, name: str, *, shots: str = "") -> None:
    """Write the report of a lab's newest run again, with what was measured and proved since.

    :param shots: a folder that gets pictures of it, ``report-<view>.png``.
    """
    lab = definition.find(name, settings.root)
    folder = runs.latest(settings.runs, lab.name).folder
    manifest = read_run(folder)
    page = write_report(read_results(folder), manifest, folder, guarded=lab.protected)
    console.print(f"report: {shown_path(page)}")
    for view in VIEWS if shots else ():
        picture = screenshot(page, resolved(path_of(shots, "shots")) / f"report-{view.name}.png", view)
        console.print(f"picture: {shown_path(picture)}")


def enter(settings: Settings, named: str) -> None:
    """Give a person the guest that a run kept.

    :raises UserError: there is no such run, it kept none, or what it was made of is no more.
    """
    run = runs.find(settings.runs, named)
    visiting.boot(settings_of(settings, run), run.lab, kept=run.folder / KEPT)


def settings_of(settings: Settings, run: runs.Run) -> Settings:
    """The settings that a run of the catalogue's kernels was made with."""
    debug = run.kernel.endswith("-debug")
    return replace(settings, arch=run.arch, kernel=run.kernel.removesuffix("-debug"), debug=debug)


def show_status(settings: Settings) -> None:
    """What is built, and how the runs ended."""
    store = settings.store
    table = Table("built", "number", "size", box=box.SIMPLE_HEAD)
    for kind, folders in _artifacts(store).items():
        used = sum(
            path.stat().st_blocks * 512 for folder in folders for path in folder.rglob("*") if path.is_file()
        )
        table.add_row(kind, str(len(folders)), size(used))
    console.print(Text(f"cache: {store.root}"))
    console.print(table)
    found = runs.listed(settings.runs)
    finished = [run for run in found if run.state is runs.State.FINISHED]
    show_runs(
        found,
        console,
        verdicts={run.folder.name: verdict_of(run.folder) for run in finished},
        lacks={run.folder.name: len(verify_complete(run.folder)) for run in finished},
    )


def clean(settings: Settings, *, keep: int, everything: bool) -> None:
    """Remove old runs, what killed ones left, and with ``everything`` all that was built."""
    setup.tidy(settings)
    folders = [settings.runs, *runs.collections(settings.runs)]
    gone = [one for folder in folders for one in runs.clean(folder, keep=keep)]
    console.print(f"{len(gone)} runs removed, the newest {keep} of each lab on each kernel kept")
    if everything:
        store = settings.store
        before = shutil.disk_usage(store.root).free if store.root.is_dir() else 0
        for path in store.root.glob("*"):
            if path.name != "locks":  # another run may be waiting at one
                remove(path)
        freed = shutil.disk_usage(store.root).free - before if store.root.is_dir() else 0
        console.print(f"cache {store.root} emptied, {size(max(0, freed))} freed")


def _artifacts(store: Store) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for inputs in sorted(store.root.glob(f"*/*/{INPUTS}")):
        found.setdefault(inputs.parent.parent.name, []).append(inputs.parent)
    return found
