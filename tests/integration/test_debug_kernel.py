# SPDX-License-Identifier: GPL-2.0-only
"""Each detector of a debug kernel detects: planted mistakes, one at a time, in a kernel built for it.

The kernel takes a quarter of an hour to build, so these tests are for the night.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from series import SHELL_INIT

from ccslab.kernel import command
from ccslab.labs import leaks
from ccslab.labs.setup import DEBUG_MEMORY_MIB, DEBUG_PATIENCE
from ccslab.labs.splats import is_debug
from ccslab.labs.symbols import Symbols
from ccslab.rootfs.busybox import busybox
from ccslab.rootfs.initramfs import pack
from ccslab.settings import Settings
from ccslab.vm.console import SHELL
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware
from ccslab.vm.splat import Splat

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.nightly]

MISTAKES = Path(__file__).parent / "data" / "mistakes"
SOURCE = "security/tomoyo/mistakes.c"
READY = "ready"


@pytest.fixture(scope="module")
def debug_kernel() -> Path:
    """The artifact of a debug kernel that makes mistakes on demand; built if its inputs changed."""
    folder = command.build(Settings(patchset=str(MISTAKES), debug=True))
    assert is_debug(folder)
    return folder


@pytest.fixture(scope="module")
def guest(debug_kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A guest of that kernel at a shell's prompt, saved there."""
    folder = tmp_path_factory.mktemp("debug")
    initrd = folder / "initramfs"
    initrd.write_bytes(pack(busybox(init=SHELL_INIT)))
    hardware = Hardware(cpus=2, memory_mib=DEBUG_MEMORY_MIB)
    with Machine(
        debug_kernel / "bzImage", None, folder / "guest",
        initrd=initrd, append=["rdinit=/sbin/init"], forwards={}, hardware=hardware, patience=DEBUG_PATIENCE,
    ) as machine:  # fmt: skip
        machine.boot(until=SHELL)
        machine.console.prepare()
        machine.console.run("mount -t debugfs debugfs /sys/kernel/debug", check=True)
        assert machine.watch.splats.take() == [], "the kernel boots without a splat"
        machine.save(READY)
        yield machine


def splats_of(guest: Machine, mistake: str) -> list[Splat]:
    """What the kernel says of one mistake, in the state it booted to."""
    guest.load(READY)
    guest.watch.splats.take()
    guest.console.run(f"echo {mistake} >/sys/kernel/debug/mistakes")
    return guest.watch.splats.take(timeout_s=60.0)


def explained(kernel: Path, splat: Splat) -> str:
    return "\n".join(Symbols(kernel).explain(splat.lines))


def line_of(text: str) -> int:
    """The line of the planted source that has this text, from the patch that makes the file."""
    (patch,) = MISTAKES.glob("*.patch")
    added = patch.read_text().partition(f"+++ b/{SOURCE}")[2]
    lines = [line[1:] for line in added.splitlines() if line.startswith("+")]
    return 1 + next(number for number, line in enumerate(lines) if text in line)


@pytest.mark.parametrize(
    ("mistake", "kind", "title", "function"),
    [
        ("sleep", "sleep in atomic", "BUG: sleeping function called from invalid context", "mistake_sleep"),
        ("order", "lockdep", "WARNING: possible circular locking dependency", "mistake_order"),
        ("bounds", "KASAN", "BUG: KASAN: slab-out-of-bounds in mistake_bounds", "mistake_bounds"),
        ("freed", "KASAN", "BUG: KASAN: slab-use-after-free in mistake_freed", "mistake_freed"),
        ("rcu", "RCU", "WARNING: suspicious RCU usage", "mistake_rcu"),
        ("list", "list", "list_del corruption", "mistake_del"),
        ("index", "UBSAN", "UBSAN: array-index-out-of-bounds", "mistake_index_too_big"),
        ("timer", "WARNING", "ODEBUG: free active", "mistake_timer"),
        ("warn", "WARNING", "this is a planted warning", "mistake_warn"),
    ],
)
def test_a_planted_mistake_is_caught_with_the_line_it_is_in(
    guest: Machine, debug_kernel: Path, mistake: str, kind: str, title: str, function: str
) -> None:
    found = [splat for splat in splats_of(guest, mistake) if splat.kind == kind and title in splat.title]
    assert len(found) == 1
    assert re.search(rf"{function}\+0x\S+ \((?:\S+ <- )*{SOURCE}:\d+\)", explained(debug_kernel, found[0]))


def test_the_sleep_under_a_lock_is_named_to_the_line(guest: Machine, debug_kernel: Path) -> None:
    found = [splat for splat in splats_of(guest, "sleep") if splat.kind == "sleep in atomic"]
    said = explained(debug_kernel, found[0])
    line = line_of("object = kmalloc(64, GFP_KERNEL)")
    assert re.search(rf"mistake_sleep\+0x\S+ \((?:\S+ <- )*{SOURCE}:{line}\)", said), said
    assert "mistake_lock" in said, "lockdep names the lock that is held"


def test_a_planted_leak_is_found(guest: Machine, debug_kernel: Path) -> None:
    guest.load(READY)
    guest.console.run("echo leak >/sys/kernel/debug/mistakes", check=True)
    said = guest.console.run(leaks.SCAN, leaks.SCAN_TIMEOUT_S, check=True)
    (leak,) = [one for one in leaks.parse(said.output) if "mistake_leak" in one.title]
    assert leak.times == 1
    line = line_of("kmalloc(200, GFP_KERNEL)")
    assert f"{SOURCE}:{line}" in explained(debug_kernel, leak)


def test_nothing_is_found_where_no_mistake_was_made(guest: Machine) -> None:
    assert splats_of(guest, "nothing") == []
    said = guest.console.run(leaks.SCAN, leaks.SCAN_TIMEOUT_S, check=True)
    assert leaks.parse(said.output) == []
