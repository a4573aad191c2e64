# SPDX-License-Identifier: GPL-2.0-only
"""What an attack's outcome is called, from what was observed of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from ccslab.datafile import OneOrList
from ccslab.labs import attacking
from ccslab.labs.attack import Attack, Expected
from ccslab.labs.attacking import MEANING, WANTED, Attempt, Outcome, judge, run_attack
from ccslab.policy.audit import Record
from ccslab.results import Cell

APACHE = "<kernel> /usr/sbin/apache2"
SHADOW = "file read /etc/shadow"
ATTACK = Attack(
    name="shadow",
    title="Read the shadow file",
    steps=(),
    gained_body=re.compile("root:"),
    gained_root=None,
    enforcing=Expected(re.compile("file read /etc/shadow"), OneOrList((403, 500))),
)


def record(mode: str, request: str = SHADOW) -> Record:
    return Record(
        time=datetime(2026, 1, 1, tzinfo=UTC),
        profile=3,
        mode=mode,
        granted=False,
        pid=1,
        task={},
        domain=APACHE,
        request=request,
    )


@pytest.mark.parametrize(
    ("mode", "gained", "modes", "status", "outcome"),
    [
        ("disabled", True, [], 200, Outcome.SUCCEEDED),
        ("disabled", False, [], 200, Outcome.FAILED),
        ("permissive", True, ["permissive"], 200, Outcome.LOGGED),
        ("permissive", True, [], 200, Outcome.UNLOGGED),
        ("permissive", False, ["permissive"], 200, Outcome.FAILED),
        ("enforcing", False, ["enforcing"], 403, Outcome.DENIED),
        ("enforcing", False, ["enforcing"], 500, Outcome.DENIED),
        ("enforcing", False, ["enforcing"], 200, Outcome.MISLED),
        # Nothing gained, but not because the kernel denied it: that proves nothing.
        ("enforcing", False, [], 403, Outcome.FAILED),
        ("enforcing", False, ["permissive"], 403, Outcome.FAILED),
        ("enforcing", True, ["enforcing"], 403, Outcome.UNDENIED),
    ],
)
def test_outcome(mode: str, gained: bool, modes: list[str], status: int, outcome: Outcome) -> None:
    assert judge(ATTACK, mode, gained, [record(one) for one in modes], status) is outcome


def test_any_status_will_do_when_none_is_asked_for() -> None:
    anything = Attack(**{**vars(ATTACK), "enforcing": Expected(ATTACK.enforcing.record)})
    assert judge(anything, "enforcing", False, [record("enforcing")], 200) is Outcome.DENIED


def test_every_outcome_has_a_meaning_and_every_mode_one_that_is_wanted() -> None:
    assert set(MEANING) == set(Outcome)
    assert WANTED == {"disabled": "succeeded", "permissive": "logged", "enforcing": "denied"}


def test_the_grid_begins_with_nothing_tried() -> None:
    grid = attacking.grid([ATTACK])
    assert (grid.name, grid.phase, grid.columns) == ("attacks", "attacked", [*WANTED])
    assert [(row.name, row.title, row.cells) for row in grid.rows] == [("shadow", ATTACK.title, {})]
    assert grid.judged
    assert not grid.passed, "what was not tried is not proved"


class Guest:
    """A guest that is brought back to a checkpoint; what is tried there is for the test to say."""

    def __init__(self) -> None:
        self.at = ""

    def go_back(self, name: str) -> None:
        self.at = name


@pytest.mark.parametrize(
    ("mode", "tried", "cell"),
    [
        (
            "enforcing",
            Attempt(False, [record("enforcing")], 403),
            Cell("denied", "denied", True, "it was denied", "HTTP 403", [f"{APACHE}: {SHADOW}"]),
        ),
        (
            "enforcing",
            Attempt(True, [], 0),
            Cell("undenied", "denied", False, "the attacker got it although the policy is enforced"),
        ),
        # A record of another attack's does not count, but is kept.
        (
            "permissive",
            Attempt(True, [record("permissive", "file read /etc/group")], 200),
            Cell(
                "unlogged",
                "logged",
                False,
                "it succeeded and nothing was logged",
                "HTTP 200",
                [f"{APACHE}: file read /etc/group"],
            ),
        ),
    ],
)
def test_an_attack_s_cell_says_what_was_got_wanted_and_seen(
    monkeypatch: pytest.MonkeyPatch, mode: str, tried: Attempt, cell: Cell
) -> None:
    guest = Guest()

    def attempt(guest: Guest, attack: Attack, *, audited: bool) -> Attempt:
        assert (guest.at, audited) == ("then", True)
        return tried

    monkeypatch.setattr(attacking, "attempt", attempt)
    assert run_attack(cast(Any, guest), ATTACK, mode, "then") == cell


def test_nothing_is_read_of_the_log_when_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def attempt(guest: Guest, attack: Attack, *, audited: bool) -> Attempt:
        asked.append(audited)
        return Attempt(True, [], 200)

    monkeypatch.setattr(attacking, "attempt", attempt)
    assert run_attack(cast(Any, Guest()), ATTACK, "disabled", "then").right
    assert asked == [False]
