# SPDX-License-Identifier: GPL-2.0-only
"""Results that are on the disk as they come, and runs that go on where one broke off."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.runs import folder as runs
from ccslab.runs import journal
from ccslab.runs.continuation import Wanted, journaled
from ccslab.runs.folder import State
from ccslab.runs.journal import JOURNAL

WANTED = Wanted("lab.try", "sample", "x86_64", "6.12", 3, {"only": ""}, {"kernel": "k", "lab": "l"})


def broken(folder: Path, wanted: Wanted = WANTED, results: int = 2) -> Path:
    """A run that breaks off after some results; its folder."""

    def body() -> None:
        with journaled(folder, wanted, resume=False) as found:
            for number in range(results):
                found.add(f"trial {number}", {"says": number})
            raise InfrastructureError("the guest died")

    with pytest.raises(InfrastructureError, match="the guest died"):
        body()
    return runs.listed(folder)[-1].folder


def test_a_run_that_broke_off_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = broken(tmp_path)
    (run,) = runs.listed(tmp_path)
    assert (run.state, run.told) == (State.BROKEN, "broken off, 2 of 3")
    assert "2 of 3 results are kept in" in capsys.readouterr().out
    with journaled(tmp_path, WANTED, resume=True) as found:
        assert (found.folder, found.taken_over) == (folder, 2)
        assert found.results == {"trial 0": {"says": 0}, "trial 1": {"says": 1}}
        assert run.told == "running, 2 of 3"
        found.add("trial 2", {"says": 2})
    assert run.told == "finished"
    assert runs.latest(tmp_path, "sample") == run
    with pytest.raises(UserError, match="there is no run that broke off - leave out --resume"):
        journaled(tmp_path, WANTED, resume=True).__enter__()


def test_a_run_that_lacks_a_result_is_not_at_its_end(tmp_path: Path) -> None:
    with journaled(tmp_path, WANTED, resume=False) as found:
        found.add("trial 0", 0)
    (run,) = runs.listed(tmp_path)
    assert run.told == "broken off, 1 of 3"
    assert not (tmp_path / "latest").exists()


@pytest.mark.parametrize(
    "torn", [b'{"key": "trial 9", "resu', b"\xff\xfe", b"{}", b'{"key": "trial 9"}', b"[[[[", b"7"]
)
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_torn_line_is_as_not_written(tmp_path: Path, torn: bytes, end: bytes) -> None:
    folder = broken(tmp_path)
    with (folder / JOURNAL).open("ab") as stream:
        stream.write(torn + end)
    with journaled(tmp_path, WANTED, resume=True) as found:
        assert set(found.results) == {"trial 0", "trial 1"}
        found.add("trial 2", 2)
    kept = journal.read(folder)
    assert kept
    assert set(kept.results) == {"trial 0", "trial 1", "trial 2"}
    assert kept.ended


def test_a_journal_cut_at_any_byte_is_read(tmp_path: Path) -> None:
    whole = (broken(tmp_path) / JOURNAL).read_bytes()
    head = whole.index(b"\n") + 1
    for cut in range(len(whole)):
        (tmp_path / JOURNAL).write_bytes(whole[:cut])
        kept = journal.read(tmp_path)
        assert (kept is not None) == (cut >= head)
        if kept:
            assert len(kept.results) == whole[:cut].count(b"\n") - 1


def test_others_inputs_are_refused_in_a_line(tmp_path: Path) -> None:
    broken(tmp_path)
    other = replace(WANTED, inputs={"kernel": "x", "lab": "y"})
    with pytest.raises(UserError, match="the run's kernel and lab are not what is here now - leave out"):
        journaled(tmp_path, other, resume=True).__enter__()
    other = replace(WANTED, asked={"only": "mount"})
    with pytest.raises(
        UserError, match="no run that broke off of what is asked for; the newest was of only ''"
    ):
        journaled(tmp_path, other, resume=True).__enter__()
    for other in (replace(WANTED, kernel="7.2"), replace(WANTED, arch="i386"), replace(WANTED, lab="x")):
        with pytest.raises(UserError, match="there is no run that broke off - "):
            journaled(tmp_path, other, resume=True).__enter__()


def test_what_was_not_there_yet_may_be_there_now(tmp_path: Path) -> None:
    """A kernel that could not be built the first time."""
    broken(tmp_path, replace(WANTED, inputs={"lab": "l"}), results=1)
    with journaled(tmp_path, WANTED, resume=True) as found:
        found.add("trial 1", 1)
    with pytest.raises(UserError, match="the run's kernel is not what is here now"):
        journaled(tmp_path, replace(WANTED, inputs={"lab": "l", "kernel": "x"}), resume=True).__enter__()


def test_a_full_disk_is_an_error_and_costs_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    def body() -> None:
        with journaled(tmp_path, WANTED, resume=False) as found:
            found.add("trial 0", 0)
            monkeypatch.setattr(os, "fsync", full)
            found.add("trial 1", 1)

    with pytest.raises(InfrastructureError, match="No space left on device"):
        body()
    (run,) = runs.listed(tmp_path)
    assert "trial 0" in (run.folder / JOURNAL).read_text()
