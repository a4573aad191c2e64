# SPDX-License-Identifier: GPL-2.0-only
"""How a run goes on and ends: phases in order, errors, kernels that die, what a lab's own module breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from phase_world import World

from ccslab.errors import InfrastructureError, UserError
from ccslab.labs import attackers, phases
from ccslab.labs.run import Run
from ccslab.labs.splats import BOOT
from ccslab.vm.death import GuestDied
from ccslab.vm.feed import plain

WAIT_S = 20.0
HUNG = Path(__file__).parent / "data/splats/hung-task.console"


def order(world: World, monkeypatch: pytest.MonkeyPatch, *failing: str) -> list[str]:
    """Phases of which is known only in what order they come; some fail a check."""
    came: list[str] = []

    def find(name: str, folder: Path) -> Callable[[Run], None]:
        def body(run: Run) -> None:
            came.append(name)
            run.check(f"{name} is well", name not in failing, "it is not")

        return body

    monkeypatch.setattr(phases, "find", find)
    return came


def test_phases_come_in_the_order_of_the_lab_s_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, phases=("repair", "disabled", "tuned"))
    world.serve()
    came = order(world, monkeypatch)
    world.run.go()
    assert came == ["repair", "disabled", "tuned"]
    assert [phase.name for phase in world.results.phases] == [BOOT, *came]
    assert world.observed == ["boot passed", "repair passed", "disabled passed", "tuned passed"]
    assert world.results.grids == [], "a lab without the phase attacked tries no attacks"


def test_an_unknown_phase_is_a_user_s_error_with_the_nearest_name(tmp_path: Path) -> None:
    world = World(tmp_path, phases=("disabled", "enforcin"))
    world.serve()
    with pytest.raises(UserError, match="unknown phase 'enforcin' - did you mean enforcing"):
        world.run.go()
    assert world.results.phases == [], "it is known before anything begins"


def test_an_error_ends_the_run_and_its_phase_has_not_passed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def perform(steps: Any) -> Any:
        raise InfrastructureError("the guest panicked")

    world.do("disabled")
    monkeypatch.setattr(world.guest, "perform", perform)
    with pytest.raises(InfrastructureError, match="the guest panicked"):
        world.do("learning", "tuned")
    assert world.observed == ["disabled passed", "learning error"]
    assert world.results.error == "the guest panicked"
    assert (world.results.finished, world.results.verdict) == (False, "error")
    assert world.keeper.kept == ["learning broke off"]


def test_a_failing_check_keeps_the_guest_as_it_is_in_that_phase(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(world, monkeypatch, "tuned")
    world.do("disabled", "tuned", "permissive")
    assert world.keeper.kept == ["tuned failed"]
    assert world.observed == ["disabled passed", "tuned failed", "permissive passed"]


def test_the_phase_attacked_waits_for_the_attackers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attackers, "Guest", lambda machine, lab, folder: machine.guest)
    world = World(tmp_path, phases=("disabled", "attacked"))
    world.serve(attackers=1)
    may, waits = threading.Event(), threading.Event()
    attempt = attackers.attacking.attempt

    def slow(*given: Any, **more: Any) -> Any:
        assert may.wait(WAIT_S)
        return attempt(*given, **more)

    def find(name: str, folder: Path) -> Callable[[Run], None]:
        def body(run: Run) -> None:
            waits.set()
            finish(run)

        return body if name == "attacked" else original(name, folder)

    original, finish = phases.find, phases.find("attacked", world.lab.folder)
    monkeypatch.setattr(attackers.attacking, "attempt", slow)
    monkeypatch.setattr(phases, "find", find)
    with world.run:
        goes = threading.Thread(target=world.run.go)
        goes.start()
        assert waits.wait(WAIT_S), "the phases go on while attacks are tried"
        assert world.results.grids[0].row("shadow").cells == {}
        assert world.observed == ["boot passed", "disabled passed"]
        may.set()
        goes.join(WAIT_S)
    assert not goes.is_alive()
    assert [*world.results.grids[0].row("shadow").cells] == ["disabled"]
    assert world.results.phases[-1].beside


def test_a_clone_that_dies_ends_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*given: Any, **more: Any) -> Any:
        raise InfrastructureError("the clone panicked")

    monkeypatch.setattr(attackers.attacking, "attempt", die)
    with pytest.raises(InfrastructureError, match="the clone panicked"), world.run:
        world.run.go()
    assert world.results.verdict == "error"
    assert world.observed[-1] == "attacked error"


def test_what_a_kernel_s_own_mistake_does_to_its_phase(world: World, tmp_path: Path) -> None:
    (tmp_path / "System.map").touch()
    world.do("disabled")
    for line in HUNG.read_bytes().decode().split("\n"):
        world.guest.machine.watch.line(plain(line).strip("\r"))
    world.do("learning")
    ((phase, name),) = world.failed
    assert (phase, name.endswith("splats/001.txt")) == ("learning", True)
    assert world.keeper.kept == ["learning failed"]


def dying(world: World, monkeypatch: pytest.MonkeyPatch, *, kernel: bool) -> None:
    def perform(steps: Any) -> Any:
        last = ["[    9.0] BUG: unable to handle page fault", "[    9.1] Kernel panic - not syncing: Fatal"]
        raise GuestDied("the guest panicked", last=last, kernel=kernel)

    monkeypatch.setattr(world.guest, "perform", perform)


def test_a_kernel_that_dies_has_failed_and_the_run_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying(world, monkeypatch, kernel=True)
    with world.run:
        world.run.go()
    assert world.observed == ["boot passed", "disabled failed"]
    assert (world.results.verdict, world.results.error) == ("failed", "")
    assert world.results.died
    assert "Kernel panic - not syncing: Fatal" in world.detail("the guest's kernel survives")


def test_a_qemu_that_ends_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dying(world, monkeypatch, kernel=False)
    with pytest.raises(GuestDied), world.run:
        world.run.go()
    assert world.observed == ["boot passed", "disabled error"]
    assert world.results.verdict == "error"
    assert not world.results.died


OWN = """
import json


def disabled(run):
    raise KeyError("nosuch")


def full(run):
    raise OSError(28, "No space left on device")


def learning(run):
    json.loads("{")
"""


def owning(tmp_path: Path, *names: str, text: str = OWN) -> World:
    """A run of a lab with a module of its own."""
    world = World(tmp_path, own=text, phases=names)
    world.serve()
    return world


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("disabled", r"lab.py: phase disabled broke: line 6: KeyError: 'nosuch' - correct it"),
        ("learning", r"lab.py: phase learning broke: line 14: JSONDecodeError: "),
    ],
)
def test_what_a_lab_s_own_module_does_wrong_is_told_by_its_line(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        owning(tmp_path, name).run.go()


def test_a_full_disk_is_not_the_lab_s_fault(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        owning(tmp_path, "full").run.go()


def test_a_fault_of_ours_is_not_the_lab_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def perform(steps: Any) -> Any:
        raise KeyError("ours")

    world = owning(tmp_path, "disabled", text="def full(run):\n    pass\n")
    monkeypatch.setattr(world.guest, "perform", perform)
    with pytest.raises(KeyError, match="ours"):
        world.run.go()


@pytest.mark.parametrize(
    ("text", "said"),
    [("def disabled(:\n", "line 1: SyntaxError"), ("x = 1\nimport nosuch\n", "line 2: ModuleNotFound")],
)
def test_a_module_that_cannot_be_read_is_told_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=f"lab.py: cannot be read: {said}"):
        owning(tmp_path, "disabled", text=text)
