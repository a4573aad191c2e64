# SPDX-License-Identifier: GPL-2.0-only
"""Attacks, each from the same checkpoint: what the attacker got, the kernel logged and the client saw."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple

from ccslab.labs.attack import Attack
from ccslab.labs.client import Exchange
from ccslab.labs.guest import Guest
from ccslab.policy.audit import Record
from ccslab.results import Cell, Grid, Row

GRID = "attacks"
PHASE = "attacked"


class Outcome(enum.StrEnum):
    """What became of an attack in one mode."""

    SUCCEEDED = "succeeded"
    LOGGED = "logged"
    """It succeeded, and the kernel logged what policy would have denied."""
    DENIED = "denied"
    """The attacker got nothing, the kernel logged the denial, and the client saw what it should."""
    FAILED = "failed"
    """The attacker got nothing, but not because of a denial of ours: proves nothing."""
    UNDENIED = "undenied"
    """The attacker got it although the policy is enforced."""
    UNLOGGED = "unlogged"
    """It succeeded in permissive mode, and nothing was logged."""
    MISLED = "misled"
    """Denied and logged, but the client saw another status than it should."""


MEANING = {
    Outcome.SUCCEEDED: "it succeeded",
    Outcome.LOGGED: "it succeeded and was logged",
    Outcome.DENIED: "it was denied",
    Outcome.FAILED: "it failed, but not by a denial of ours, which proves nothing",
    Outcome.UNDENIED: "the attacker got it although the policy is enforced",
    Outcome.UNLOGGED: "it succeeded and nothing was logged",
    Outcome.MISLED: "it was denied and logged, but the client saw the wrong status",
}
WANTED = {
    "disabled": Outcome.SUCCEEDED,
    "permissive": Outcome.LOGGED,
    "enforcing": Outcome.DENIED,
}
"""By mode."""
NOTE = "An attack counts only if it succeeds disabled, is logged permissive, and is denied enforcing."


def grid(attacks: Iterable[Attack]) -> Grid:
    """The grid of attacks by modes, nothing tried yet."""
    rows = [Row(attack.name, attack.title) for attack in attacks]
    return Grid(GRID, PHASE, list(WANTED), rows, note=NOTE)


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


def run_attack(guest: Guest, attack: Attack, mode: str, checkpoint: str) -> Cell:
    """One attack in one mode, from ``checkpoint``.

    The verdict is the kernel's: this only reads what it logged and looks for what the attacker wanted.
    """
    guest.go_back(checkpoint)
    tried = attempt(guest, attack, audited=mode != "disabled")
    matching = [record for record in tried.records if attack.enforcing.record.search(record.request)]
    outcome = judge(attack, mode, tried.gained, matching, tried.status)
    return Cell(
        outcome.value,
        WANTED[mode].value,
        outcome is WANTED[mode],
        MEANING[outcome],
        f"HTTP {tried.status}" if tried.status else "",
        [f"{record.domain}: {record.request}" for record in tried.records],
    )


def judge(attack: Attack, mode: str, gained: bool, matching: list[Record], status: int) -> Outcome:
    """What became of an attack, from what was observed."""
    if mode == "disabled":
        return Outcome.SUCCEEDED if gained else Outcome.FAILED
    if mode == "permissive" and gained:
        return Outcome.LOGGED if matching else Outcome.UNLOGGED
    if gained:
        return Outcome.UNDENIED
    if mode == "permissive" or not any(record.mode == "enforcing" for record in matching):
        return Outcome.FAILED
    seen = not attack.enforcing.status or status in attack.enforcing.status
    return Outcome.DENIED if seen else Outcome.MISLED


def _gained(guest: Guest, attack: Attack, last: Exchange | None) -> bool:
    if attack.gained_root is not None:
        return guest.root(attack.gained_root, check=False)[0] == 0
    assert attack.gained_body is not None
    return last is not None and bool(attack.gained_body.search(last.body.decode(errors="replace")))
