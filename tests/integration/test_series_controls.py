# SPDX-License-Identifier: GPL-2.0-only
"""Every control in every mode, by programs of both architectures, and what a stock kernel lets pass."""

from __future__ import annotations

import os
import re

import pytest
from launcher import passed

from ccslab.evidence.results import read_results
from ccslab.labs.phases.trials import PROGRAMS
from ccslab.results import Results
from ccslab.runs import folder as runs
from ccslab.settings import ROOT

pytestmark = pytest.mark.guest
VERSION = os.environ.get("CCSLAB_KERNEL") or "6.12"
TIMEOUT_S = 900.0
OURS = re.compile(r"SYS_|use_|signal|.*_(accept|recv)$")
"""Groups of what mainline has no control for."""


def tried(kernel: str, arch: str = "x86_64") -> Results:
    """What the lab finds out of a kernel."""
    print(passed("lab.scenario", "controls", "--kernel", kernel, "--arch", arch, timeout_s=TIMEOUT_S))
    return read_results(runs.latest(ROOT / "runs", "controls").folder)


@pytest.mark.parametrize("arch", PROGRAMS)
def test_every_control_in_every_mode(arch: str) -> None:
    results = tried(VERSION, arch)
    assert results.passed
    assert [grid.name for grid in results.grids] == [f"calls of {one}" for one in PROGRAMS[arch].values()]
    for grid in results.grids:
        assert grid.judged
        assert len(grid.rows) > 50


def test_a_stock_kernel_lets_all_of_it_pass() -> None:
    results = tried(f"stock-{VERSION}")
    for grid in results.grids:
        assert not grid.judged
        mine = [row for row in grid.rows if OURS.match(row.group)]
        assert len(mine) > 30
        assert {row.cells["enforcing"].got for row in mine} == {"passed"}
        assert not any(cell.records for row in mine for cell in row.cells.values())
