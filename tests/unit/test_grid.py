# SPDX-License-Identifier: GPL-2.0-only
"""A matrix of several labs: each gets the options it has; what no lab has, or a lab cannot do, is refused."""

from __future__ import annotations

import pytest

from ccslab.errors import UserError
from ccslab.labs import definition
from ccslab.runs import grid
from ccslab.runs.scenario import scenario
from ccslab.settings import ROOT, Settings

LABS = [definition.find(name, ROOT) for name in ("controls", "interface")]


def test_each_lab_gets_the_options_it_has() -> None:
    assert grid.options_of(LABS, ["cycles=5", "minutes=0.5"]) == {
        "controls": [],
        "interface": ["--set=cycles=5", "--set=minutes=0.5"],
    }


@pytest.mark.parametrize("word", ["nosuch=5", "cycles=0", "minutes=x"])
def test_an_option_that_none_has_or_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="--set"):
        grid.options_of(LABS, [word])


@pytest.mark.parametrize(
    ("flag", "lacking"),
    [("keep", "--keep needs a server"), ("update_golden", "--golden needs a server")],
)
def test_what_a_small_guest_s_lab_cannot_do_is_refused(flag: str, lacking: str) -> None:
    with pytest.raises(UserError, match=lacking):
        scenario(Settings(), "controls", **{flag: True})  # type: ignore[arg-type]


def test_a_golden_policy_is_of_one_run() -> None:
    with pytest.raises(UserError, match="--golden takes one lab"):
        grid.matrix(LABS, [Settings()], update_golden=True)
