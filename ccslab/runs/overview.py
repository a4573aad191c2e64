# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.list``, ``lab.show``, ``lab.status`` and ``lab.clean`` show and do."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccslab import output
from ccslab.errors import EXIT_INFRASTRUCTURE, EXIT_PASSED, EXIT_VERDICT, UserError
from ccslab.evidence.report.browser import VIEWS, screenshot
from ccslab.evidence.report.page import write_report
from ccslab.evidence.results import read_results, verdict_of
from ccslab.evidence.table import STYLES, duration, plain_table, show, show_results, shown_path, size
from ccslab.evidence.text import one_line, write
from ccslab.evidence.timings import timings
from ccslab.kernel import catalog
from ccslab.labs import definition, setup, visiting
from ccslab.labs.keeping import KEPT
from ccslab.progress import Terminal, console
from ccslab.runs import folder as runs
from ccslab.runs import journal
from ccslab.runs.completeness import verify_complete
from ccslab.runs.manifest import read_run
from ccslab.runs.neighbours import neighbours
from ccslab.settings import Settings, path_of, resolved
from ccslab.store import Store, cleaning
from ccslab.store.artifacts import artifacts

# rich's own picture fetches its fonts from the net; the viewer's monospace will do.
FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def show_labs(settings: Settings) -> None:
    """The labs there are and how their last runs ended, the kernels, and how to run one."""
    table = Table("lab", "what it shows", "last run", box=box.SIMPLE_HEAD)
    options: list[str] = []
    for name in definition.names(settings.root):
        try:
            lab = definition.find(name, settings.root)
        except UserError as error:  # one that is being written hides no other
            table.add_row(name, Text(str(error), STYLES["error"]), "")
            continue
        table.add_row(name, Text(lab.title), _last(settings.runs, name))
        options += [
            f"{name} --set {word}={option.default}: {option.help}" for word, option in lab.options.items()
        ]
    console.print(table)
    for line in options:
        console.print(Text(line))
    console.print(f"kernels: {', '.join(catalog.names(settings.root))}")
    console.print("run one: ./inv lab.scenario NAME [--kernel KERNEL], several: NAME,NAME or all")


def _last(folder: Path, lab: str) -> Text:
    """The verdict of a lab's newest run, and how long that took."""
    past = [run for run in runs.listed(folder, lab) if run.state is runs.State.FINISHED]
    if not past:
        return Text("-", "dim")
    verdict = verdict_of(past[-1].folder)
    try:
        seconds = float(read_run(past[-1].folder)["seconds"] or 0.0)
    except UserError:
        return Text(verdict, STYLES.get(verdict, ""))
    return Text(f"{verdict}, {duration(seconds)}", STYLES.get(verdict, ""))


def show_run(settings: Settings, name: str, *, svg: str = "", show_timings: bool = False) -> int:
    """The tables of a lab's newest run again; returns 0 if it passed, 1 if it failed, 3 if it broke off.

    :param svg: write them as a picture into this file instead.
    :param show_timings: also where the time went.
    """
    lab = definition.find(name, settings.root)
    run = runs.latest(settings.runs, lab.name)
    if svg:
        output.check_file(Path(svg), lambda content: content.startswith(output.SVG), "--svg")
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
    pictures = {
        view: resolved(path_of(shots, "shots")) / f"report-{view.name}.png" for view in VIEWS if shots
    }
    for path in pictures.values():
        output.check_file(path, lambda content: content.startswith(output.PNG), "--shots")
    manifest = read_run(folder)
    results = read_results(folder)
    page = write_report(results, manifest, folder, guarded=lab.protected, **neighbours(folder, results))
    console.print(f"report: {shown_path(page)}")
    for view, path in pictures.items():
        picture = screenshot(page, path, view)
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
    for kind, sizes in artifacts(store).items():
        table.add_row(kind, str(len(sizes)), size(sum(sizes)))
    console.print(Text(f"cache: {store.root}"))
    console.print(table)
    found = runs.listed(settings.runs)
    finished = [run for run in found if run.state is runs.State.FINISHED]
    # Of what other commands left only what goes on, or can be gone on with.
    beside = [run for folder in runs.collections(settings.runs) for run in runs.listed(folder)]
    found += [run for run in beside if run.state is not runs.State.FINISHED and journal.read(run.folder)]
    show_runs(
        found,
        console,
        verdicts={run.folder.name: verdict_of(run.folder) for run in finished},
        lacks={run.folder.name: len(verify_complete(run.folder)) for run in finished},
    )


