# SPDX-License-Identifier: GPL-2.0-only
"""Attacks, each from the same checkpoint: what the attacker got, the kernel logged and the client saw."""

from __future__ import annotations

from typing import NamedTuple

from ccslab.labs.client import Exchange
from ccslab.labs.definition import Attack
from ccslab.labs.guest import Guest
from ccslab.policy.audit import Record
from ccslab.results import AttackResult, Outcome, Phase


class Attempt(NamedTuple):
    """One try of an attack: what was observed."""

    gained: bool
    """Whether the attacker got what he wanted."""
    records: list[Record]
    """What protected domains were not granted."""
    status: int
    """HTTP status of the last request, 0 if there was none."""


def attempt(guest: Guest, attack: Attack, *, audited: bool = True) -> Attempt:
    """Try an attack on the guest as it is, over its console and its HTTP port.

    :param audited: whether the mode is one that leaves records.
    """
    with guest.on_console():
        exchanges = guest.perform(attack.steps)
        last = exchanges[-1] if exchanges else None
        gained = _gained(guest, attack, last)
        records = guest.violations() if audited else []
    return Attempt(gained, records, last.status if last else 0)


def run_attack(guest: Guest, attack: Attack, phase: Phase, checkpoint: str, result: AttackResult) -> Outcome:
    """One attack in one mode, from ``checkpoint``; fills ``result`` and returns the outcome.

    The verdict is the kernel's: this only reads what it logged and looks for what the attacker wanted.
    """
    guest.go_back(checkpoint)
    tried = attempt(guest, attack, audited=phase is not Phase.DISABLED)
    matching = [record for record in tried.records if attack.enforcing.record.search(record.request)]
    result.records[phase] = [f"{record.domain}: {record.request}" for record in tried.records]
    if tried.status:
        result.status[phase] = tried.status
    result.outcomes[phase] = judge(attack, phase, tried.gained, matching, tried.status)
    return result.outcomes[phase]


def judge(attack: Attack, phase: Phase, gained: bool, matching: list[Record], status: int) -> Outcome:
    """What became of an attack, from what was observed."""
    if phase is Phase.DISABLED:
        return Outcome.SUCCEEDED if gained else Outcome.FAILED
    if phase is Phase.PERMISSIVE and gained:
        return Outcome.LOGGED if matching else Outcome.UNLOGGED
    if gained:
        return Outcome.UNDENIED
    if phase is Phase.PERMISSIVE or not any(record.mode == "enforcing" for record in matching):
        return Outcome.FAILED
    seen = not attack.enforcing.status or status in attack.enforcing.status
    return Outcome.DENIED if seen else Outcome.MISLED


def _gained(guest: Guest, attack: Attack, last: Exchange | None) -> bool:
    if attack.gained_root is not None:
        return guest.root(attack.gained_root, check=False)[0] == 0
    assert attack.gained_body is not None
    return last is not None and bool(attack.gained_body.search(last.body.decode(errors="replace")))
