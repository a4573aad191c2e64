# SPDX-License-Identifier: GPL-2.0-only
"""Every control in every mode, by programs of both architectures, and what a stock kernel lets pass."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ccslab.kernel import command
from ccslab.labs import controls, trials
from ccslab.labs.trials import Attempt, Outcome
from ccslab.settings import Settings
from tests.checkout import ROOT

pytestmark = pytest.mark.guest
VERSION = os.environ.get("CCSLAB_KERNEL") or "6.12"
KNOWN = trials.read(ROOT)
OURS = re.compile(r"capability|ipc|.*_(accept|recv)$")
"""What mainline has no control for."""


def tried(settings: Settings, attempts: list[Attempt], folder: Path) -> dict[Attempt, Outcome]:
    """What came of attempts on a kernel, which is built if its inputs changed."""
    kernel = command.build(settings) / "bzImage"
    outcomes = controls.attempt(settings, kernel, attempts, folder, advance=lambda name: None)
    return dict(zip(attempts, outcomes, strict=True))


def wrong(found: dict[Attempt, Outcome]) -> dict[str, tuple[Outcome, Outcome]]:
    """What is not as it should be: how it is, and how it should be."""
    return {
        f"{one.program} {one.name}": (outcome, one.expected())
        for one, outcome in found.items()
        if outcome != one.expected()
    }


@pytest.mark.parametrize("arch", controls.PROGRAMS)
def test_every_control_in_every_mode(tmp_path: Path, arch: str) -> None:
    attempts = list(trials.attempts(KNOWN, VERSION, controls.PROGRAMS[arch]))
    found = tried(Settings(kernel=VERSION, arch=arch), attempts, tmp_path / arch)
    assert wrong(found) == {}


def test_a_stock_kernel_lets_all_of_it_pass(tmp_path: Path) -> None:
    all_of_them = trials.attempts(KNOWN, VERSION, {"controlcalls": "x86_64"})
    attempts = [
        one
        for one in all_of_them
        if one.mode == "enforcing" and not one.given and OURS.match(one.trial.control)
    ]
    found = tried(Settings(kernel=f"stock-{VERSION}"), attempts, tmp_path / "stock")
    assert {one.name: outcome for one, outcome in found.items()} == {
        one.name: Outcome(one.trial.says) for one in attempts
    }
