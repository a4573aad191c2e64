# SPDX-License-Identifier: GPL-2.0-only
"""``lab.show``: the tables of a run that is over, from what it left."""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import evidence_sample as sample
import pytest
from rich.console import Console

from ccslab.errors import InfrastructureError
from ccslab.results import Results
from ccslab.runs import overview
from ccslab.runs.folder import Run
from ccslab.runs.manifest import Manifest
from ccslab.runs.recording import recording
from ccslab.settings import Settings


def left(root: Path, results: Results, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The checkout in which a run with these results is over."""
    settings = Settings(root=root)
    monkeypatch.setattr(overview.definition, "find", lambda name, root: SimpleNamespace(name=name))
    manifest = Manifest(inputs={}, host={}, command=["inv"], accel="tcg", accel_why="")
    with contextlib.suppress(InfrastructureError), recording(settings.runs, results, manifest):
        if results.error:
            raise InfrastructureError(results.error)
    return settings


@pytest.mark.parametrize(
    ("results", "code", "said"),
    [
        (sample.passed(), 0, "PASSED in "),
        (sample.failed(), 1, "FAILED in "),
        (sample.broken(), 3, "error: console.log: the guest panicked"),
    ],
)
def test_a_run_is_shown_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    results: Results,
    code: int,
    said: str,
) -> None:
    settings = left(tmp_path, results, monkeypatch)
    assert overview.show_run(settings, results.lab) == code
    assert said in capsys.readouterr().out


def test_the_picture_holds_what_the_terminal_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = left(tmp_path, sample.passed(), monkeypatch)
    assert overview.show_run(settings, "sample-lab", svg=str(tmp_path / "run.svg")) == 0
    picture = (tmp_path / "run.svg").read_text()
    assert picture.startswith("<svg")
    assert "font-face" not in picture  # the picture of a run fetches nothing from the net
    assert "PASSED" in picture


def test_runs_are_listed(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    (tmp_path / "results.json").touch()
    run = Run(tmp_path, "sample-lab", "x86_64", "6.12", datetime(2025, 11, 22, tzinfo=UTC))
    overview.show_runs([run], console, verdicts={tmp_path.name: "passed"}, lacks={tmp_path.name: 2})
    overview.show_runs([], console, verdicts={}, lacks={})
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "finished, lacks 2" in text
    assert "passed" in text
    assert "no runs yet" in text
