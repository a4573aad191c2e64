# SPDX-License-Identifier: GPL-2.0-only
"""What the terminal shows: a line as each phase ends, and the tables at the end of a run.

Everything fits 80 columns, and no meaning is in a colour alone. Texts of the guest go through ``visible``
and are never read as markup.
"""

from __future__ import annotations

import os
from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ccslab.evidence import REPORT, RESULTS
from ccslab.evidence.junit import reason
from ccslab.evidence.text import one_line
from ccslab.policy.drift import tell
from ccslab.results import WANTED, AttackResult, Phase, PhaseResult, Results

STYLES = {"passed": "green", "failed": "bold red", "error": "bold red", "unreadable": "bold red"}
DETAIL_WIDTH = 300
"""Characters of a failing check's detail; the whole of it is in junit.xml."""
DRIFT_LINES = 10


def phase_line(phase: PhaseResult, results: Results) -> Text:
    """One line that says how a phase that has just ended went.

    :param results: the run so far; its checks of this phase decide the verdict.
    """
    verdict, failed = _phase_verdict(phase, results)
    line = Text(f"  {phase.name:<11}{phase.seconds:>7.1f} s  ", end="")
    line.append(f"{counted(phase.requests, 'request'):<13}{counted(phase.violations, 'violation'):<15}")
    line.append(verdict, STYLES[verdict])
    if failed:
        line.append(f" ({failed} of {_checks_of(phase, results)})")
    return line


def show_results(results: Results, folder: Path, seconds: float, console: Console) -> None:
    """The end of a run: its tables, what failed, and one last line with verdict, time and where all of it is.

    The error of a run that broke off is not shown: it is raised, and whoever catches it says it once.

    :param folder: the run's folder.
    :param seconds: how long the whole run took.
    """
    for table in (_phases(results), _attacks(results), _memory(results)):
        if table.row_count:
            show(table, console)
    show(_drift(results), console)
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
    table = plain_table("Phases")
    table.add_column("phase", no_wrap=True)
    for name in ("seconds", "requests", "violations"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for phase in results.phases:
        verdict, failed = _phase_verdict(phase, results)
        text = Text(verdict, STYLES[verdict])
        if failed:
            text.append(f", {failed} of {_checks_of(phase, results)}")
        table.add_row(phase.name, f"{phase.seconds:.1f}", str(phase.requests), str(phase.violations), text)
    return table


def _attacks(results: Results) -> Table:
    met = sum(attack.passed for attack in results.attacks)
    table = plain_table(f"Attacks: {met} of {len(results.attacks)} met their fate")
    table.add_column("attack", ratio=1, overflow="fold")
    for mode in WANTED:
        table.add_column(mode.value, no_wrap=True)
    for attack in results.attacks:
        if results.error and not attack.outcomes:
            continue  # the run broke off before it was tried
        table.add_row(Text(one_line(attack.title)), *(_outcome(attack, mode) for mode in WANTED))
    return table


def _outcome(attack: AttackResult, mode: Phase) -> Text:
    outcome = attack.outcomes.get(mode)
    if outcome is None:
        return Text("-", "dim")
    if outcome is WANTED[mode]:
        return Text(outcome.value, STYLES["passed"])
    return Text(f"{outcome.value} !", STYLES["failed"])


def _memory(results: Results) -> Table:
    table = plain_table("Policy memory")
    table.add_column("stage")
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    for stage, count in results.policy_memory_bytes.items():
        table.add_row(Text(one_line(stage)), size(count), str(count))
    return table


def _drift(results: Results) -> Text:
    told = tell(results.drift, results.drift_since)
    count = len(told)
    if not count:
        # Without a tuned phase nothing was compared, and no drift is no finding.
        compared = any(phase.name is Phase.TUNED for phase in results.phases)
        return Text("Drift from the golden policy: none" if compared else "Drift: not compared")
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
    failed = [check for check in results.checks if not check.passed]
    for check in failed:
        table.add_row(check.phase, Text(one_line(check.name)), Text(_cut(one_line(check.detail) or "-")))
    told = {check.name for check in failed}
    # Of a run that broke off the error is what matters, not all that was never tried.
    for attack in [] if results.error else results.attacks:
        # The engine makes a check of each attack in each mode; what that told is not told twice.
        named = any(name.startswith(f"attack {attack.name} ") for name in told)
        if not attack.passed and not named:
            table.add_row(Phase.ATTACKED, Text(one_line(attack.title)), Text(_cut(reason(attack))))
    return table


def _cut(text: str) -> str:
    return text if len(text) <= DETAIL_WIDTH else f"{text[:DETAIL_WIDTH]} ... (all of it is in junit.xml)"


def _phase_verdict(phase: PhaseResult, results: Results) -> tuple[str, int]:
    """A phase's verdict, and how many of its checks failed.

    The last phase of a run that broke off is the one the error happened in.
    """
    failed = sum(check.phase is phase.name and not check.passed for check in results.checks)
    if results.error and results.phases and phase is results.phases[-1]:
        return "error", failed
    if phase.name is Phase.ATTACKED and not failed and not all(one.passed for one in results.attacks):
        return "failed", 0
    return ("failed", failed) if failed else ("passed", 0)


def _checks_of(phase: PhaseResult, results: Results) -> str:
    return counted(sum(check.phase is phase.name for check in results.checks), "check")


def counted(number: int, word: str) -> str:
    """A number of things: ``1 line``, ``2 lines``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
