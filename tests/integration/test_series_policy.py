# SPDX-License-Identifier: GPL-2.0-only
"""Policy of every kind comes and goes in a kernel of ours, and a minute of nonsense does it no harm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ccslab.kernel import command
from ccslab.labs import interface
from ccslab.labs.interface import Asked
from ccslab.runs import interface as report
from ccslab.settings import Settings
from tests.checkout import ROOT

pytestmark = pytest.mark.guest
KERNEL = os.environ.get("CCSLAB_KERNEL") or "6.12"
ASKED = Asked(cycles=100, seconds=60, seed=1)


def test_policy_of_every_kind_and_a_minute_of_fuzzing(tmp_path: Path) -> None:
    settings = Settings(kernel=KERNEL)
    kernel = command.build(settings) / "bzImage"
    told: list[str] = []
    found = interface.try_all(
        settings, kernel, ASKED, tmp_path, advance=lambda word, number: told.append(word)
    )
    wanted = interface.wanted(ROOT)
    assert [
        (check.what, check.saw, check.lines)
        for check in report.checks(found, ASKED, wanted)
        if not check.passed
    ] == []
    assert {"cycled", "fuzzed"} == set(told)
    assert found.counts["written"] > 1000
