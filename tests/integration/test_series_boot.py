# SPDX-License-Identifier: GPL-2.0-only
"""The kernel series at boot: which loader is called, at which program, and whether the module is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from series import BOOT_S, LOADER, machine, policy, program

from ccslab.rootfs.busybox import busybox
from ccslab.rootfs.initramfs import Entry

pytestmark = pytest.mark.guest

# The first program tells what it finds, and waits to be stopped.
LOOK = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs securityfs /sys/kernel/security
echo "active: $(cat /sys/kernel/security/lsm)"
for place in /proc/ccs /sys/kernel/security/tomoyo; do
    [ -d $place ] && echo "there: $place" || echo "missing: $place"
done
[ -r /proc/ccs/profile ] && sed 's/^/profile: /' /proc/ccs/profile
dmesg | sed 's/^/kernel: /'
echo "@@""end"
read nothing
"""
ACTIVATED = "Mandatory Access Control activated."
UNPROTECTED = "Not activating Mandatory Access Control as {} does not exist."


@dataclass(frozen=True)
class Case:
    """What a guest has, what the kernel is told, and which loader it calls.

    :param missed: the loader the kernel looks for in vain.
    :param init: the first program, which the kernel is told about if it is not the usual one.
    """

    words: str = ""
    loaders: tuple[str, ...] = ("/sbin/ccs-init", "/sbin/tomoyo-init", "/other/loader")
    called: str | None = None
    missed: str | None = None
    init: str = "/sbin/init"


CASES = {
    "default": Case(called="/sbin/ccs-init"),
    "absent": Case(loaders=(), missed="/sbin/ccs-init"),
    # A loader that vanished is said; no other policy is loaded in its stead.
    "no fallback": Case(loaders=("/sbin/tomoyo-init",), missed="/sbin/ccs-init"),
    "CCS_loader": Case("CCS_loader=/other/loader", called="/other/loader"),
    "CCS_loader absent": Case("CCS_loader=/no/loader", missed="/no/loader"),
    "TOMOYO_loader": Case("TOMOYO_loader=/sbin/tomoyo-init", called="/sbin/tomoyo-init"),
    "TOMOYO_loader last": Case(
        "CCS_loader=/other/loader TOMOYO_loader=/sbin/tomoyo-init", called="/sbin/tomoyo-init"
    ),
    "CCS_loader last": Case(
        "TOMOYO_loader=/sbin/tomoyo-init CCS_loader=/other/loader", called="/other/loader"
    ),
    "CCS_trigger": Case("CCS_trigger=/other/init", called="/sbin/ccs-init", init="/other/init"),
    "TOMOYO_trigger": Case("TOMOYO_trigger=/other/init", called="/sbin/ccs-init", init="/other/init"),
    # Nobody executes the trigger, so nobody looks for a loader.
    "no trigger": Case(init="/other/init"),
    "trigger elsewhere": Case("CCS_trigger=/other/init"),
    "on": Case("ccsecurity=on", called="/sbin/ccs-init"),
    "off, then on": Case("ccsecurity=off ccsecurity=on", called="/sbin/ccs-init"),
    "malformed": Case("ccsecurity=offf", called="/sbin/ccs-init"),
}


def boot(kernel: Path, folder: Path, case: Case) -> str:
    """All the console said until the first program had looked around."""
    tree: dict[str, Entry] = {**busybox(), **policy(), case.init[1:]: program(LOOK)}
    tree |= {loader[1:]: program(LOADER) for loader in case.loaders}
    with machine(kernel, folder / "guest", tree, f"rdinit={case.init}", *case.words.split()) as guest:
        guest.start()
        guest.console.expect("@@end", BOOT_S)
    return (folder / "guest" / "console.log").read_text(errors="replace").replace("\r", "")


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_loader_that_is_called(kernel: Path, tmp_path: Path, case: Case) -> None:
    said = boot(kernel, tmp_path, case)
    assert "there: /proc/ccs\nthere: /sys/kernel/security/tomoyo\n" in said
    assert re.search(r"^active: .*\btomoyo\b", said, re.MULTILINE)
    called = [case.called] if case.called else []
    assert re.findall(r"LOADER CALLED AS (\S+)", said) == called
    # What the loader wrote is in force, and only then is the policy.
    assert ("profile: 3-CONFIG::file::mount={ mode=enforcing" in said) is bool(called)
    assert (ACTIVATED in said) is bool(called)
    missed = re.findall(r"^kernel: .*Not activating Mandatory Access Control as (\S+)", said, re.MULTILINE)
    assert missed == ([case.missed] if case.missed else [])
    if case.missed:
        assert UNPROTECTED.format(case.missed) in said


@pytest.mark.parametrize("words", ["ccsecurity=off", "ccsecurity=on ccsecurity=off"])
def test_ccsecurity_off_leaves_nothing_of_the_module(kernel: Path, tmp_path: Path, words: str) -> None:
    said = boot(kernel, tmp_path, Case(words))
    assert "missing: /proc/ccs\nmissing: /sys/kernel/security/tomoyo\n" in said
    active = re.search(r"^active: (\S+)", said, re.MULTILINE)
    assert active is not None
    assert "tomoyo" not in active[1].split(",")
    assert "LOADER CALLED" not in said
    assert ACTIVATED not in said
    assert "kernel: " in said
    assert "TOMOYO Linux disabled by ccsecurity=off" in said
    assert "TOMOYO Linux initialized" not in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("ccsecurity=offf", 'ccsecurity=offf is neither "on" nor "off", ignored'),
        ("ccsecurity=", 'ccsecurity= is neither "on" nor "off", ignored'),
        ("ccsecurity=off ccsecurity=on", "TOMOYO Linux enabled again by ccsecurity=on"),
    ],
)
def test_what_ccsecurity_did_is_logged(kernel: Path, tmp_path: Path, words: str, line: str) -> None:
    said = boot(kernel, tmp_path, Case(words))
    assert line in said
    assert "TOMOYO Linux initialized" in said
    assert ACTIVATED in said


def test_the_tree_without_the_series_has_none_of_it(stock_kernel: Path, tmp_path: Path) -> None:
    """What the series is for: the same words, and the kernel hears none of them."""
    case = Case("CCS_loader=/other/loader ccsecurity=off", loaders=("/sbin/ccs-init", "/other/loader"))
    said = boot(stock_kernel, tmp_path, case)
    assert "missing: /proc/ccs\nthere: /sys/kernel/security/tomoyo\n" in said
    assert UNPROTECTED.format("/sbin/tomoyo-init") in said
    assert "LOADER CALLED" not in said
