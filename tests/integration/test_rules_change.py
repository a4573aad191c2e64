# SPDX-License-Identifier: GPL-2.0-only
"""Requests while the rules they meet come and go: answered as if nothing happened, and nothing left behind.

A table of rules is replaced while it is read, and rules are freed while requests may stand on them: with a
mistake there, an allowed file is denied for a moment, or memory is read after it was freed.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from series import BOOT_S, HERE, LOADER, SHELL_INIT, machine, program

from ccslab.kernel import command
from ccslab.rootfs.busybox import busybox
from ccslab.rootfs.initramfs import Entry, File
from ccslab.settings import Settings
from ccslab.vm.console import SHELL
from ccslab.vm.machine import Machine

pytestmark = [pytest.mark.guest, pytest.mark.slow]

SAID = re.compile(r"cycles (\d+) rules (\d+) asked (\d+) wrong (\d+) memory (\d+) (\d+)")
PROFILES = "PROFILE_VERSION=20150505\n" + "".join(
    f"{number}-CONFIG{what}={{ mode={mode} grant_log=no reject_log=no }}\n"
    for number, what, mode in ((0, "", "disabled"), (3, "", "disabled"), (3, "::file::open", "enforcing"))
)


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, Entry]:
    """The guest's: a shell, the program, and the policy it starts from."""
    binary = tmp_path / "rulestress"
    make = ["gcc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", binary, HERE / "rulestress.c"]
    subprocess.run(make, check=True, timeout=120)
    stress = File(binary.read_bytes(), 0o755)
    return {
        **busybox(init=SHELL_INIT),
        "sbin/ccs-init": program(LOADER),
        "sbin/tomoyo-init": program(LOADER),
        "bin/rulestress": stress,
        "bin/rulestress-asker": stress,
        "etc/series/manager": "/bin/busybox\n/bin/rulestress\n",
        "etc/series/profile": PROFILES,
        "etc/series/exception_policy": "initialize_domain /bin/rulestress-asker from any\n",
    }


def stressed(guest: Machine, cycles: int, rules: int, timeout_s: float) -> dict[str, int]:
    """What the program says of itself."""
    guest.boot(BOOT_S, until=SHELL)
    guest.console.prepare()
    said = guest.console.run(f"rulestress {cycles} 3 {rules}", timeout_s, check=True).output
    found = SAID.search(said)
    assert found, said
    names = ("cycles", "rules", "asked", "wrong", "before", "after")
    return dict(zip(names, map(int, found.groups()), strict=True))


@pytest.fixture
def debug_kernel() -> Path:
    return command.build(Settings(debug=True)) / "bzImage"


def test_no_answer_is_wrong_and_nothing_is_left(kernel: Path, tree: dict[str, Entry], tmp_path: Path) -> None:
    with machine(kernel, tmp_path / "guest", tree, cpus=2) as guest:
        said = stressed(guest, 12, 150, 150)
        print(said)
    assert said["rules"] > 500
    assert said["asked"] > 1_000, "the files were asked for meanwhile"
    assert said["wrong"] == 0
    assert said["after"] <= said["before"], "what was removed is freed"


@pytest.mark.nightly
def test_a_debug_kernel_finds_nothing(debug_kernel: Path, tree: dict[str, Entry], tmp_path: Path) -> None:
    with machine(debug_kernel, tmp_path / "guest", tree, cpus=2, debug=True) as guest:
        said = stressed(guest, 40, 150, 400)
        print(said)
        assert guest.watch.splats.take() == []
    assert said["wrong"] == 0
    assert said["after"] <= said["before"]
