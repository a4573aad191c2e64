# SPDX-License-Identifier: GPL-2.0-only
"""What an attack's outcome is called, from what was observed of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from ccslab.labs.attacking import judge
from ccslab.labs.definition import Attack, Expected
from ccslab.policy.audit import Record
from ccslab.results import Outcome, Phase

ATTACK = Attack(
    name="shadow",
    title="Read the shadow file",
    steps=(),
    gained_body=re.compile("root:"),
    gained_root=None,
    enforcing=Expected((403, 500), re.compile("file read /etc/shadow")),
)


def record(mode: str) -> Record:
    return Record(
        time=datetime(2026, 1, 1, tzinfo=UTC),
        profile=3,
        mode=mode,
        granted=False,
        pid=1,
        task={},
        domain="<kernel> /usr/sbin/apache2",
        request="file read /etc/shadow",
    )


@pytest.mark.parametrize(
    ("phase", "gained", "modes", "status", "outcome"),
    [
        (Phase.DISABLED, True, [], 200, Outcome.SUCCEEDED),
        (Phase.DISABLED, False, [], 200, Outcome.FAILED),
        (Phase.PERMISSIVE, True, ["permissive"], 200, Outcome.LOGGED),
        (Phase.PERMISSIVE, True, [], 200, Outcome.UNLOGGED),
        (Phase.PERMISSIVE, False, ["permissive"], 200, Outcome.FAILED),
        (Phase.ENFORCING, False, ["enforcing"], 403, Outcome.DENIED),
        (Phase.ENFORCING, False, ["enforcing"], 500, Outcome.DENIED),
        (Phase.ENFORCING, False, ["enforcing"], 200, Outcome.MISLED),
        # Nothing gained, but not because the kernel denied it: that proves nothing.
        (Phase.ENFORCING, False, [], 403, Outcome.FAILED),
        (Phase.ENFORCING, False, ["permissive"], 403, Outcome.FAILED),
        (Phase.ENFORCING, True, ["enforcing"], 403, Outcome.UNDENIED),
    ],
)
def test_outcome(phase: Phase, gained: bool, modes: list[str], status: int, outcome: Outcome) -> None:
    assert judge(ATTACK, phase, gained, [record(mode) for mode in modes], status) is outcome


def test_any_status_will_do_when_none_is_asked_for() -> None:
    anything = Attack(**{**vars(ATTACK), "enforcing": Expected((), ATTACK.enforcing.record)})
    assert judge(anything, Phase.ENFORCING, False, [record("enforcing")], 200) is Outcome.DENIED
