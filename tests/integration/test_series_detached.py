# SPDX-License-Identifier: GPL-2.0-only
"""Ways of attaching a mount that came after 6.12: each needs a rule, or the kernel does not know it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

import pytest
from series import HERE, SECURITYFS, program, say
from test_series_mounts import DOMAIN, TRY, Operation, Outcome, expect, parse

from ccslab.rootfs.initramfs import Entry, File
from ccslab.vm.machine import Machine

pytestmark = pytest.mark.guest


@dataclass(frozen=True)
class Way(Operation):
    """An operation of ``detachedcalls``, and the kernel that can do it first."""

    since: tuple[int, int] = (6, 15)


WAYS = {
    "clone of a clone": Way("clone /a /m", "file mount /a/ /m/ --bind 0x0"),
    "clone of a new mount": Way("fsclone /m", "file mount some /m/ tmpfs 0x0"),
    "part of a new mount": Way("fssub /m", "file mount tmpfs:/sub/ /m/ --bind 0x0"),
    "onto a detached mount": Way("onto /m", "file mount some tmpfs:/sub/ tmpfs 0x0"),
    "mount namespace": Way("ns /a", "file mount /a/ / --bind 0x0", (7, 0)),
    "mount namespace, recursive": Way("nsrec /a", "file mount /a/ / --bind 0x4000", (7, 0)),
    "mount namespace of a clone": Way("nsclone /a", "file mount /a/ / --bind 0x0", (7, 0)),
    "mount namespace by fsmount": Way("nsfs", "file mount some / tmpfs 0x0", (7, 0)),
    "mount namespace of a new mount": Way("nsfsclone", "file mount some / tmpfs 0x0", (7, 0)),
}
# A clone that gets other flags: two requests. It has no place yet, so it goes by its local name.
CHANGED = Way("attr /a /m", "file mount <NULL> tmpfs:/ --remount 0x1004")
ATTACHED = Way("attr /a /m", "file mount /a/ /m/ --bind 0x0")
# The old call with something detached was checked before our series, by its local name.
OLD = {
    "mount(MS_MOVE)": Way("oldmove /m", "file mount tmpfs:/ /m/ --move 0x0", (5, 2)),
    "mount(MS_BIND)": Way("oldbind /m", "file mount tmpfs:/ /m/ --bind 0x0"),
}


class Guest:
    """A guest in which ``detachedcalls`` is tried."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        say(machine, "mkdir -p /m /a /n; touch /m.file")
        say(machine, f"echo '{DOMAIN}' >{SECURITYFS}/domain_policy")
        major, minor = say(machine, "uname -r").split(".")[:2]
        self.version = int(major), int(minor)

    def attempt(self, way: Way, *states: str) -> dict[str, Outcome]:
        """State → outcome."""
        outcomes = parse(say(self._machine, f"try new '{way.rule}' '{' '.join(states)}' {way.words}"))
        assert tuple(outcomes) == states
        return outcomes


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entry]:
    """The script and the program, under the name that the script calls."""
    built = tmp_path_factory.mktemp("detached") / "detachedcalls"
    gcc = ["gcc", "-static", "-Os", "-Wall", "-Werror", "-o", built, HERE / "detachedcalls.c"]
    subprocess.run(gcc, check=True, timeout=120)
    return {"bin/try": program(TRY), "bin/mountcalls": File(built.read_bytes(), 0o755)}


@pytest.fixture(scope="module")
def patched(patched_guest: Machine) -> Guest:
    return Guest(patched_guest)


@pytest.fixture(scope="module")
def stock(stock_guest: Machine) -> Guest:
    return Guest(stock_guest)


def unknown(patched: Guest, way: Way) -> bool:
    """Whether the kernel is older than a way; then it must not know it."""
    if patched.version >= way.since:
        return False
    outcome = patched.attempt(way, "disabled")["disabled"]
    assert outcome.verdict in ("ERRNO EINVAL", "ERRNO ENOSYS"), "this kernel has it, and nobody looked"
    assert outcome.after == outcome.before
    return True


@pytest.mark.parametrize("way", [*WAYS.values(), *OLD.values()], ids=[*WAYS, *OLD])
def test_a_later_way_needs_a_rule(patched: Guest, way: Way) -> None:
    if not unknown(patched, way):
        expect(patched.attempt(way, "disabled", "learning", "permissive", "enforcing", "granted"), way.rule)


def test_a_clone_that_open_tree_attr_changes_needs_two_rules(patched: Guest) -> None:
    if unknown(patched, CHANGED):
        return
    assert patched.attempt(CHANGED, "learning")["learning"].rules == (CHANGED.rule, ATTACHED.rule)
    for way, granted, denied in ((CHANGED, CHANGED, ATTACHED), (ATTACHED, None, CHANGED)):
        outcome = patched.attempt(way, "granted")["granted"]
        assert outcome.verdict == "ERRNO EPERM"
        expected = [("enforcing", "yes", granted.rule)] if granted else []
        assert outcome.audited == [*expected, ("enforcing", "no", denied.rule)]


@pytest.mark.parametrize("way", [*WAYS.values(), ATTACHED], ids=[*WAYS, "open_tree_attr"])
def test_without_the_series_a_later_way_goes_through(stock: Guest, way: Way) -> None:
    """The hole, proved, on kernels that have it."""
    outcome = stock.attempt(way, "enforcing")["enforcing"]
    assert outcome.records == ()
    if stock.version >= way.since:
        assert outcome.verdict == "OK"
    else:
        assert outcome.verdict in ("ERRNO EINVAL", "ERRNO ENOSYS")
