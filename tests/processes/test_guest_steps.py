# SPDX-License-Identifier: GPL-2.0-only
"""Steps that wait for an event in the guest, by a real shell: over SSH, and on the console's one line."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ccslab.errors import InfrastructureError
from ccslab.labs.definition import find
from ccslab.labs.guest import Guest
from ccslab.labs.step import RootStep
from ccslab.settings import ROOT
from ccslab.vm.death import Watch


class Shell:
    """The host's bash in the place of a guest's; as the console takes it, a command is one line."""

    def __init__(self, *, lines: bool) -> None:
        self.lines = lines

    def run(self, command: str, timeout_s: float = 60.0, *, check: bool = False) -> SimpleNamespace:
        assert self.lines or "\n" not in command
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=timeout_s, check=False
        )
        return SimpleNamespace(status=done.returncode, output=done.stdout, out=done.stdout)

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        yield


@pytest.fixture(params=["ssh", "console"])
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    machine = SimpleNamespace(patience=1.0, watch=Watch(), ssh=Shell(lines=True), console=Shell(lines=False))
    made = Guest(machine, find("apache-cgi", ROOT), "/proc/ccs")  # type: ignore[arg-type]
    with made.on_console() if request.param == "console" else contextlib.nullcontext():
        yield made


def test_a_step_waits_until_its_event_is_there(guest: Guest, tmp_path: Path) -> None:
    log = tmp_path / "it's a log"
    with subprocess.Popen(["sh", "-c", 'sleep 0.5; echo "<?php echo \'x\'" > "$1"', "sh", log]):
        step = RootStep("log", f'grep "echo \'x" "{log}" # said later', within_s=20, output=True)
        (seen,) = guest.perform([step])
    assert seen.body == b"<?php echo 'x'\n"


def test_an_event_that_never_comes_ends_the_run(guest: Guest) -> None:
    with pytest.raises(InfrastructureError, match="log: step did not succeed within 1 s: nothing yet"):
        guest.perform([RootStep("log", "echo nothing yet; false", within_s=1)])
