# SPDX-License-Identifier: GPL-2.0-only
"""Policy of every kind comes and goes in a kernel of ours, and a minute of nonsense does it no harm."""

from __future__ import annotations

import os

import pytest
from launcher import passed

from ccslab.evidence.results import read_results
from ccslab.runs import folder as runs
from ccslab.settings import ROOT

pytestmark = pytest.mark.guest
KERNEL = os.environ.get("CCSLAB_KERNEL") or "6.12"


def test_policy_of_every_kind_and_a_minute_of_fuzzing() -> None:
    words = ("lab.scenario", "interface", "--kernel", KERNEL, "--set", "cycles=100", "--set", "minutes=1")
    print(passed(*words, timeout_s=900.0))
    results = read_results(runs.latest(ROOT / "runs", "interface").folder)
    assert results.passed
    assert [phase.name for phase in results.phases] == ["kinds", "cycles", "fuzz", "enforced"]
    assert results.measured("fuzzing")["written"] > 1000
