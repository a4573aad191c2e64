# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel answers to random requests under random policies: its verdicts, audit records and rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ccslab.bench.guest import LOADERS
from ccslab.bench.policies import DOMAIN, Trial
from ccslab.errors import InfrastructureError
from ccslab.rootfs.initramfs import CharacterDevice, Directory, Entry, File, pack
from ccslab.vm.accel import TCG
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware

MEMORY_MIB = 512
BOOT_S = 120.0
TRIAL_S = 30.0
DONE = "ask: all asked"
APPEND = ("rdinit=/sbin/init", "loglevel=3")
MODES = {1: "learning", 2: "permissive", 3: "enforcing"}
PROFILE = "\n".join(
    [
        "PROFILE_VERSION=20150505",
        "0-CONFIG={ mode=disabled grant_log=no reject_log=no }",
        *(
            line
            for number, mode in MODES.items()
            for line in (
                f"{number}-PREFERENCE={{ max_audit_log=4096 max_learning_entry=4096 }}",
                f"{number}-CONFIG={{ mode={mode} grant_log=yes reject_log=yes }}",
            )
        ),
    ]
)
EXCEPTIONS = "initialize_domain /bin/ccsask from any\nkeep_domain any from <kernel> /sbin/init\n"
SAID = re.compile(r"trial (\S+) status (\d+) verdicts (\S*) records ([0-9a-f]{16}) rules ([0-9a-f]{16})$")


class Answer(NamedTuple):
    """What came of one trial."""

    verdicts: str
    """A letter for each request: "." granted, "P" denied, others as ccsask.c says."""
    records: str
    """Hash of the audit records, without times, processes and inodes."""
    rules: str
    """Hash of the domain's rules after it: those that were learned are among them."""


def ask(
    kernel: Path, trials: Sequence[Trial], folder: Path, *, arch: str, programs: Path, show: bool = False
) -> dict[str, Answer]:
    """Boot a guest and have it ask; returns the answers by the trial's name.

    :param kernel: bzImage.
    :param folder: the guest's console and initramfs go there.
    :param show: have records and rules on the console, not their hashes only.
    :raises InfrastructureError: the guest dies, is silent, or did not ask everything.
    """
    folder.mkdir(parents=True, exist_ok=True)
    initrd = folder / "initramfs"
    initrd.write_bytes(pack(_tree(trials, programs, show=show)))
    hardware = Hardware(arch=arch, cpus=1, memory_mib=MEMORY_MIB)
    with Machine(
        kernel, None, folder / "guest",
        initrd=initrd, append=APPEND, forwards={}, hardware=hardware, accel=TCG,
    ) as machine:  # fmt: skip
        machine.boot(BOOT_S, until="ask: begins")
        for _ in trials:
            machine.console.expect(r"trial \S+ status \d+ [^\n]*\n", TRIAL_S)
        machine.console.expect(DONE, TRIAL_S)
    console = folder / "guest/console.log"
    return read(console.read_text(errors="replace"), trials, console)


def read(text: str, trials: Sequence[Trial], where: Path) -> dict[str, Answer]:
    """The answers that a console has.

    :raises InfrastructureError: a trial has none, or the program that asks failed.
    """
    found = {}
    for line in text.splitlines():
        if match := SAID.match(line.strip()):
            if match[2] != "0":
                raise InfrastructureError(f"trial {match[1]}: ccsask ended with {match[2]}", where=where)
            found[match[1]] = Answer(match[3], match[4], match[5])
    for trial in trials:
        if len(found.get(trial.name, Answer("", "", "")).verdicts) != len(trial.requests):
            raise InfrastructureError(f"trial {trial.name} was not asked to its end", where=where)
    return found


def _tree(trials: Sequence[Trial], programs: Path, *, show: bool) -> dict[str, Entry]:
    init, asking = (File((programs / name).read_bytes(), 0o755) for name in ("askinit", "ccsask"))
    assert DOMAIN.endswith("/bin/ccsask")
    return {
        **dict.fromkeys(("sbin/init", *LOADERS), init),
        "bin/ccsask": asking,
        "dev/console": CharacterDevice(5, 1),
        **dict.fromkeys(("proc", "sys", "tmp"), Directory()),
        "ask/script": ("show\n" if show else "") + "".join(trial.script() for trial in trials),
        "ask/policy/manager": "/sbin/init\n" + "".join(f"/{name}\n" for name in LOADERS),
        "ask/policy/exception_policy": EXCEPTIONS,
        "ask/policy/profile": PROFILE + "\n",
    }
