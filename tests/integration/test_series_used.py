# SPDX-License-Identifier: GPL-2.0-only
"""A profile that nobody used before is checked as soon as a process comes to use it, on whichever way.

Until then the kernel does not even look; each test has a functionality of its own, which no other one wakes.
"""

from __future__ import annotations

import pytest
from series import DENIED, STRANGER, say, write

from ccslab.vm.machine import Machine

pytestmark = pytest.mark.guest

DOMAIN = f"<kernel> {STRANGER}"
PROFILE = 7
CLOCK = "date -s @1800000000"


@pytest.fixture(scope="module")
def guest(patched_guest: Machine) -> Machine:
    write(patched_guest, "exception_policy", f"initialize_domain {STRANGER} from any")
    return patched_guest


def profile(guest: Machine, word: str, namespace: str = "", number: int = PROFILE) -> None:
    for line, mode in (("CONFIG", "disabled"), (f"CONFIG::{word}", "enforcing")):
        write(guest, "profile", f"{namespace}{number}-{line}={{ mode={mode} }}")


def denied(guest: Machine, call: str, program: str = STRANGER) -> bool:
    return DENIED in guest.console.run(f"{program} {call}").output


def test_the_profile_that_all_have_from_the_start(guest: Machine) -> None:
    assert not denied(guest, "renice 0 1", "/bin/busybox")
    profile(guest, "capability::SYS_NICE", number=0)
    assert denied(guest, "renice 0 1", "/bin/busybox")


def test_a_domain_that_is_given_it_while_a_process_is_in_it(guest: Machine) -> None:
    """A kernel thread is in another domain than the shell, whose kill is its own."""
    profile(guest, "ipc::signal")
    assert not denied(guest, "sh -c 'kill -WINCH 2'")
    say(guest, "mkfifo /go /done")
    waits = "echo >/done; read line </go; kill -WINCH 2 2>/said; echo >/done"
    say(guest, f"({STRANGER} sh -c '{waits}' &) && cat /done")
    write(guest, "domain_policy", DOMAIN, f"use_profile {PROFILE}")
    say(guest, "echo >/go && cat /done")
    assert DENIED in say(guest, "cat /said")


def test_a_profile_in_use_that_changes(guest: Machine) -> None:
    assert not denied(guest, CLOCK)
    profile(guest, "capability::SYS_TIME")
    assert denied(guest, CLOCK)


def test_a_domain_of_another_namespace_that_nobody_was_in(guest: Machine) -> None:
    """Nobody gives it a profile: the number 0 is that of every new domain."""
    namespace = f"<{STRANGER}>"
    hostname = "hostname other"
    write(guest, "profile", f"{namespace} PROFILE_VERSION=20150505")
    profile(guest, "capability::SYS_SETHOSTNAME", f"{namespace} ", number=0)
    write(guest, "domain_policy", namespace)
    assert not denied(guest, hostname)
    write(guest, "exception_policy", f"delete initialize_domain {STRANGER} from any")
    write(guest, "exception_policy", f"reset_domain {STRANGER} from any")
    assert denied(guest, hostname)
