# SPDX-License-Identifier: GPL-2.0-only
"""An administrator at ``ccs-queryd``: who is denied waits for an answer, and gets what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from ccslab.vm import accel
from ccslab.vm.machine import Machine

pytestmark = [pytest.mark.guest, pytest.mark.slow]

DOMAIN = "<kernel> /usr/local/bin/asker"
RULE = "capability SYS_SETHOSTNAME"
QUESTION = r"(?s)enforcing granted=no .*?<kernel> /usr/local/bin/asker.*?capability SYS_SETHOSTNAME.*?Allow\?"
KERNEL_WAITS_S = 10  # security/tomoyo/common.c, tomoyo_supervisor()
PREPARE = f"""
cp /bin/hostname /usr/local/bin/asker
ccs-loadpolicy -p <<'END'
9-COMMENT=asks
9-CONFIG={{ mode=disabled grant_log=no reject_log=yes }}
9-CONFIG::capability={{ mode=enforcing grant_log=no reject_log=yes }}
END
echo 'initialize_domain /usr/local/bin/asker from any' | ccs-loadpolicy -e
printf '{DOMAIN}\\nuse_profile 9\\nuse_group 0\\n' | ccs-loadpolicy -d
"""

Asking = Callable[[str], "Future[bool]"]


@pytest.fixture(scope="module")
def guest(kernel: Path, server_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("queryd") / "guest"
    with Machine(kernel, server_image, folder, accel=accel.choose("auto")) as machine:
        machine.boot()
        machine.login()
        machine.ssh.run(PREPARE)
        yield machine


def ask(guest: Machine, name: str) -> bool:
    """Have the domain change the host's name; whether it was let."""
    said = guest.ssh.run(f"/usr/local/bin/asker {name}", check=False)
    now = guest.ssh.run("hostname").out.strip()
    assert (said.status == 0) == (now == name), said
    return now == name


@pytest.fixture
def asking(guest: Machine) -> Iterator[Asking]:
    """The administrator watches; what asks goes on by itself meanwhile."""
    guest.console.type("ccs-queryd")
    guest.console.expect(r"Monitoring \S+/query")
    with ThreadPoolExecutor(1) as pool:
        yield lambda name: pool.submit(ask, guest, name)
    guest.console.control("C")
    guest.console.finish()


def answer(guest: Machine, key: str) -> None:
    """Wait for the question, and answer it."""
    guest.console.expect(QUESTION)
    guest.console.expect(r"retry\):")
    guest.console.type(key, enter=False)


def test_with_nobody_there_it_is_denied_at_once(guest: Machine) -> None:
    begun = time.monotonic()
    assert not ask(guest, "nobody")
    assert time.monotonic() - begun < KERNEL_WAITS_S / 2


def test_yes(guest: Machine, asking: Asking) -> None:
    asked = asking("granted")
    answer(guest, "y")
    assert asked.result(30)


def test_no(guest: Machine, asking: Asking) -> None:
    asked = asking("rejected")
    answer(guest, "n")
    assert not asked.result(30)


def test_who_is_told_to_try_again_asks_again(guest: Machine, asking: Asking) -> None:
    asked = asking("later")
    answer(guest, "r")
    answer(guest, "y")
    assert asked.result(30)


@pytest.mark.nightly
def test_no_answer_is_no(guest: Machine) -> None:
    begun = time.monotonic()
    said = guest.ssh.run(
        "exec 3<>/proc/ccs/query; /usr/local/bin/asker never 3<&-", check=False, timeout_s=60
    )
    assert said.status == 1
    assert time.monotonic() - begun >= KERNEL_WAITS_S - 1


@pytest.mark.nightly
def test_an_administrator_may_take_his_time(guest: Machine, asking: Asking) -> None:
    """Longer than the kernel waits: ccs-queryd tells it every now and then that he is there."""
    asked = asking("late")
    with pytest.raises(TimeoutError):
        asked.result(KERNEL_WAITS_S + 5)
    answer(guest, "y")
    assert asked.result(30)


def test_a_rule_that_is_added_grants_it_and_stays(guest: Machine, asking: Asking) -> None:
    asked = asking("added")
    answer(guest, "a")
    guest.console.expect(rf"> {RULE}")
    guest.console.type("")
    assert asked.result(30)
    assert asking("again").result(30)
    assert f"{DOMAIN}\n" in guest.ssh.run("ccs-savepolicy -d").out
    assert f"\n{RULE}\n" in guest.ssh.run("ccs-savepolicy -d").out
