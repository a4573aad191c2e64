# SPDX-License-Identifier: GPL-2.0-only
"""What the terminal shows: a line as each phase ends, and the tables at the end of a run.

Everything fits 80 columns, and no meaning is in a colour alone. Texts of the guest go through ``visible``
and are never read as markup.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ccslab.evidence import REPORT, RESULTS
from ccslab.evidence.text import one_line
from ccslab.policy.drift import tell
from ccslab.results import Grid, Measure, Phase, Results, Row

STYLES = {"passed": "green", "failed": "bold red", "error": "bold red", "unreadable": "bold red"}
DETAIL_WIDTH = 300
"""Characters of a failing check's detail; the whole of it is in junit.xml."""
DRIFT_LINES = 10
ROWS = 40
"""A grid of more rows is shown by its groups."""


def phase_line(phase: Phase, results: Results) -> Text:
    """One line that says how a phase that has just ended went.

    :param results: the run so far; its checks of this phase decide the verdict.
    """
    verdict, failed = _phase_verdict(phase, results)
    line = Text(f"  {one_line(phase.name):<11}{phase.seconds:>7.1f} s  ", end="")
    counts = ", ".join(counted(number, one_line(word)) for word, number in phase.counts.items())
    line.append(f"{counts:<30} ")
    line.append(verdict, STYLES[verdict])
    if failed:
        line.append(f" ({failed})")
    return line


def show_results(results: Results, folder: Path, seconds: float, console: Console) -> None:
    """The end of a run: its tables, what failed, and one last line with verdict, time and where all of it is.

    The error of a run that broke off is not shown: it is raised, and whoever catches it says it once.

    :param folder: the run's folder.
    :param seconds: how long the whole run took.
    """
    tables = (_phases(results), *(_grid(grid, results) for grid in results.grids), *_measures(results))
    for table in tables:
        if table.row_count:
            show(table, console)
    if drift := _drift(results):
        show(drift, console)
    failures = _failures(results)
    if failures.row_count:
        show(failures, console)
    console.print(last_line(results, folder, seconds))


