# SPDX-License-Identifier: GPL-2.0-only
"""What the harness makes of a kernel's splats: failed checks, files, and questions at a run's end."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ccslab.evidence.junit import write_junit
from ccslab.evidence.results import read_results, write_results
from ccslab.labs import leaks
from ccslab.labs.guest import Guest
from ccslab.labs.splats import Witness
from ccslab.results import Check, Phase, Results
from ccslab.vm.death import Watch
from ccslab.vm.feed import plain
from ccslab.vm.machine import Machine

CONSOLE = Path(__file__).parent / "data" / "splats" / "hung-task.console"
HUNG = [plain(line).strip("\r") for line in CONSOLE.read_bytes().decode().split("\n")]
LEAK = """\
unreferenced object 0xffff888003f3b000 (size 256):
  comm "sh", pid 58, jiffies 4294670183
  hex dump (first 32 bytes):
    6e 6f 62 6f 64 79 20 72 65 66 65 72 73 20 74 6f  nobody refers to
    20 74 68 69 73 00 00 00 00 00 00 00 00 00 00 00   this...........
  backtrace (crc 1b2c3d4e):
    __kmalloc_cache_noprof+0x1c0/0x290
    mistake_leak+0x20/0x60
    mistakes_write+0xb0/0x120
"""
LEAK_5_10 = LEAK.replace("    __k", "    [<00000000deadbeef>] __k").replace(
    "    mistake", "    [<00000000deadbeef>] mistake"
)


class World:
    """A guest that answers what it is told to, and a watch that hears what the test says."""

    def __init__(self, folder: Path, *, debug: bool = False) -> None:
        kernel = folder / "kernel"
        kernel.mkdir(parents=True)
        (kernel / "manifest.json").write_text(json.dumps({"debug": debug}))
        (kernel / "System.map").write_text("")
        self.watch = Watch()
        self.answers = {
            "dmesg": (0, ""),
            "tainted": (0, "0\n"),
            "lockdep_stats": (0, " debug_locks:                             1\n"),
            "kmemleak": (0, ""),
        }
        machine = SimpleNamespace(
            watch=self.watch, what=SimpleNamespace(kernel=kernel / "bzImage"), alive=lambda: True
        )
        guest = SimpleNamespace(machine=machine, root=self.root)
        self.checks: list[Check] = []
        self.folder = folder
        self.witness = Witness(cast(Machine, machine), folder, self.checks.append, guest=cast(Guest, guest))

    def root(self, command: str, **_: Any) -> tuple[int, str]:
        return next(answer for word, answer in self.answers.items() if word in command)

    def hang(self) -> None:
        """A task of the guest hangs."""
        for line in HUNG:
            self.watch.line(line)

    @property
    def failed(self) -> list[tuple[str, str, str]]:
        return [(check.phase, check.name, check.detail) for check in self.checks if not check.passed]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def debug_world(tmp_path: Path) -> World:
    return World(tmp_path, debug=True)


def test_a_splat_fails_the_phase_it_came_in(world: World) -> None:
    world.witness.hear("disabled")
    world.hang()
    world.witness.hear("learning")
    world.witness.hear("tuned")
    assert world.failed == [
        (
            "learning",
            "hung task: splats/001.txt",
            "INFO: task touch:129 blocked for more than 1 seconds. (2 times)",
        )
    ]
    assert [check.phase for check in world.checks if check.passed] == ["disabled", "tuned"]
    kept = (world.folder / "splats" / "001.txt").read_text()
    assert kept.startswith("INFO: task touch:129 blocked")
    assert "hung task, 35.936957 s after the kernel began, 2 times" in kept
    assert " percpu_rwsem_wait+0xe7/0x110\n" in kept


def test_a_run_with_a_splat_has_not_passed_and_shows_the_trace(world: World) -> None:
    results = Results("lab", "x86_64", "6.12", phases=[Phase("learning")], finished=True)
    assert results.verdict == "passed"
    world.hang()
    world.witness.hear("learning")
    results.checks += world.checks
    assert results.verdict == "failed"
    junit = write_junit(results, world.folder).read_text()
    assert "percpu_rwsem_wait+0xe7/0x110" in junit
    assert 'message="INFO: task touch:129 blocked for more than 1 seconds. (2 times)"' in junit
    write_results(results, world.folder)
    assert read_results(world.folder).checks == results.checks


def test_a_file_that_is_gone_is_said_in_junit(world: World) -> None:
    world.hang()
    world.witness.hear("boot")
    (world.folder / "splats/001.txt").unlink()
    results = Results("lab", "x86_64", "6.12", checks=world.checks, finished=True)
    assert "splats/001.txt: No such file" in write_junit(results, world.folder).read_text()


def test_a_boot_on_another_console_is_asked_of_dmesg_once(world: World) -> None:
    world.answers["dmesg"] = (0, "\n".join(HUNG[2:26]))
    world.witness.hear("boot")
    world.witness.hear("disabled")
    world.hang()  # the same again, as if somebody showed it
    world.witness.hear("learning")
    assert [(phase, name) for phase, name, _ in world.failed] == [("boot", "hung task: splats/001.txt")]


def test_what_a_guest_says_while_it_goes_down_is_heard(world: World) -> None:
    world.witness.hear("repair")
    world.hang()
    world.witness.hear("repair")
    assert [check.passed for check in world.checks] == [True, False]


def test_a_sound_kernel_passes_its_examination(debug_world: World) -> None:
    debug_world.witness.examine("repair")
    assert [(check.name, check.passed) for check in debug_world.checks] == [
        ("the kernel is not tainted", True),
        ("lockdep watched until the end", True),
        ("kmemleak finds no leak", True),
    ]


def test_an_ordinary_kernel_is_asked_for_its_taint_only(world: World) -> None:
    world.answers = {"tainted": (0, "0\n")}
    world.witness.examine("repair")
    assert [check.name for check in world.checks] == ["the kernel is not tainted"]


@pytest.mark.parametrize(
    ("word", "answer", "name", "detail"),
    [
        ("tainted", (0, "512\n"), "the kernel is not tainted", "it is, by W"),
        ("tainted", (0, "160\n"), "the kernel is not tainted", "it is, by BD"),
        (
            "lockdep_stats",
            (0, " debug_locks:          0\n"),
            "lockdep watched until the end",
            "debug_locks:          0",
        ),
        ("lockdep_stats", (1, ""), "lockdep watched until the end", "off"),
        (
            "kmemleak",
            (1, "sh: write error: Operation not permitted\n"),
            "kmemleak finds no leak",
            "Operation not permitted",
        ),
    ],
)
def test_what_a_sick_kernel_says(
    debug_world: World, word: str, answer: tuple[int, str], name: str, detail: str
) -> None:
    debug_world.answers[word] = answer
    debug_world.witness.examine("repair")
    ((phase, failed, told),) = debug_world.failed
    assert (phase, failed) == ("repair", name)
    assert detail in told


@pytest.mark.parametrize("text", [LEAK, LEAK_5_10])
def test_leaks_of_one_place_are_one(text: str) -> None:
    other = text.replace("mistake_leak+0x20", "mistake_leak+0x24")
    found = leaks.parse(text + other + text)
    assert [leak.times for leak in found] == [2, 1]
    assert found[0].title == 'unreferenced object of 256 bytes, allocated in mistake_leak+0x20/0x60 by "sh"'
    assert found[0].lines[0] == "unreferenced object 0xffff888003f3b000 (size 256):"
    assert found[0].lines[-1].endswith("mistakes_write+0xb0/0x120")


def test_no_leak_is_no_leak() -> None:
    assert leaks.parse("") == []


def test_leaks_fail_the_run(debug_world: World) -> None:
    debug_world.answers["kmemleak"] = (0, LEAK + LEAK.replace("mistakes_write", "elsewhere"))
    debug_world.witness.examine("repair")
    assert [name for _, name, _ in debug_world.failed] == [
        "kmemleak: splats/001.txt",
        "kmemleak: splats/002.txt",
    ]
    assert "mistake_leak+0x20/0x60" in (debug_world.folder / "splats/001.txt").read_text()
