# SPDX-License-Identifier: GPL-2.0-only
"""The lab's own assertions: ``labs/<lab>/test_<phase>.py`` by testinfra, while the guest is in that phase."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from ccslab.labs.stopwatch import What
from ccslab.process import run
from ccslab.settings import ROOT

if TYPE_CHECKING:
    from ccslab.labs.engine import Engine
    from ccslab.labs.results import PhaseResult

PLUGIN = "ccslab.labs.testinfra_tomoyo"
PYTEST_TIMEOUT_S = 300.0


def inspect(engine: Engine, result: PhaseResult) -> None:
    """Run the phase's test file, if the lab has one; each test becomes a check of the phase."""
    tests = engine.lab.folder / f"test_{result.name}.py"
    if not tests.is_file():
        return
    folder = engine.folder / "testinfra"
    folder.mkdir(parents=True, exist_ok=True)
    junit = folder / f"{result.name}.xml"
    with engine.guest.stopwatch.span(What.TESTS):
        status, said = run(
            [
                sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, "-p", "no:cacheprovider",
                *engine.guest.machine.ssh.testinfra, f"--junitxml={junit}",
                "-o", f"junit_suite_name={result.name}", "--rootdir", engine.lab.folder, tests,
            ],
            timeout_s=PYTEST_TIMEOUT_S * engine.guest.patience,
            cwd=engine.lab.folder,
            # The plugin is ours, and the harness is not installed: it runs from its checkout.
            env={
                "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
                "CCSLAB_INTERFACE": engine.guest.folder,
            },
            log=folder / f"{result.name}.log",
            check=False,
        )  # fmt: skip
    cases = list(_cases(junit))
    for name, problem in cases:
        engine.check(result, f"{tests.stem}: {name}", not problem, problem)
    if status not in (0, 1) or not cases:
        engine.check(
            result, f"{tests.name} ran", False, said.splitlines()[-1] if said else f"status {status}"
        )


def _cases(junit: Path) -> list[tuple[str, str]]:
    if not junit.is_file():
        return []
    cases = []
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314 (our own pytest wrote it)
        trouble = [child for child in case if child.tag in ("failure", "error")]
        problem = " ".join((trouble[0].get("message") or "failed").split())[:300] if trouble else ""
        cases.append((case.get("name", "?"), problem))
    return cases
