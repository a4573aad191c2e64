# SPDX-License-Identifier: GPL-2.0-only
"""A lab's own assertions become checks of its phase, whoever started the run and from where."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccslab.errors import InfrastructureError
from ccslab.labs.inspection import inspect
from ccslab.labs.stopwatch import Stopwatch
from ccslab.results import Phase

Checks = dict[str, tuple[bool, str]]


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return {}


@pytest.fixture
def run(tmp_path: Path, checks: Checks) -> Any:
    """What inspect needs of a run; the tests that it runs here ask no guest."""
    folder = tmp_path / "lab"
    folder.mkdir()
    return SimpleNamespace(
        lab=SimpleNamespace(folder=folder),
        folder=tmp_path / "run",
        current=Phase("learning"),
        server=SimpleNamespace(
            guest=SimpleNamespace(
                stopwatch=Stopwatch(),
                patience=1.0,
                folder="/proc/ccs",
                machine=SimpleNamespace(
                    ssh=SimpleNamespace(testinfra=[]), watch=SimpleNamespace(check=lambda: None)
                ),
            )
        ),
        check=lambda name, passed, detail="": checks.update({name: (passed, detail)}),
    )


def test_each_test_is_a_check(run: Any, checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    # The launcher sets it, an `invoke` of the venv does not.
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (run.lab.folder / "test_learning.py").write_text(
        "def test_good():\n    pass\n\ndef test_bad():\n    assert not 'bad'\n"
    )
    inspect(run)
    assert list(checks) == ["test_learning: test_good", "test_learning: test_bad"]
    assert [passed for passed, _ in checks.values()] == [True, False]
    assert "bad" in checks["test_learning: test_bad"][1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nosuch\n", "No module named 'nosuch'"),
        ("def test_x(:\n", "SyntaxError: "),
        ("", "no tests ran"),
        ("import os\n\ndef test_x():\n    os._exit(9)\n", "pytest ended with status 9"),
        ("def test_x(nosuch):\n    pass\n\nimport sys; sys.exit(4)\n", "SystemExit: 4"),
    ],
)
def test_a_file_that_cannot_run_is_no_failed_check(run: Any, checks: Checks, text: str, said: str) -> None:
    (run.lab.folder / "test_learning.py").write_text(text)
    with pytest.raises(InfrastructureError, match="tests did not run to their end: .*" + re.escape(said)):
        inspect(run)
    assert checks == {}


ASKING = """
def test_good(host):
    assert host.run("true").rc == 0

def test_bad(host):
    assert host.check_output("echo no") == "yes"

def test_worse(host):
    assert host.check_output("false") == ""

def test_last(host):
    assert host.file("/etc/passwd").exists
"""


@pytest.fixture
def asked(run: Any) -> Any:
    """A run whose tests ask by ssh."""
    run.server.guest.machine.ssh.testinfra = ["--hosts=ssh://server", f"--ssh-config={run.folder}/config"]
    (run.lab.folder / "test_learning.py").write_text(ASKING)
    return run


def test_a_guest_that_is_asked_gives_answers(
    asked: Any, checks: Checks, bin_folder: Callable[[str, str], Path]
) -> None:
    bin_folder("ssh", 'for last; do :; done; exec sh -c "$last"\n')
    inspect(asked)
    assert [passed for passed, _ in checks.values()] == [True, False, False, True], checks


def test_a_guest_that_cannot_be_asked_has_not_failed(
    asked: Any, checks: Checks, bin_folder: Callable[[str, str], Path]
) -> None:
    """The first test is answered; then ssh cannot connect any more."""
    bin_folder(
        "ssh",
        f"""
        mkdir {asked.folder}/asked 2>/dev/null && exit 0
        echo 'unix_listener: path "/tmp/x" too long for Unix domain socket' >&2; exit 255
        """,
    )
    with pytest.raises(
        InfrastructureError, match=r"the guest cannot be asked: unix_listener: path .* too long"
    ):
        inspect(asked)
    assert checks == {"test_learning: test_good[ssh://server]": (True, "")}


def test_testinfra_that_recurses_is_no_failed_check(
    asked: Any, checks: Checks, bin_folder: Callable[[str, str], Path]
) -> None:
    asked.server.guest.machine.ssh.testinfra[1] = "--ssh-config=/é/config"
    bin_folder("ssh", "exit 0\n")
    with pytest.raises(InfrastructureError, match="the guest cannot be asked: maximum recursion depth"):
        inspect(asked)
    assert checks == {}


def test_a_phase_without_a_file_has_no_checks(run: Any, checks: Checks) -> None:
    (run.lab.folder / "test_learning.py").write_text("def test_good():\n    pass\n")
    run.current = Phase("boot")
    inspect(run)
    assert checks == {}
