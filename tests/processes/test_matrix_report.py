# SPDX-License-Identifier: GPL-2.0-only
"""What a matrix shows and leaves: fits the terminal, says what failed where, and is JUnit that adds up."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import evidence_sample
import matrix_sample as sample
import pytest
from rich.console import Console

from ccslab.evidence.junit import JUNIT
from ccslab.evidence.table import phase_line
from ccslab.policy.parity import Line, Parity
from ccslab.results import Phase
from ccslab.runs import matrixreport
from ccslab.runs.cell import Cell, State
from ccslab.runs.matrix import Matrix
from ccslab.runs.parity import Pair
from ccslab.runs.watching import Watcher, note


@pytest.fixture
def over(tmp_path: Path) -> Matrix:
    """A matrix that is over: one cell passed, one failed, one was killed, one was never built."""
    for name, words in {"x86_64-6.1": "fail", "i386-6.1": "crash"}.items():
        (tmp_path / name).write_text(words)
    (tmp_path / "i386-5.10.nobuild").touch()
    names = ("6.12/x86_64", "6.1/x86_64", "6.1/i386", "5.10/i386")
    return sample.drive(tmp_path, sample.cells(*names), slots=1)


def console(width: int = 80, *, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(), width=width, highlight=False, soft_wrap=True, markup=False,
        force_terminal=terminal, color_system=None,
    )  # fmt: skip


def said(target: Console) -> str:
    return str(target.file.getvalue())  # type: ignore[attr-defined]


def pair(tmp_path: Path, *wrong: str) -> Pair:
    """Policies on two architectures, with lines that differ and may not."""
    found = Parity(
        equal=[Line("<kernel>", "file read /a")], undeclared_b=[Line("<kernel>", one) for one in wrong]
    )
    stages = {"learned": Parity(), "tuned": Parity(), "enforcing": found}
    return Pair("6.12", ("x86_64", "i386"), (tmp_path, tmp_path), stages)


def test_the_table_says_what_became_of_each_cell(tmp_path: Path, over: Matrix) -> None:
    target = console()
    matrixreport.show_matrix(over, [pair(tmp_path)], tmp_path / "runs", target)
    lines = said(target).splitlines()
    assert lines[0].rstrip() == "Matrix of sample-lab: 1 passed, 1 failed, 2 error"
    rows = [line.split() for line in lines[4:8]]
    assert [row[:3] for row in rows] == [
        ["6.12", "x86_64", "passed"],
        ["6.1", "x86_64", "failed"],
        ["6.1", "i386", "error"],
        ["5.10", "i386", "error"],
    ]
    assert rows[0][-4:] == ["2/2", "0", "96.0", "KiB"]
    assert rows[3][-4:] == ["-"] * 4
    places = [line for line in lines if not line.startswith(" ") and "/" in line]
    assert all(len(line) <= 80 for line in lines if line not in places)
    text = "\n".join(lines)
    assert f"6.1 x86_64: {tmp_path}/runs/sample-lab-x86_64-6.1-" in text
    assert "  boot: the kernel is protected" in text
    assert "6.1 i386: " in text
    assert "  was killed by Segmentation fault" in text
    assert f"5.10 i386: {over.folder}/5.10-i386.log" in text
    assert "  Makefile: no such tree" in text
    assert "parity 6.12: 1 line equal, 0 differ as declared, 0 undeclared" in text
    assert lines[-1] == f"ERROR: {over.folder}/matrix.md"


def test_nothing_is_cut_of_long_names_and_times(tmp_path: Path, over: Matrix) -> None:
    for cell in over.cells:
        cell.kernel, cell.build_s, cell.run_s = f"stock-{cell.kernel}-debug", 599.6, 7384.0
        cell.tried = cell.right = 20
        cell.policy_memory_bytes = 5_500_000
    target = console()
    matrixreport.show_matrix(over, [], tmp_path / "runs", target)
    lines = said(target).splitlines()[:20]
    text = "\n".join(lines)
    assert "…" not in text
    assert re.search(r"passed +10:00 +2:03:04 +20/20 +0 +5\.25 MiB", text)
    assert all(len(line) <= 80 for line in lines if str(tmp_path) not in line)


def test_a_long_error_stays_indented_and_an_error_has_no_figures(tmp_path: Path) -> None:
    (tmp_path / "x86_64-6.1").write_text("break")
    matrix = sample.drive(tmp_path, sample.cells("6.1/x86_64"))
    (cell,) = matrix.cells
    assert (cell.tried, cell.right) == (2, 2)
    assert matrixreport.row(matrix, cell)[-3:] == ["-", "-", "-"]
    cell.why = (
        "units failed at boot: " + "systemd-sysctl.service loaded failed failed Apply Kernel Variables " * 3
    )
    target = console()
    matrixreport.show_matrix(matrix, [], tmp_path / "runs", target)
    told = [line for line in said(target).splitlines() if "loaded" in line or "Kernel" in line]
    assert len(told) > 2
    assert all(line.startswith("  ") and len(line) <= 80 for line in told)


@pytest.mark.parametrize(("drift", "shown"), [(None, "-"), (0, "0"), (3, "3")])
def test_drift_that_was_not_compared_is_no_zero(over: Matrix, drift: int | None, shown: str) -> None:
    over.cells[0].drift = drift
    row = dict(zip(matrixreport.heads(over), matrixreport.row(over, over.cells[0]), strict=True))
    assert row["drift"] == shown


def test_parity_that_is_not_as_declared_is_told(tmp_path: Path) -> None:
    told = matrixreport.parity_line(pair(tmp_path, "file read /b", "file read /c"))
    assert told.endswith("0 differ as declared, 2 undeclared")


def test_the_report_in_markdown(tmp_path: Path, over: Matrix) -> None:
    path = matrixreport.write_reports(over, [], tmp_path / "runs")
    text = path.read_text()
    assert "| 6.1    | x86_64 | failed  |" in text
    assert "- 5.10 i386 error: Makefile: no such tree" in text
    assert "taken over" not in text
    over.cells[0].taken_over = True
    text = matrixreport.write_reports(over, [], tmp_path / "runs").read_text()
    assert "| 6.12   | x86_64 | passed * |" in text
    assert "taken over from this matrix before it was killed" in text


def test_the_junit_file_has_a_suite_a_cell(tmp_path: Path, over: Matrix) -> None:
    matrixreport.write_reports(over, [], tmp_path / "runs")
    root = ET.parse(over.folder / JUNIT).getroot()
    suites = {suite.get("name"): suite for suite in root}
    assert {name: (one.get("failures"), one.get("errors")) for name, one in suites.items()} == {
        "sample-lab.6.12.x86_64": ("0", "0"),
        "sample-lab.6.1.x86_64": ("1", "0"),
        "sample-lab.6.1.i386": ("0", "1"),
        "sample-lab.5.10.i386": ("0", "1"),
    }
    wanted = len(evidence_sample.passed().checks) + len(evidence_sample.rows(evidence_sample.passed()))
    assert suites["sample-lab.6.12.x86_64"].get("tests") == str(wanted)
    assert root.get("tests") == str(sum(int(suite.get("tests", "")) for suite in root))
    case = suites["sample-lab.5.10.i386"][0]
    assert (case.get("name"), case[0].get("message")) == (
        "the cell comes to a verdict",
        "Makefile: no such tree",
    )
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == len(names)


def running(*names: str) -> list[Cell]:
    cells = sample.cells(*names)
    for cell in cells:
        cell.state = State.RUNNING
    return cells


def test_what_a_run_does_now_is_told_by_the_phase_that_ended() -> None:
    (cell,) = running("k/a")
    note(cell, "Booting 6.12 with tcg ...")
    assert cell.note == "Booting 6.12 with tcg ..."
    for name in (*evidence_sample.PHASES, "a_lab_s_2nd_phase"):
        phase = Phase(name, 10.5, {"request": 20, "violation": 3})
        note(cell, phase_line(phase, evidence_sample.passed()).plain)
        assert cell.note == f"phase {name} is over"
    note(cell, "a table's line, \x1b[31mwhich is none")
    assert cell.note == "phase a_lab_s_2nd_phase is over"


def test_a_terminal_sees_every_cell_and_what_it_does() -> None:
    cells = [*running("6.12/x86_64"), *sample.cells("stock-6.12/i386")]
    target = console(terminal=True)
    watcher = Watcher(cells, target, expected_s={"6.12 x86_64": 100.0, "stock-6.12 i386": 50.0}, slots=1)
    watcher.began(cells[0])
    note(cells[0], "Building kernel 6.12 (x86_64): 333 of 1900, 200 s left and much more to be said")
    target.print(watcher.picture(), soft_wrap=False)
    lines = said(target).splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "6.12 x86_64 running 0.0 s Building kernel 6.12 (x86_64): 3" in text
    assert "stock-6.12 i386 waiting" in text
    assert "0 of 2 done, about 2 min 30 s left" in text


@pytest.mark.parametrize(("slots", "left"), [(1, 300.0), (2, 200.0), (3, 200.0)])
def test_the_time_left_is_shared_but_not_below_the_longest(slots: int, left: float) -> None:
    cells = sample.cells("k/a", "k/b")
    watcher = Watcher(cells, console(), expected_s={"k a": 200.0, "k b": 100.0}, slots=slots)
    assert watcher.left_s() == left
    cells[0].state = State.PASSED
    assert watcher.left_s() == 100.0


def test_the_time_left_is_not_guessed_at() -> None:
    watcher = Watcher(sample.cells("k/a", "k/b"), console(), expected_s={"k a": 200.0}, slots=1)
    assert watcher.left_s() == 0.0


def test_without_a_terminal_there_is_a_line_as_each_cell_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample.drive(tmp_path, sample.cells("k/a"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["  k a: building", "  k a: running"]
    assert lines[2].startswith("  k a: passed after ")
    assert len(lines) == 3
