# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel answers to random requests under random policies: its verdicts, audit records and rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ccslab.bench import unattended
from ccslab.bench.policies import Trial
from ccslab.errors import InfrastructureError
from ccslab.policy import language
from ccslab.rootfs.initramfs import Entry, File

TRIAL_S = 30.0
DONE = "ask: all asked"
MODES = dict(enumerate(language.MODES[1:], 1))
PROFILE = [
    "0-CONFIG={ mode=disabled grant_log=no reject_log=no }",
    *(f"{number}-PREFERENCE={{ max_audit_log=4096 max_learning_entry=4096 }}" for number in MODES),
    *(f"{number}-CONFIG={{ mode={mode} grant_log=yes reject_log=yes }}" for number, mode in MODES.items()),
]
EXCEPTIONS = ("initialize_domain /bin/ccsask from any", "keep_domain any from <kernel> /sbin/init")
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
    said = r"trial \S+ status \d+ [^\n]*\n"
    console = unattended.run(
        kernel,
        _tree(trials, programs, show=show),
        folder,
        arch=arch,
        append=(),
        says=[("ask: begins", unattended.BOOT_S), *((said, TRIAL_S) for _ in trials), (DONE, TRIAL_S)],
    )
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
    return {
        **unattended.tree(programs / "askinit", "ask", profile=PROFILE, exceptions=EXCEPTIONS),
        "bin/ccsask": File((programs / "ccsask").read_bytes(), 0o755),
        "ask/script": ("show\n" if show else "") + "".join(trial.script() for trial in trials),
    }
