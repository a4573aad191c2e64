# SPDX-License-Identifier: GPL-2.0-only
"""What the lab's visitors pay for enforcing is within what labs/apache-cgi/cost.toml allows."""

from __future__ import annotations

import json
import re

import pytest
from launcher import inv, passed

from ccslab.bench import lab as cost
from ccslab.labs import definition
from ccslab.runs import folder as runs
from ccslab.settings import ROOT

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.usefixtures("kernels_built", "server_image")]

TIMEOUT_S = 900.0


def test_each_kind_of_request_costs_what_it_may() -> None:
    said = passed("bench.lab", "apache-cgi", timeout_s=TIMEOUT_S)
    print(said)
    newest = runs.listed(ROOT / "runs" / cost.FOLDER, "apache-cgi")[-1]
    told = json.loads((newest.folder / cost.FILE).read_text())
    _, wanted = cost.requests(definition.find("apache-cgi", ROOT))
    assert [one["kind"] for one in told["requests"]] == [one.kind for one in wanted]
    for one in told["requests"]:
        assert 1 < one["ratio"] <= one["most"], one
        assert one["kind"] in said


@pytest.mark.nightly
def test_a_kernel_without_the_series_costs_more() -> None:
    """Its checks walk all rules: dearer than allowed, and said so for each kind."""
    done = inv("bench.lab", "apache-cgi", "--kernel", "stock-6.12", timeout_s=TIMEOUT_S)
    assert done.returncode == 1, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert re.search(
        r"^directory listing: enforcing costs 1\.\d+ of disabled, more than 1\.\d+$", done.stdout, re.M
    )
