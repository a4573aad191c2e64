# SPDX-License-Identifier: GPL-2.0-only
"""Attackers work on clones, beside the phases or after them, and never outlive their run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccslab.errors import InfrastructureError
from ccslab.labs import attackers, attacking
from ccslab.labs.attackers import Attackers
from ccslab.labs.attacking import MEANING, WANTED, Outcome
from ccslab.labs.keeping import Keeper
from ccslab.labs.step import HttpStep
from ccslab.labs.stopwatch import Stopwatch
from ccslab.results import Cell, Grid, Results
from tests.waiting import until

WAIT_S = 20


class Clone:
    """A machine that only says what becomes of it."""

    def __init__(self, told: list[str], mode: str) -> None:
        self.told, self.mode = told, mode
        self.killed = threading.Event()

    def __enter__(self) -> None:
        self.told.append(f"{self.mode} begins")

    def __exit__(self, *error: object) -> None:
        self.told.append(f"{self.mode} ends")

    def boot(self) -> None:
        pass

    def kill(self) -> None:
        self.killed.set()

    def stop(self) -> None:
        self.told.append(f"{self.mode} is stopped")


class Lab:
    """A run of two attacks; what becomes of each is for the test to say."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        self.folder = folder
        self.keeper = Keeper(folder, wanted=False, tell=self.told.append)
        names = ("shadow", "injection")
        step = HttpStep("GET /", "GET", "/")
        attacks: list[Any] = [SimpleNamespace(name=name, title=name, steps=(step,)) for name in names]
        self.grid: Grid = attacking.grid(attacks)
        self.results = Results("x", "x86_64", "6.12", grids=[self.grid])
        self.lab = SimpleNamespace(attacks=attacks)
        self.outcome: Callable[[Any, str], Outcome] = lambda machine, mode: WANTED[mode]
        monkeypatch.setattr(attackers, "Guest", self.guest)
        monkeypatch.setattr(attackers, "Witness", self.witness)
        monkeypatch.setattr(attacking, "run_attack", self.attack)

    def guest(self, machine: Any, lab: Any, folder: str) -> Any:
        return SimpleNamespace(machine=machine, lab=lab, stopwatch=Stopwatch())

    def witness(self, *args: Any, **more: Any) -> Any:
        return SimpleNamespace(hear=lambda phase: self.told.append(f"{more['prefix']}heard"))

    def attack(self, guest: Any, attack: Any, mode: str, checkpoint: str) -> Cell:
        assert checkpoint == mode
        self.told.append(f"{mode}: {attack.name}")
        outcome = self.outcome(guest.machine, mode)
        return Cell(outcome, WANTED[mode], outcome is WANTED[mode], MEANING[outcome], "", ["a record"])

    def attackers(self, guests: int = 1) -> Attackers:
        """Those of the run."""
        return Attackers(self.results, self.grid, self.folder, guests=guests, keeper=self.keeper)

    def original(self) -> Any:
        """The guest that lives on, and is cloned."""
        return SimpleNamespace(
            lab=self.lab, folder="/proc/ccs", clone=lambda name, folder: Clone(self.told, name)
        )


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def test_every_attack_in_every_mode_is_a_cell(lab: Lab) -> None:
    lab.outcome = lambda machine, mode: Outcome.UNDENIED if mode == "enforcing" else WANTED[mode]
    with lab.attackers(3) as some:
        for mode in WANTED:
            some.begin(lab.original(), mode)
        some.finish()
    cells = {(row.name, mode): row.cells[mode] for row in lab.grid.rows for mode in WANTED}
    assert len(cells) == 6
    assert {place for place, cell in cells.items() if not cell.right} == {
        ("shadow", "enforcing"),
        ("injection", "enforcing"),
    }
    assert cells["injection", "enforcing"].records == ["a record"]
    assert [name for _, name, _ in lab.results.failures()] == ["shadow", "injection"]
    assert not lab.results.checks
    assert (some.result.name, some.result.beside) == ("attacked", True)
    assert some.result.counts == {"request": 6, "violation": 6}
    assert all(f"{mode} ends" in lab.told and f"{mode}-heard" in lab.told for mode in WANTED)


def test_without_memory_for_two_nothing_begins_before_the_end(lab: Lab) -> None:
    with lab.attackers(0) as some:
        for mode in WANTED:
            some.begin(lab.original(), mode)
        assert lab.told == []
        some.finish()
    ends = [line for line in lab.told if line.endswith((" begins", " ends"))]
    assert ends == [f"{mode} {what}" for mode in WANTED for what in ("begins", "ends")], "one at a time"


def test_a_clone_that_dies_ends_the_run_at_the_next_look(lab: Lab) -> None:
    def die(machine: Any, mode: str) -> Outcome:
        raise InfrastructureError("the guest panicked")

    lab.outcome = die
    with lab.attackers() as some:
        some.begin(lab.original(), "disabled")
        until(lambda: "disabled ends" in lab.told, "the clone is dead")
        with pytest.raises(InfrastructureError, match="the guest panicked"):
            some.finish()
        with pytest.raises(InfrastructureError, match="the guest panicked"):
            some.look()
    assert lab.told.count("disabled-heard") == 1


def test_a_run_that_ends_early_ends_what_still_runs(lab: Lab) -> None:
    begun = threading.Event()

    def hang(machine: Any, mode: str) -> Outcome:
        begun.set()
        assert machine.killed.wait(WAIT_S), "it is not ended"
        raise InfrastructureError("QEMU ended early")

    lab.outcome = hang
    with (
        contextlib.suppress(KeyboardInterrupt),
        lab.attackers() as some,
    ):
        some.begin(lab.original(), "disabled")
        some.begin(lab.original(), "permissive")
        assert begun.wait(WAIT_S)
        raise KeyboardInterrupt
    assert lab.told.count("disabled: shadow") == 1
    assert not [line for line in lab.told if line.startswith("permissive: ")]
    assert {"disabled is stopped", "permissive is stopped"} <= set(lab.told)


def test_the_guest_of_the_first_wrong_outcome_is_kept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    monkeypatch.setattr(lab.keeper, "keep", lambda machine, why: kept.append(f"{machine.mode}: {why}"))
    lab.outcome = lambda machine, mode: Outcome.UNDENIED if mode == "enforcing" else WANTED[mode]
    with lab.attackers(0) as some:
        for mode in WANTED:
            some.begin(lab.original(), mode)
        some.finish()
    assert kept == [f"enforcing: attack {name} undenied" for name in ("shadow", "injection")]
