# SPDX-License-Identifier: GPL-2.0-only
"""Two kernels that answer alike are found alike; one that forgets conditions is found out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from launcher import inv, passed
from planted import patchset

from ccslab.kernel import command
from ccslab.settings import ROOT, Settings

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernels_built")]
TIMEOUT_S = 900
EQUAL = ("bench.equal", "stock-6.12", "6.12", "--policies", "100")


def test_our_series_answers_to_file_requests_as_the_stock_kernel_does() -> None:
    said = passed(*EQUAL, "--seed", "7", timeout_s=TIMEOUT_S)
    told = re.search(r"100 policies of (\d+) lines, 4000 requests: (\d+) granted, (\d+) denied,", said)
    assert told, said
    assert all(int(count) > 500 for count in told.groups()), "they meet often enough to mean something"
    assert said.splitlines()[-1] == "stock-6.12 and 6.12 answer alike: 0 of 100 policies differ"


@pytest.mark.nightly
def test_a_kernel_that_forgets_conditions_answers_otherwise(tmp_path: Path) -> None:
    wrong = str(patchset("wrong", tmp_path / "wrong"))
    command.build(Settings(kernel="6.12", patchset=wrong))
    done = inv(*EQUAL, "--patchset", wrong, timeout_s=TIMEOUT_S)
    assert done.returncode == 1, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    told = re.match(r"(\d+) of 100 policies differ; the first is in (.*)", done.stdout.splitlines()[-1])
    assert told, done.stdout
    assert int(told[1]) > 10
    difference = (ROOT / told[2]).read_text()
    assert re.search(r"^-  record profile=\d mode=\w+ granted=", difference, re.MULTILINE)
    assert re.search(r"^file \S+ .* (?:task|path1)\.", difference, re.MULTILINE), "the policy is shown"
