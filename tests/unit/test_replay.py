# SPDX-License-Identifier: GPL-2.0-only
"""Two runs are the same if they found the same, whatever time it took them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evidence_sample as sample
import pytest

from ccslab.errors import UserError
from ccslab.labs.attacking import Outcome
from ccslab.results import Check, Results
from ccslab.runs import folder as runs
from ccslab.runs.replay import changed, differences, replay
from ccslab.settings import ROOT, Settings


def test_times_and_counts_of_records_do_not_matter() -> None:
    again = sample.passed()
    for phase in again.phases:
        phase.seconds, phase.began, phase.counts["violation"] = 1.0, 2.0, 999
    again.checks.reverse()
    again.measures = sample.memory(learned=1)
    assert list(differences(sample.passed(), again)) == []


def no_status(results: Results) -> None:
    sample.rows(results)[0].cells["enforcing"].note = ""


def undenied(results: Results) -> None:
    sample.set_outcome(results, 0, "enforcing", Outcome.UNDENIED)


def without_attack(results: Results) -> None:
    del sample.rows(results)[1]


def another_check(results: Results) -> None:
    results.checks[0] = Check("boot", "the kernel is protected", False)


def more_requests(results: Results) -> None:
    results.phases[1].counts["request"] = 21


def fewer_phases(results: Results) -> None:
    del results.phases[1]


def drifted(results: Results) -> None:
    results.drift = ["+ file read /x"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_status, ["attacks: shadow when enforcing: denied (HTTP 403), then denied"]),
        (
            undenied,
            [
                "verdict: passed, then failed",
                "attacks: shadow when enforcing: denied (HTTP 403), then undenied (HTTP 403)",
            ],
        ),
        (
            without_attack,
            [
                "attacks: injection when disabled: succeeded, then not tried",
                "attacks: injection when permissive: logged, then not tried",
                "attacks: injection when enforcing: denied (HTTP 403), then not tried",
            ],
        ),
        (
            another_check,
            ["verdict: passed, then failed", "boot: the kernel is protected: held, then failed"],
        ),
        (more_requests, ["phase disabled: 20 requests, then 21 requests"]),
        (fewer_phases, ["phase disabled: 20 requests, then not reached"]),
        (drifted, ["drift new: + file read /x"]),
    ],
)
def test_what_differs_is_said(change: Callable[[Results], None], said: list[str]) -> None:
    again = sample.passed()
    change(again)
    assert list(differences(sample.passed(), again)) == said


def test_inputs_that_are_others_now() -> None:
    then = {"kernel": {"key": "a"}, "image": {"key": "b"}, "golden_policy": {"sha256": "c"}}
    assert changed(then, then) == []
    assert changed(then, {**then, "image": {"key": "x"}, "golden_policy": {}}) == ["image", "golden policy"]


def test_an_incomplete_run_is_refused(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, cache=str(tmp_path / "cache"))
    with runs.create(tmp_path / "runs", lab="apache-cgi", arch="x86_64", kernel="6.12") as living:
        pass
    with pytest.raises(UserError, match=r"the run is incomplete: results\.json: is missing"):
        replay(settings, living.folder.name)


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run of nothing"):
        replay(Settings(root=tmp_path, cache=str(tmp_path)), "nothing")


def test_a_run_of_a_user_s_tree_says_how_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results: dict[str, Any] = {"kernel": "mine"}
    with runs.create(tmp_path / "runs", lab="apache-cgi", arch="x86_64", **results) as living:
        monkeypatch.setattr("ccslab.runs.replay.verify_complete", lambda folder: [])
        monkeypatch.setattr("ccslab.runs.replay.read_results", lambda folder: sample.passed())
        (living.folder / "manifest.json").write_text(
            json.dumps(
                {
                    "schema": 1,
                    "command_line": "inv lab.scenario apache-cgi --tree x",
                    "inputs": {},
                    "started": "2026-11-27T12:00:00+00:00",
                    "seconds": 1.5,
                }
            )
        )
    with pytest.raises(UserError, match=r"kernel mine is a tree of yours - run again .* --tree x"):
        replay(Settings(root=ROOT, cache=str(tmp_path)), str(living.folder))
