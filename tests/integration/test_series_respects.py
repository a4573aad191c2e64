# SPDX-License-Identifier: GPL-2.0-only
"""The controls of 1.8 respect what others do: groups, conditions, namespaces, what is logged and counted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from series import SECURITYFS, say, write

from ccslab.rootfs import programs
from ccslab.rootfs.initramfs import Entry, File
from ccslab.store import Store
from ccslab.vm.machine import Machine
from tests.checkout import ROOT

pytestmark = pytest.mark.guest

PROGRAM, TARGET = "/bin/controlcalls", "/bin/target"
DOMAIN, NAMESPACE = f"<kernel> {PROGRAM}", f"<{PROGRAM}>"
PROFILE, GROUP = 7, 5
# call → its functionality, its rule, what it says when it is denied, and whom it asks for then
CALLS = {
    "sethostname": ("capability::SYS_SETHOSTNAME", "capability SYS_SETHOSTNAME", "ERRNO EPERM", 1),
    "kill": ("ipc::signal", f"ipc signal 10 <kernel> {TARGET}", "ERRNO EPERM", 1),
    "accept": ("network::inet_stream_accept", "network inet stream accept 127.0.0.1 4001", "ERRNO EAGAIN", 2),
    "recv": ("network::inet_dgram_recv", "network inet dgram recv 127.0.0.1 4001", "ERRNO EAGAIN", 2),
}
each_call = pytest.mark.parametrize("call", CALLS)


@pytest.fixture(scope="module")
def extra() -> dict[str, Entry]:
    made = programs.made(
        Store(), "programs", ROOT / "labs/controls/src", "x86_64", shared=ROOT / programs.SHARED
    )
    caller = File((made / "controlcalls").read_bytes(), 0o755)
    return {PROGRAM[1:]: caller, TARGET[1:]: caller}


@pytest.fixture(scope="module")
def booted(patched_guest: Machine) -> Machine:
    say(patched_guest, "ip link set lo up")
    for program in (PROGRAM, TARGET):
        write(patched_guest, "exception_policy", f"initialize_domain {program} from any")
    write(patched_guest, "profile", f"{PROFILE}-CONFIG={{ mode=disabled }}")
    return patched_guest


@pytest.fixture
def guest(booted: Machine, call: str) -> Iterator[Machine]:
    """The call is denied, and nobody has said more; what the test says is taken back."""
    write(booted, "domain_policy", DOMAIN, f"use_profile {PROFILE}")
    mode(booted, call, "enforcing")
    yield booted
    write(booted, "domain_policy", f"delete {DOMAIN}")
    write(booted, "profile", f"{PROFILE}-CONFIG::{CALLS[call][0]}=use_default")


def mode(
    guest: Machine, call: str, word: str, *, granted: str = "no", rejected: str = "no", of: str = ""
) -> None:
    config = f"{{ mode={word} grant_log={granted} reject_log={rejected} }}"
    write(guest, "profile", f"{of}{PROFILE}-CONFIG::{CALLS[call][0]}={config}")


def said(guest: Machine, call: str) -> str:
    return say(guest, f"{PROGRAM} {call} </dev/null 2>&1 || true")


def logged(guest: Machine) -> list[str]:
    """The requests of all records, which are taken."""
    records = say(guest, f"cat {SECURITYFS}/audit | tr '\\0' '\\n'").splitlines()
    return [line for line in records if line.split(" ")[0] in ("capability", "ipc", "network")]


@each_call
def test_a_group_grants_to_whom_uses_it(guest: Machine, call: str) -> None:
    _, rule, denied, _ = CALLS[call]
    write(guest, "exception_policy", f"acl_group {GROUP} {rule}")
    assert said(guest, call) == denied
    write(guest, "domain_policy", f"select {DOMAIN}", f"use_group {GROUP}")
    assert said(guest, call) == "OK"
    write(guest, "exception_policy", f"delete acl_group {GROUP} {rule}")
    assert said(guest, call) == denied


@each_call
def test_a_condition_decides(guest: Machine, call: str) -> None:
    _, rule, denied, _ = CALLS[call]
    for condition, comes in (("task.uid=1", denied), ("task.uid=0", "OK")):
        write(guest, "domain_policy", f"select {DOMAIN}", f"{rule} {condition}")
        assert said(guest, call) == comes


@each_call
def test_it_is_logged_what_is_to_be(guest: Machine, call: str) -> None:
    _, rule, denied, asks = CALLS[call]
    logged(guest)
    for word, count in (("no", 0), ("yes", asks)):
        mode(guest, call, "enforcing", rejected=word)
        assert said(guest, call) == denied
        assert len(logged(guest)) == count
    write(guest, "domain_policy", f"select {DOMAIN}", rule)
    for word, records in (("no", []), ("yes", [rule])):
        mode(guest, call, "enforcing", granted=word)
        assert said(guest, call) == "OK"
        assert logged(guest) == records
    write(guest, "domain_policy", f"select {DOMAIN}", f"delete {rule}", f"{rule} grant_log=no")
    assert said(guest, call) == "OK"
    assert logged(guest) == []


@each_call
def test_violations_are_counted(guest: Machine, call: str) -> None:
    def violations() -> int:
        found = re.search(r"Policy violation in enforcing mode: +(\d+)", say(guest, f"cat {SECURITYFS}/stat"))
        assert found
        return int(found[1])

    before = violations()
    assert said(guest, call) == CALLS[call][2]
    assert violations() - before == CALLS[call][3]


@each_call
def test_a_namespace_has_its_own_policy(guest: Machine, call: str) -> None:
    """What the program may in <kernel> it must learn anew."""
    _, rule, denied, _ = CALLS[call]
    write(guest, "domain_policy", f"select {DOMAIN}", rule)
    write(guest, "profile", f"{NAMESPACE} PROFILE_VERSION=20150505")
    write(guest, "profile", f"{NAMESPACE} {PROFILE}-CONFIG={{ mode=disabled }}")
    write(guest, "domain_policy", NAMESPACE, f"use_profile {PROFILE}")
    mode(guest, call, "enforcing", of=f"{NAMESPACE} ")
    assert said(guest, call) == "OK"
    write(guest, "exception_policy", f"delete initialize_domain {PROGRAM} from any")
    write(guest, "exception_policy", f"reset_domain {PROGRAM} from any")
    try:
        assert said(guest, call) == denied
        mode(guest, call, "learning", of=f"{NAMESPACE} ")
        assert said(guest, call) == "OK"
        mode(guest, call, "enforcing", of=f"{NAMESPACE} ")
        assert said(guest, call) == "OK"
    finally:
        write(guest, "exception_policy", f"delete reset_domain {PROGRAM} from any")
        write(guest, "exception_policy", f"initialize_domain {PROGRAM} from any")
        write(guest, "domain_policy", f"delete {NAMESPACE}")
        write(guest, "profile", f"{NAMESPACE} {PROFILE}-CONFIG::{CALLS[call][0]}=use_default")
