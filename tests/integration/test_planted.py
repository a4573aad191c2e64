# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of the night plant into a kernel still fits the series: found out without a build."""

from __future__ import annotations

import subprocess

import pytest
from planted import DATA

from ccslab.kernel import command
from ccslab.settings import Settings

pytestmark = [pytest.mark.guest, pytest.mark.slow]


@pytest.mark.parametrize("name", ["slow", "wrong"])
def test_a_planted_patch_goes_on_top_of_the_series(name: str) -> None:
    tree = command.patch(Settings(kernel="6.12"))
    patches = sorted((DATA / name).glob("*.patch"))
    assert patches
    for patch in patches:
        argv = ["patch", "-p1", "-F0", "--dry-run", "--directory", tree, "--input", patch]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{patch}: {done.stdout}{done.stderr}"
