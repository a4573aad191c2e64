# SPDX-License-Identifier: GPL-2.0-only
"""The lab's own assertions: ``labs/<lab>/test_<phase>.py`` by testinfra, while the guest is in that phase."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from ccslab import process
from ccslab.errors import InfrastructureError
from ccslab.results import What
from ccslab.settings import ROOT

if TYPE_CHECKING:
    from ccslab.labs.run import Run

PLUGIN = "ccslab.labs.testinfra_tomoyo"
EXIT = "_pytest.outcomes.Exit: "
PYTEST_TIMEOUT_S = 300.0


def inspect(run: Run) -> None:
    """Run the phase's test file, if the lab has one; each test becomes a check of the phase.

    :raises InfrastructureError: the tests could not run, or not ask the guest; that says nothing of it.
    """
    name, guest = run.current.name, run.server.guest
    tests = run.lab.folder / f"test_{name}.py"
    if not tests.is_file():
        return
    folder = run.folder / "testinfra"
    folder.mkdir(parents=True, exist_ok=True)
    junit, log = folder / f"{name}.xml", folder / f"{name}.log"
    with guest.stopwatch.span(What.TESTS):
        status, said = process.run(
            [
                sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, "-p", "no:cacheprovider",
                *guest.machine.ssh.testinfra, f"--junitxml={junit}",
                "-o", f"junit_suite_name={name}", "--rootdir", run.lab.folder, tests,
            ],
            timeout_s=PYTEST_TIMEOUT_S * guest.patience,
            cwd=run.lab.folder,
            # The plugin is ours, and the harness is not installed: it runs from its checkout.
            env={
                "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
                "CCSLAB_INTERFACE": guest.folder,
            },
            log=log,
            check=False,
        )  # fmt: skip
    ended = status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    cases = _cases(junit, ("failure", "error") if ended else ("failure",))
    for case, problem in cases:
        run.check(f"{tests.stem}: {case}", not problem, problem)
    if not ended or not cases:
        guest.machine.watch.check()  # a dead guest is the better reason
        raise InfrastructureError(
            f"its tests did not run to their end: {_why(said) or f'pytest ended with status {status}'}",
            where=tests,
            mend=f"all that pytest said is in {log}",
        )


def _why(said: str) -> str:
    """Of what pytest said its own last word, or the last of its errors."""
    lines = [line.strip("! ") for line in said.splitlines() if line.strip("! ")]
    told = [line.partition(EXIT)[2] for line in lines if line.startswith(EXIT)]
    errors = [line.partition(" ")[2].strip() for line in lines if line.startswith(("E ", "INTERNALERROR> "))]
    return next(reversed([*lines[-1:], *errors, *told]), "")


def _cases(junit: Path, bad: Collection[str]) -> list[tuple[str, str]]:
    """Each test's name and its problem, "" if it has none.

    :param bad: what is a problem of a test; one with another says nothing, and is left out.
    """
    if not junit.is_file():
        return []
    cases = []
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314 (our own pytest wrote it)
        trouble = [child for child in case if child.tag in ("failure", "error")]
        if (trouble and trouble[0].tag not in bad) or not case.get("name"):  # pytest was in the middle of it
            continue
        problem = " ".join((trouble[0].get("message") or "failed").split())[:300] if trouble else ""
        cases.append((case.get("name", ""), problem))
    return cases
