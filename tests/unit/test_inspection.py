# SPDX-License-Identifier: GPL-2.0-only
"""A lab's own assertions become checks of its phase, whoever started the run and from where."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccslab.labs.inspection import inspect
from ccslab.labs.results import Phase, PhaseResult
from ccslab.labs.stopwatch import Stopwatch

Checks = dict[str, tuple[bool, str]]


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return {}


@pytest.fixture
def engine(tmp_path: Path, checks: Checks) -> Any:
    """What inspect needs of an engine; the tests that it runs here ask no guest."""
    folder = tmp_path / "lab"
    folder.mkdir()
    return SimpleNamespace(
        lab=SimpleNamespace(folder=folder),
        folder=tmp_path / "run",
        guest=SimpleNamespace(
            stopwatch=Stopwatch(),
            patience=1.0,
            folder="/proc/ccs",
            machine=SimpleNamespace(ssh=SimpleNamespace(testinfra=[])),
        ),
        check=lambda result, name, passed, detail="": checks.update({name: (passed, detail)}),
    )


def test_each_test_is_a_check(engine: Any, checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    # The launcher sets it, an `invoke` of the venv does not.
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (engine.lab.folder / "test_learning.py").write_text(
        "def test_good():\n    pass\n\ndef test_bad():\n    assert not 'bad'\n"
    )
    inspect(engine, PhaseResult(Phase.LEARNING))
    assert list(checks) == ["test_learning: test_good", "test_learning: test_bad"]
    assert [passed for passed, _ in checks.values()] == [True, False]
    assert "bad" in checks["test_learning: test_bad"][1]


def test_a_file_that_cannot_run_is_a_failed_check(engine: Any, checks: Checks) -> None:
    (engine.lab.folder / "test_learning.py").write_text("import nosuch\n")
    inspect(engine, PhaseResult(Phase.LEARNING))
    assert checks["test_learning.py ran"][0] is False


def test_a_phase_without_a_file_has_no_checks(engine: Any, checks: Checks) -> None:
    inspect(engine, PhaseResult(Phase.BOOT))
    assert checks == {}
