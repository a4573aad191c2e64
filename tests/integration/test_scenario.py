# SPDX-License-Identifier: GPL-2.0-only
"""The main job, end to end, as a user starts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from launcher import passed

from ccslab.runs import folder as runs
from ccslab.runs.completeness import verify_complete
from ccslab.settings import ROOT

pytestmark = pytest.mark.guest
SCENARIO_TIMEOUT_S = 2400
FOLDER = ROOT / "runs"


@pytest.fixture(scope="module")
def matrix() -> dict:
    """What a matrix of both architectures says of itself; two guests at once take less time than in turn."""
    said = passed("lab.scenario", "apache-cgi", "--arch", "all", timeout_s=SCENARIO_TIMEOUT_S)
    print(said)
    newest = runs.listed(FOLDER / "matrix", "apache-cgi")[-1]
    assert str(newest.folder.relative_to(ROOT)) in said, "it says where its evidence is"
    return json.loads((newest.folder / "matrix.json").read_text())


@pytest.fixture(scope="module", params=["x86_64", "i386"])
def run_folder(request: pytest.FixtureRequest, matrix: dict) -> Path:
    """The evidence of the run on an architecture."""
    (cell,) = [cell for cell in matrix["cells"] if cell["arch"] == request.param]
    return FOLDER / cell["run"]


@pytest.fixture(scope="module")
def results(run_folder: Path) -> dict:
    return json.loads((run_folder / "results.json").read_text())


def test_the_verdict_is_passed(results: dict) -> None:
    assert results["verdict"] == "passed"
    assert results["lab"] == "apache-cgi"
    assert results["release"].endswith("-ccs"), results["release"]


def test_every_phase_was_reached_in_order(results: dict) -> None:
    assert [phase["name"] for phase in results["phases"]] == [
        "boot",
        "disabled",
        "learning",
        "tuned",
        "permissive",
        "enforcing",
        "logwatch",
        "repair",
        "attacked",
    ]


def test_every_attack_succeeds_is_logged_and_is_denied(results: dict) -> None:
    (grid,) = results["grids"]
    assert (grid["name"], grid["phase"], grid["judged"]) == ("attacks", "attacked", True)
    assert grid["columns"] == ["disabled", "permissive", "enforcing"]
    assert len(grid["rows"]) >= 12
    for attack in grid["rows"]:
        seen = tuple(attack["cells"][mode]["got"] for mode in grid["columns"])
        assert seen == ("succeeded", "logged", "denied"), attack["name"]
        assert all(cell["right"] for cell in attack["cells"].values()), attack["name"]


def test_the_new_mount_calls_are_denied_as_the_old_one_is(results: dict) -> None:
    (grid,) = results["grids"]
    outcome = {attack["name"]: attack["cells"]["enforcing"]["got"] for attack in grid["rows"]}
    assert outcome["mount-old"] == outcome["mount-new"] == outcome["bind-new"] == "denied"


def test_tuning_saves_policy_memory(results: dict) -> None:
    memory = {one["of"]: one["value"] for one in results["measures"] if one["name"] == "policy memory"}
    assert 0 < memory["tuned"] < memory["learned"]


def test_the_policy_is_the_golden_one(results: dict) -> None:
    """One golden policy for both: what they declare is no drift."""
    assert results["drift"] == []


def test_the_run_left_all_its_evidence(run_folder: Path) -> None:
    assert verify_complete(run_folder) == []


def test_the_policies_of_both_differ_only_as_declared(matrix: dict) -> None:
    (parity,) = matrix["parity"]
    assert parity["passed"]
