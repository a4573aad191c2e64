# SPDX-License-Identifier: GPL-2.0-only
"""A matrix brings each cell to its end whatever becomes of the others, and goes on where it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import matrix_sample as sample
import pytest

from ccslab.progress import console
from ccslab.runs import folder as runs
from ccslab.runs.cell import Cell, State
from ccslab.runs.matrix import FOLDER, MATRIX, Drive, open_matrix
from ccslab.runs.watching import Watcher
from tests.waiting import alive, until

LOADED_S = 120.0  # a dozen Python processes on a machine that is busy otherwise


def plan(place: Path, cell: str, words: str) -> None:
    """What a cell (``KERNEL/ARCH``) will do."""
    kernel, _, arch = cell.partition("/")
    (place / f"{arch}-{kernel}").write_text(words)


def ran(place: Path) -> list[str]:
    """The cells that were run, in order of their beginning."""
    return [line.split()[0] for line in (place / "ran").read_text().splitlines()]


def kept(place: Path) -> list[dict[str, object]]:
    """The documents of the matrices there are."""
    return [json.loads(path.read_bytes()) for path in sorted((place / "runs" / FOLDER).glob(f"*/{MATRIX}"))]


def test_one_cell_that_goes_wrong_does_not_stop_the_rest(tmp_path: Path) -> None:
    names = ["k/pass", "k/fail", "k/break", "k/crash", "k/vanish", "k/nobuild", "k/last"]
    for name in names[1:5]:
        plan(tmp_path, name, name[2:])
    (tmp_path / "nobuild-k.nobuild").touch()
    told = sample.cells(*names)
    matrix = sample.drive(tmp_path, told)
    states = {cell.arch: (cell.state, cell.code) for cell in told}
    assert states == {
        "pass": (State.PASSED, 0),
        "fail": (State.FAILED, 1),
        "break": (State.ERROR, 3),
        "crash": (State.ERROR, 3),
        "vanish": (State.ERROR, 3),
        "nobuild": (State.ERROR, 2),
        "last": (State.PASSED, 0),
    }
    why = {cell.arch: cell.why for cell in told}
    assert why["pass"] == ""
    assert why["fail"] == "boot: the kernel is protected"
    assert why["break"] == "console.log: the guest panicked"
    assert why["crash"] == "was killed by Segmentation fault"
    assert "results.json: is missing" in why["vanish"]
    assert why["nobuild"] == "Makefile: no such tree"
    assert matrix.code == 3
    (document,) = kept(tmp_path)
    assert [one["state"] for one in document["cells"]] == [cell.state for cell in told]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "code"), [([], 0), (["fail"], 1), (["fail", "break"], 3)], ids=["passed", "failed", "error"]
)
def test_the_exit_code_is_the_gravest(tmp_path: Path, words: list[str], code: int) -> None:
    for word in words:
        plan(tmp_path, f"k/{word}", word)
    assert sample.drive(tmp_path, sample.cells("k/a", "k/fail", "k/break")).code == code


def test_a_cell_knows_its_run_and_figures(tmp_path: Path) -> None:
    told = sample.cells("6.1/x86_64", "6.12/x86_64")
    sample.drive(tmp_path, told)
    for cell in told:
        assert cell.run.startswith(f"sample-lab-x86_64-{cell.kernel}-")
        assert (cell.right, cell.tried, cell.drift, cell.policy_memory_bytes) == (2, 2, 0, 98_304)
        assert cell.run_s > 0
        assert cell.inputs


def test_cells_run_side_by_side_and_no_more_than_there_are_slots(tmp_path: Path) -> None:
    # The first two wait for each other; the third would let the first end too early if it began beside them.
    plan(tmp_path, "k/a", "touch:a await:b")
    plan(tmp_path, "k/b", "touch:b await:a touch:both")
    plan(tmp_path, "k/c", "await:both")
    told = sample.cells("k/a", "k/b", "k/c")
    assert sample.drive(tmp_path, told).code == 0
    assert sorted(ran(tmp_path)[:2]) == ["k/a", "k/b"]


def test_one_build_at_a_time_and_no_more_cells_than_slots(tmp_path: Path) -> None:
    told = sample.cells("k/a", "k/b", "k/c", "k/d")
    matrix, _ = open_matrix(tmp_path, sample.LAB, told)
    with matrix.living:
        drive = Drive(
            matrix,
            {},
            folder=tmp_path,
            command=lambda stage, cell: [],
            current=lambda cell: "",
            slots=2,
            watcher=Watcher(told, console, expected_s={}, slots=2),
        )
    a, b, c, d = told
    assert drive.next() is a
    a.state = State.BUILDING
    drive.working = {a.name: a}
    assert drive.next() is None  # b waits for a's build
    c.state = State.BUILT
    assert drive.next() is c
    c.state = State.RUNNING
    a.state = State.BUILT
    drive.working = {c.name: c}
    assert drive.next() is b  # a build before a run
    b.state = State.RUNNING
    drive.working = {b.name: b, c.name: c}
    assert drive.next() is None  # a and d could be started, but both slots are taken
    assert (a.state, d.state) == (State.BUILT, State.WAITING)


@pytest.mark.parametrize("stage", ["build", "run"])
def test_each_stage_has_its_deadline(tmp_path: Path, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    (cell,) = told = sample.cells("k/a")
    (tmp_path / "a-k.nobuild").write_text("hang") if stage == "build" else plan(tmp_path, "k/a", "hang")
    assert sample.drive(tmp_path, told, **{f"{stage}_timeout_s": 0.0}).code == 3
    assert (cell.state, cell.why) == (State.ERROR, "did not end within 0 s")
    assert ("k a: running" in capsys.readouterr().out) == (stage == "run")


def started(place: Path, *names: str) -> subprocess.Popen[str]:
    """A matrix in a process of its own."""
    return subprocess.Popen(
        [sys.executable, sample.__file__, "matrix", str(place), *names],
        env={**os.environ, "PYTHONPATH": f"{sample.ROOT}{os.pathsep}{sample.HERE}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def killed(place: Path, *names: str) -> None:
    """Run a matrix until its cell ``k/hang`` runs and all others are over, then kill it."""
    plan(place, "k/hang", "hang")
    with started(place, *names) as child:

        def hangs_alone() -> bool:
            now = {one["arch"]: one["state"] for document in kept(place)[-1:] for one in document["cells"]}  # type: ignore[attr-defined]
            over = [name for name, state in now.items() if state in ("passed", "failed", "error")]
            return len(over) == len(names) - 1 and (place / "ran").exists() and "k/hang" in ran(place)

        try:
            until(hangs_alone, "only the hanging cell is left", within_s=LOADED_S)
        finally:
            child.send_signal(signal.SIGKILL)
    pids = [int(line.split()[1]) for line in (place / "ran").read_text().splitlines()]
    until(lambda: not any(map(alive, pids)), "its cells are gone, too")
    plan(place, "k/hang", "")


def test_a_killed_matrix_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["k/a", "k/fail", "k/break", "k/hang"]
    plan(tmp_path, "k/fail", "fail")
    plan(tmp_path, "k/break", "break")
    killed(tmp_path, *names)
    assert kept(tmp_path)[0]["ended"] is None
    told = sample.cells(*names)
    assert sample.drive(tmp_path, told).code == 3
    assert {cell.arch: (cell.state, cell.taken_over) for cell in told} == {
        "a": (State.PASSED, True),
        "fail": (State.FAILED, True),
        "break": (State.ERROR, False),  # came to no verdict: run again
        "hang": (State.PASSED, False),
    }
    assert sorted(ran(tmp_path)) == ["k/a", "k/break", "k/break", "k/fail", "k/hang", "k/hang"]
    assert len(kept(tmp_path)) == 1
    assert "k a: passed at " in capsys.readouterr().out
    assert told[0].run_s > 0


def test_what_was_made_of_other_inputs_is_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(tmp_path, "k/a", "k/hang")
    told = sample.cells("k/a", "k/hang")
    sample.drive(tmp_path, told, made_of="another")
    assert not any(cell.taken_over for cell in told)
    assert ran(tmp_path).count("k/a") == 2
    assert "k a: its inputs have changed, it is run again" in capsys.readouterr().out


def test_a_verdict_whose_run_was_removed_is_not_taken_over(tmp_path: Path) -> None:
    killed(tmp_path, "k/a", "k/hang")
    runs.clean(tmp_path / "runs", keep=0)
    told = sample.cells("k/a", "k/hang")
    sample.drive(tmp_path, told)
    assert not any(cell.taken_over for cell in told)


def test_another_matrix_takes_nothing_over(tmp_path: Path) -> None:
    killed(tmp_path, "k/a", "k/hang")
    told = sample.cells("k/a")
    sample.drive(tmp_path, told)
    assert not told[0].taken_over
    assert len(kept(tmp_path)) == 2


def test_a_finished_matrix_runs_anew(tmp_path: Path) -> None:
    for _ in range(2):
        told = sample.cells("k/a")
        sample.drive(tmp_path, told)
        assert not told[0].taken_over
    assert ran(tmp_path) == ["k/a", "k/a"]
    assert len(kept(tmp_path)) == 2


def test_a_matrix_that_is_running_is_left_alone(tmp_path: Path) -> None:
    living, _ = open_matrix(tmp_path, "sample-lab", sample.cells("k/a"))
    with living.living:
        living.save()
        other, former = open_matrix(tmp_path, "sample-lab", sample.cells("k/a"))
        with other.living:
            assert other.folder != living.folder
            assert former == {}


def test_an_exit_code_that_contradicts_the_run_is_an_error(tmp_path: Path) -> None:
    (cell,) = told = sample.cells("k/a")
    sample.drive(tmp_path, told)
    run = tmp_path / "runs" / cell.run
    for code, state in ((0, State.PASSED), (1, State.ERROR), (3, State.ERROR)):
        other = Cell("a", "k", [])
        other.conclude(run, code, "")
        assert (other.state, other.code) == (state, code if code != 1 else 3)