def show_runs(
    found: list[runs.Run], console: Console, *, verdicts: dict[str, str], lacks: dict[str, int]
) -> None:
    """The runs there are, newest last.

    :param verdicts: folder name -> verdict, of the finished ones.
    :param lacks: folder name -> how many things of a finished run it lacks.
    """
    table = plain_table("Runs")
    table.add_column("run", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for run in found:
        state = run.state
        verdict = verdicts.get(run.folder.name, "-") if state is runs.State.FINISHED else "-"
        missing = lacks.get(run.folder.name, 0)
        note = f", lacks {missing}" if state is runs.State.FINISHED and missing else ""
        table.add_row(
            Text(shown_path(run.folder)), Text(f"{run.told}{note}"), Text(verdict, STYLES.get(verdict, ""))
        )
    if found:
        show(table, console)
    else:
        console.print("no runs yet; start one: ./inv lab.scenario apache-cgi")


def clean(settings: Settings, *, keep: int, everything: bool, sure: bool = False) -> None:
    """Remove old runs, what killed ones left, and with ``everything`` all that was built.

    :param sure: do not ask before everything goes.
    :raises UserError: the cache folder is none of ours, or everything is to go and nobody can be asked.
    """
    store = settings.store
    found = cleaning.items(store) if everything else []
    if found and not _agreed(store, found, sure=sure):
        console.print("nothing was removed")
        return
    setup.tidy(settings)
    folders = [settings.runs, *runs.collections(settings.runs)]
    gone = [one for folder in folders for one in runs.clean(folder, keep=keep)]
    console.print(f"{len(gone)} runs removed, the newest {keep} of each lab on each kernel kept")
    for item in cleaning.sweep(store):
        console.print(f"removed {item.path.relative_to(store.root)}")
    if everything:
        _empty(store, found)


def _agreed(store: Store, found: Sequence[cleaning.Item], *, sure: bool) -> bool:
    """Say what is going to be removed, and ask whether it may be.

    :raises UserError: there is no terminal to ask on.
    """
    if not sure and not (sys.stdin.isatty() and console.is_terminal):
        raise UserError(
            "nobody can be asked whether all that was built may go: this is no terminal",
            where=store.root,
            mend="./inv lab.clean --all --yes",
        )
    kinds: dict[str, list[cleaning.Item]] = {}
    for item in found:
        kinds.setdefault(item.kind, []).append(item)
    table = Table("to be removed", "number", "size", box=box.SIMPLE_HEAD)
    for kind, some in kinds.items():
        table.add_row(kind, str(len(some)), size(cleaning.size(some)))
    console.print(Text(f"cache: {store.root}"))
    console.print(table)
    return sure or console.input("Remove all of it? [y/N] ").strip().lower() in ("y", "yes")


def _empty(store: Store, found: Sequence[cleaning.Item]) -> None:
    """Remove the cache's content, but what is in use or not ours; says what stays."""
    if not store.root.exists():
        console.print(f"there is no cache yet: {store.root}")
        return
    before = shutil.disk_usage(store.root).free
    for item in cleaning.clean(store, found):
        console.print(f"left, a run uses it: {item.path.relative_to(store.root)}")
    for path in cleaning.foreign(store):
        console.print(f"left, ccs-lab did not make it: {shown_path(path)}")
    freed = shutil.disk_usage(store.root).free - before
    console.print(f"cache {store.root} emptied, {size(max(0, freed))} freed")
