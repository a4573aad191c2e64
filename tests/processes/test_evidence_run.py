# SPDX-License-Identifier: GPL-2.0-only
"""Runs' folders: never shared, found again, removed only when nobody lives in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import evidence_sample as sample
import pytest

from ccslab.errors import InfrastructureError, Stopped, UserError
from ccslab.evidence.results import read_results, write_results
from ccslab.runs import folder as runs_of
from ccslab.runs.folder import Run, State
from ccslab.runs.manifest import Manifest, read_manifest
from ccslab.runs.recording import recording

NOON = datetime(2025, 11, 22, 12, 0, tzinfo=UTC)


def finish(runs: Path, minutes: int = 0, lab: str = "sample-lab") -> Run:
    """A run that started that many minutes after noon and left results."""
    started = NOON + timedelta(minutes=minutes)
    with runs_of.create(runs, lab=lab, arch="x86_64", kernel="6.12", now=started) as living:
        write_results(sample.passed(), living.folder)
        runs_of.link_latest(living.run)
    return living.run


def test_the_name_says_lab_arch_kernel_and_time_in_utc(tmp_path: Path) -> None:
    local = NOON.astimezone(timezone(timedelta(hours=9)))
    with runs_of.create(tmp_path, lab="apache-cgi", arch="x86_64", kernel="next/6.13", now=local) as living:
        assert living.folder == tmp_path / "apache-cgi-x86_64-next-6.13-20251122T120000Z"
        assert living.run.started == NOON
        assert runs_of.listed(tmp_path) == [living.run]


def test_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: finish(tmp_path), range(24)))
    assert len({run.folder for run in made}) == 24
    assert len(runs_of.listed(tmp_path)) == 24
    assert not list(tmp_path.glob(".new-*"))


def test_latest_is_a_relative_link_to_the_newest_finished_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    finish(runs, 1)
    newest = finish(runs, 5)
    finish(runs, 3)  # started before, ended after: not the newest
    link = runs / "latest" / "sample-lab"
    assert link.readlink() == Path("..") / newest.folder.name
    assert runs_of.latest(runs, "sample-lab") == newest
    runs.rename(tmp_path / "moved")
    assert read_results(tmp_path / "moved" / "latest" / "sample-lab") == sample.passed()


def test_latest_of_a_lab_that_never_ran(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run of sample-lab"):
        runs_of.latest(tmp_path, "sample-lab")


def test_states(tmp_path: Path) -> None:
    finished = finish(tmp_path)
    with runs_of.create(tmp_path, lab="sample-lab", arch="x86_64", kernel="6.12") as living:
        assert [run.state for run in runs_of.listed(tmp_path)] == [State.FINISHED, State.RUNNING]
    assert living.run.state is State.BROKEN
    assert finished.state is State.FINISHED


def test_a_killed_run_frees_its_folder(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from ccslab.runs.folder import create\n"
        "living = create(Path(sys.argv[1]), lab='l', arch='a', kernel='k')\n"
        "print('made', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"made\n"
        (run,) = runs_of.listed(tmp_path)
        assert run.state is State.RUNNING
        assert runs_of.clean(tmp_path, keep=0) == []
        assert run.folder.is_dir()
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    assert run.state is State.BROKEN
    assert runs_of.clean(tmp_path, keep=0) == [run.folder]
    assert not run.folder.exists()


def test_clean_keeps_the_newest_of_each_lab(tmp_path: Path) -> None:
    old, middle, new = (finish(tmp_path, minute) for minute in (1, 2, 3))
    other = finish(tmp_path, 0, lab="other-lab")
    assert runs_of.clean(tmp_path, keep=2) == [old.folder]
    assert runs_of.listed(tmp_path) == [other, middle, new]
    assert runs_of.clean(tmp_path, keep=0, lab="sample-lab") == [middle.folder, new.folder]
    assert runs_of.listed(tmp_path) == [other]
    assert not (tmp_path / "latest" / "sample-lab").is_symlink()
    assert (tmp_path / "latest" / "other-lab").is_dir()


def test_folders_that_hold_other_folders_of_runs_are_told_from_runs(tmp_path: Path) -> None:
    assert runs_of.collections(tmp_path / "none") == []
    run = finish(tmp_path)
    finish(tmp_path / "bench")
    finish(tmp_path / "matrix")
    (tmp_path / "a-file").touch()
    assert (tmp_path / "latest").is_dir()
    assert run.folder.is_dir()
    assert runs_of.collections(tmp_path) == [tmp_path / "bench", tmp_path / "matrix"]


def test_clean_keeps_what_latest_points_to(tmp_path: Path) -> None:
    finished = finish(tmp_path)
    for _ in range(2):
        with runs_of.create(tmp_path, lab="sample-lab", arch="x86_64", kernel="6.12"):
            pass
    assert len(runs_of.clean(tmp_path, keep=1)) == 1
    assert finished in runs_of.listed(tmp_path)


def test_clean_sweeps_what_was_left_half_made_or_half_removed(tmp_path: Path) -> None:
    for name in (".new-abc", ".gone-sample"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".run").touch()
    (tmp_path / ".new-this-instant").mkdir()
    (tmp_path / "somebody's").mkdir()
    runs_of.clean(tmp_path, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-this-instant", "somebody's"]


def test_clean_of_nothing_and_of_less_than_nothing(tmp_path: Path) -> None:
    assert runs_of.clean(tmp_path / "none", keep=3) == []
    with pytest.raises(UserError, match="0 or more"):
        runs_of.clean(tmp_path, keep=-1)


def manifest() -> Manifest:
    """A manifest of nothing much."""
    return Manifest({}, {}, ["inv"], "tcg", "asked for", started=NOON)


def test_a_recorded_run_leaves_its_evidence(tmp_path: Path) -> None:
    results = sample.failed()
    with recording(tmp_path, results, manifest()) as run:
        assert run.state is State.RUNNING
        assert read_manifest(run.folder / "manifest.json")["ended"] is None
    assert run.state is State.FINISHED
    assert read_results(run.folder) == results
    assert (run.folder / "junit.xml").is_file()
    assert read_manifest(run.folder / "manifest.json")["ended"]
    assert runs_of.latest(tmp_path, "sample-lab") == run


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            UserError("is unknown", where="lab.toml", mend="name\x1b[2J another"),
            r"lab.toml: is unknown - name\x1b",
        ),
        (KeyboardInterrupt(), "stopped by the user"),
        (Stopped(signal.SIGTERM), "stopped by SIGTERM"),
        (ZeroDivisionError("by\nzero"), "ZeroDivisionError: by zero"),
    ],
)
def test_a_run_that_breaks_off_leaves_its_error(tmp_path: Path, error: BaseException, told: str) -> None:
    results = sample.passed()
    with pytest.raises(type(error)), recording(tmp_path, results, manifest()) as run:
        raise error
    found = read_results(run.folder)
    assert found.verdict == "error"
    assert found.error.startswith(told)
    assert "\n" not in found.error
    assert runs_of.latest(tmp_path, "sample-lab") == run


@pytest.mark.parametrize("writer", ["write_manifest", "write_junit", "write_report", "link_latest"])
def test_a_writer_that_fails_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], writer: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RecursionError("maximum recursion depth exceeded")

    def body() -> None:
        with recording(tmp_path, sample.passed(), manifest()):
            monkeypatch.setattr(f"ccslab.runs.recording.{writer}", fails)

    with pytest.raises(InfrastructureError, match="was not written: RecursionError: maximum") as caught:
        body()
    assert str(caught.value).count("was not written") == 1
    assert "was not written: RecursionError" in capsys.readouterr().out
    (run,) = runs_of.listed(tmp_path)
    assert read_results(run.folder) == sample.passed()
    left = {"write_junit": "junit.xml", "write_report": "report.html"}
    for name in {*left.values()} - {left.get(writer, "")}:
        assert (run.folder / name).is_file()


def test_the_blocks_error_is_told_also_when_its_evidence_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    def body() -> None:
        with recording(tmp_path, sample.passed(), manifest()):
            monkeypatch.setattr(os, "fsync", full)
            raise UserError("the reason")

    with pytest.raises(UserError, match="the reason"):
        body()
    (run,) = runs_of.listed(tmp_path)
    assert run.state is State.BROKEN


def test_clean_counts_each_kernel_and_architecture_by_itself(tmp_path: Path) -> None:
    cells = [("x86_64", "6.12"), ("i386", "6.12"), ("x86_64", "6.1"), ("x86_64", "6.12")]
    made = []
    for minute, (arch, kernel) in enumerate(cells):
        started = NOON + timedelta(minutes=minute)
        with runs_of.create(tmp_path, lab="sample-lab", arch=arch, kernel=kernel, now=started) as living:
            made.append(living.folder)
    assert runs_of.clean(tmp_path, keep=3) == []  # two of a kind are fewer than are to be kept
    assert runs_of.clean(tmp_path, keep=1) == made[:1]
    assert runs_of.clean(tmp_path / "nosuch", keep=1) == []


def test_what_is_made_of_several_runs_is_named_by_lab_and_time(tmp_path: Path) -> None:
    with runs_of.create(tmp_path / "matrix", lab="sample-lab", now=NOON) as living:
        assert living.folder == tmp_path / "matrix" / "sample-lab-20251122T120000Z"
        assert runs_of.reopen(living.run) is None
        (run,) = runs_of.listed(tmp_path / "matrix", "sample-lab")
        assert run.pid == os.getpid()
        assert runs_of.listed(tmp_path) == []
    again = runs_of.reopen(run)
    assert again is not None
    with again:
        assert run.state is State.RUNNING
    assert run.state is State.BROKEN


def test_a_link_among_the_runs_is_no_run(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    with runs_of.create(elsewhere, lab="apache-cgi") as living:
        folder = living.folder
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/link").symlink_to(folder)
    (tmp_path / "runs/.gone-link").symlink_to(folder)
    assert runs_of.listed(tmp_path / "runs") == []
    assert runs_of.clean(tmp_path / "runs", keep=0) == []
    assert (folder / runs_of.MARK).is_file()
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_hidden_folder_without_a_mark_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "runs/.gone-thesis").mkdir(parents=True)
    (tmp_path / "runs/.gone-thesis/text").touch()
    (tmp_path / "runs/.gone-empty").mkdir()
    runs_of.clean(tmp_path / "runs", keep=0)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [".gone-thesis"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_run_s_files_are_as_the_umask_says_in_a_folder_nobody_else_enters(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        with recording(tmp_path, sample.passed(), manifest()) as run:
            pass
    finally:
        os.umask(before)
    assert run.folder.stat().st_mode & 0o777 == 0o700
    found = {name: (run.folder / name).stat().st_mode & 0o777 for name in ("results.json", "manifest.json")}
    assert found == {"results.json": mode, "manifest.json": mode}
