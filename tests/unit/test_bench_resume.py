# SPDX-License-Identifier: GPL-2.0-only
"""Measurements that broke off go on, and one guest that fails costs no other's figures."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ccslab.bench import command, equal, guest, measurement, peers, plan, policies, unattended, verdicts
from ccslab.bench.measurement import Figure, Measured, Subject
from ccslab.bench.plan import OPERATIONS, Configuration
from ccslab.bench.verdicts import Answer
from ccslab.errors import InfrastructureError
from ccslab.runs import folder as runs
from ccslab.settings import Settings

ABOUT = Subject("6.12", "6.12.117-test", "x86_64", "gcc 12", "0" * 64, "7.2")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of kernels and programs that need not be built, and with no pictures (test_bench*.py draw them)."""
    monkeypatch.setattr(Settings, "runs", tmp_path / "runs")
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / "manifest.json").write_text("{}")
    for module in (command, equal, peers):
        monkeypatch.setattr(module.kernel, "build", lambda one: artifact)
        monkeypatch.setattr(module.program, "made", lambda one: artifact)
    monkeypatch.setattr(peers.apparmor, "compiled", lambda *_: {})
    monkeypatch.setattr(peers.sets, "need", lambda name: None)
    monkeypatch.setattr(peers, "draw", lambda rows, about, folder: folder / "none.svg")
    monkeypatch.setattr(command.plot, "draw", lambda found, folder: [])
    monkeypatch.setattr(peers, "subject_of", lambda *_: ABOUT)
    return Settings()


def document(tmp_path: Path) -> dict[str, Any]:
    """What the only run of bench.peers says."""
    (run,) = runs.listed(tmp_path / "runs/peers")
    told: dict[str, Any] = json.loads((run.folder / peers.FILE).read_text())
    return told


def test_a_module_that_is_not_measured_costs_no_other_s_figures(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fails = ["apparmor"]

    def measure(kernel: Path, wanted: list[Configuration], *_: Any, lsm: str, **__: Any) -> list[Measured]:
        asked.append(lsm)
        if lsm in fails:
            raise InfrastructureError("the guest died")
        return [Measured(one, dict.fromkeys(OPERATIONS, Figure(1, 2, 3.0, 4))) for one in wanted]

    monkeypatch.setattr(guest, "measure", measure)
    with pytest.raises(InfrastructureError, match="1 of 5 modules were not measured: the guest died"):
        peers.run(settings)
    told = document(tmp_path)
    assert sorted(asked) == ["", "apparmor", "selinux", "smack", "tomoyo"]
    assert (told["missing"], len({one["module"] for one in told["measured"]})) == (["AppArmor"], 4)
    asked.clear()
    fails.clear()
    peers.run(settings, resume=True)
    assert asked == ["apparmor"]
    told = document(tmp_path)
    assert told["missing"] == []
    _, wanted = peers.peers()
    order = [peer.title for peer in wanted for _ in peer.configurations]
    assert [one["module"] for one in told["measured"]] == order, "as if it had not broken off"


def test_kernels_that_were_asked_are_not_asked_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fails = [True]

    def ask(kernel: Path, trials: list[Any], place: Path, **_: Any) -> dict[str, Answer]:
        number = place.name.partition("-")[0]
        asked.append(f"{number} {trials[0].name}")
        if number == "1" and fails and trials[0].name != first:
            raise InfrastructureError("the guest is silent")
        return {one.name: Answer("." * len(one.requests), "0" * 16, "1" * 16) for one in trials}

    first = policies.trial(0, 1).name
    monkeypatch.setattr(verdicts, "ask", ask)
    monkeypatch.setattr(equal, "BATCH", 2)
    wanted: Callable[..., int] = lambda **more: equal.compare(  # noqa: E731
        settings, "stock-6.12", "6.12", count=4, seed=1, **more
    )
    with pytest.raises(InfrastructureError, match="the guest is silent"):
        wanted()
    (run,) = runs.listed(tmp_path / "runs/equal")
    assert run.told == "broken off, 3 of 4"
    fails.clear()
    asked.clear()
    assert wanted(resume=True) == 0
    assert len(asked) == 1
    assert run.told == "finished"


def test_nobody_waits_for_guests_when_it_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = threading.Event()
    machine = Mock(kill=killed.set)
    monkeypatch.setattr(unattended, "_running", {machine})

    def body() -> None:
        with unattended.side_by_side(1) as threads:
            threads.submit(killed.wait, 20.0)
            threads.submit(pytest.fail, "it is not begun")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        body()
    assert killed.is_set()


def test_a_measurement_s_guest_that_fails_costs_not_the_other_s_figures(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fails = ["present"]

    def measure(kernel: Path, wanted: list[Configuration], folder: Path, **_: Any) -> list[Measured]:
        asked.append(folder.name)
        if folder.name in fails:
            raise InfrastructureError("the guest died")
        return [Measured(one, dict.fromkeys(OPERATIONS, Figure(1, 2, 3.0, 4))) for one in wanted]

    monkeypatch.setattr(guest, "measure", measure)
    monkeypatch.setattr(command, "subject_of", lambda *_: ABOUT)
    with pytest.raises(InfrastructureError, match="the guest died"):
        command.run(settings)
    (run,) = runs.listed(tmp_path / "runs/bench")
    assert run.told == "broken off, 1 of 2"
    assert not (run.folder / "bench.json").exists(), "half a measurement is none"
    asked.clear()
    fails.clear()
    assert command.run(settings, resume=True) == 0
    assert asked == ["present"]
    found = measurement.read(run.folder)
    assert [one.configuration for one in found.measured] == list(plan.find("short").configurations)