def last_line(results: Results, folder: Path, seconds: float) -> Text:
    """Verdict, total time, and the path of the report, which is in the run's folder."""
    line = Text()
    line.append(results.verdict.upper(), STYLES[results.verdict])
    line.append(f" in {duration(seconds)}: {shown_path(folder)}/{REPORT}")
    return line


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``8.4 s``, ``12 min 04 s``, ``1 h 02 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def size(count: int) -> str:
    """Bytes as a person says them, the exact figure kept."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KiB" if count < 1024**2 else f"{count / 1024**2:.2f} MiB"


def shown_path(path: Path) -> str:
    """The path from here if it is below, else whole."""
    shown = os.path.relpath(path)
    return str(path) if shown.startswith("..") else shown


def plain_table(title: str = "") -> Table:
    """An empty table in the harness's manner."""
    return Table(
        title=Text(title, "bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
    )


def show(item: Table | Text | Padding, console: Console) -> None:
    """Print what is laid out to the console's width."""
    # The harness's console wraps softly, right for a path to be copied, not for what is laid out to a width.
    console.print(item, soft_wrap=False)


def _phases(results: Results) -> Table:
    counts = list(dict.fromkeys(what for phase in results.phases for what in phase.counts))
    table = plain_table("Phases")
    table.add_column("phase", no_wrap=True)
    for name in ("seconds", *(f"{word}s" for word in counts)):
        table.add_column(Text(one_line(name)), justify="right", no_wrap=True)
    table.add_column("verdict")
    for phase in results.phases:
        verdict, failed = _phase_verdict(phase, results)
        text = Text(verdict, STYLES[verdict])
        if failed:
            text.append(f", {failed}")
        numbers = (str(phase.counts[what]) if what in phase.counts else "" for what in counts)
        table.add_row(Text(one_line(phase.name)), f"{phase.seconds:.1f}", *numbers, text)
    return table


def _grid(grid: Grid, results: Results) -> Table:
    """A grid: row by row, or group by group with the rows that went wrong if there are many."""
    right = len(grid.rows) - len(grid.wrong)
    verdict = f"{right} of {len(grid.rows)} as wanted" if grid.judged else "shown, not judged"
    table = plain_table(f"{one_line(grid.name).capitalize()}: {verdict}")
    table.collapse_padding = len(grid.columns) > 4  # eighty columns have no more room
    table.add_column(Text(one_line(grid.name)), ratio=1, overflow="fold")
    for column in grid.columns:
        table.add_column(Text(one_line(column)), no_wrap=True)
    shown: Iterable[Row] = grid.rows
    if len(grid.rows) > ROWS and all(row.group for row in grid.rows):
        for group in dict.fromkeys(row.group for row in grid.rows):
            rows = [row for row in grid.rows if row.group == group]
            name = Text(f"{one_line(group)} ({len(rows)})")
            table.add_row(name, *(_share(grid, rows, column) for column in grid.columns))
        shown = grid.wrong if grid.judged else ()
    for row in shown:
        if results.error and not row.cells:
            continue  # the run broke off before it was tried
        table.add_row(Text(one_line(row.title)), *(_cell(grid, row, column) for column in grid.columns))
    return table


def _cell(grid: Grid, row: Row, column: str) -> Text:
    cell = row.cells.get(column)
    if cell is None:
        return Text("-", "dim")
    if cell.right or not grid.judged:
        return Text(one_line(cell.got), STYLES["passed"] if cell.right else "")
    return Text(f"{one_line(cell.got)} !", STYLES["failed"])


def _share(grid: Grid, rows: Sequence[Row], column: str) -> Text:
    """Of a group in one column: what it got; how many are right, if some are not."""
    cells = [row.cells[column] for row in rows if column in row.cells]
    right = sum(cell.right for cell in cells)
    if not cells:
        return Text("-", "dim")
    if grid.judged and right < len(cells):
        return Text(f"{right} of {len(cells)} !", STYLES["failed"])
    kinds = "/".join(dict.fromkeys(one_line(cell.got) for cell in cells))
    return Text(kinds, STYLES["passed"] if grid.judged else "")


def _measures(results: Results) -> Iterator[Table]:
    """Figures, a table for each name."""
    for name in dict.fromkeys(measure.name for measure in results.measures):
        table = plain_table(one_line(name).capitalize())
        table.add_column("of")
        table.add_column("", justify="right", no_wrap=True)
        for measure in results.measures:
            if measure.name == name:
                table.add_row(Text(one_line(measure.of)), Text(figure(measure)))
        yield table


def figure(measure: Measure) -> str:
    """A figure as a person says it: ``104.4 KiB (106912 bytes)``."""
    number = f"{measure.value:,.0f}" if float(measure.value).is_integer() else f"{measure.value:,.2f}"
    exact = f"{number} {one_line(measure.unit)}"
    return f"{size(int(measure.value))} ({exact})" if measure.unit == "bytes" else exact


def _drift(results: Results) -> Text | None:
    if results.drift is None:
        return None
    told = tell(results.drift, results.drift_since)
    count = len(told)
    if not count:
        return Text("Drift from the golden policy: none")
    text = Text(f"Drift from the golden policy: {counted(count, 'line')}")
    for line in told[:DRIFT_LINES]:
        text.append(f"\n  {one_line(line)}")
    if count > DRIFT_LINES:
        text.append(f"\n  ... {count - DRIFT_LINES} more in {RESULTS}")
    return text


def _failures(results: Results) -> Table:
    table = plain_table("What failed")
    table.add_column("phase", no_wrap=True, style=STYLES["failed"])
    table.add_column("check", ratio=2, overflow="fold")
    table.add_column("detail", ratio=3, overflow="fold")
    for phase, name, detail in results.failures():
        table.add_row(Text(one_line(phase)), Text(one_line(name)), Text(_cut(one_line(detail) or "-")))
    return table


def _cut(text: str) -> str:
    return text if len(text) <= DETAIL_WIDTH else f"{text[:DETAIL_WIDTH]} ... (all of it is in junit.xml)"


def _phase_verdict(phase: Phase, results: Results) -> tuple[str, str]:
    """A phase's verdict, and how much of it failed: ``2 of 20 checks``.

    The last phase of a run that broke off is the one the error happened in.
    """
    checks = [check for check in results.checks if check.phase == phase.name]
    failed = sum(not check.passed for check in checks)
    parts = [f"{failed} of {counted(len(checks), 'check')}"] if failed else []
    for grid in results.grids:
        if grid.phase == phase.name and not grid.passed:
            parts.append(f"{len(grid.wrong)} of {len(grid.rows)} {one_line(grid.name)}")
    if results.error and results.phases and phase is results.phases[-1]:
        return "error", parts[0] if failed else ""
    return ("failed", ", ".join(parts)) if parts else ("passed", "")


def counted(number: int, word: str) -> str:
    """A number of things: ``1 line``, ``2 lines``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
