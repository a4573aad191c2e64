# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark's guest: it measures one configuration after the other, and says what it found.

Everything that could make two runs differ is held fixed: one CPU whose time is its instructions, no random
addresses, QEMU's own randomness seeded, a clock that begins at a date, and no input.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccslab.bench import console, unattended
from ccslab.bench.measurement import Measured
from ccslab.bench.plan import ABSENT, PROFILES, Configuration
from ccslab.rootfs.initramfs import Entry, File

DONE = "bench: all measured"
CONFIGURATION_S = 120.0
RULE_S = 0.02  # loading ten thousand rules is quadratic in the kernel: each looks for itself among the others
APPEND = ("nokaslr", "norandmaps", "random.trust_cpu=off")
PROFILE = [
    line
    for mode, number in PROFILES.items()
    for line in (
        f"{number}-PREFERENCE={{ max_audit_log=0 max_learning_entry=100000 }}",
        f"{number}-CONFIG={{ mode={mode} grant_log=no reject_log=no }}",
    )
]
EXCEPTIONS = (
    "initialize_domain /bin/ccsbench from any",
    "keep_domain any from <kernel> /sbin/init",
    "keep_domain /bench/nothing from <kernel> /bin/ccsbench",
)


def measure(
    kernel: Path,
    configurations: Sequence[Configuration],
    folder: Path,
    *,
    arch: str,
    calls: int,
    programs: Path,
) -> list[Measured]:
    """Boot a guest, have it measure, and read what it said.

    :param kernel: bzImage.
    :param configurations: all with TOMOYO in ``lsm=``, or all without.
    :param folder: of the run; the guest's console and initramfs go there.
    :param programs: folder of ccsbench and benchinit.
    :raises InfrastructureError: the guest dies, is silent, or did not measure what was asked for.
    """
    says = [("configuration ", unattended.BOOT_S)]
    says += [(r"status \d+", CONFIGURATION_S + RULE_S * one.count) for one in configurations]
    log = unattended.run(
        kernel,
        _tree(configurations, calls=calls, programs=programs),
        folder,
        arch=arch,
        append=(*APPEND, "lsm=") if configurations[0].mode == ABSENT else APPEND,
        says=[*says, (DONE, CONFIGURATION_S)],
        icount=True,
    )
    text = log.read_text(errors="replace")
    return [console.read(one, text, log) for one in configurations]


def _tree(configurations: Sequence[Configuration], *, calls: int, programs: Path) -> dict[str, Entry]:
    """What is in the guest."""
    program = File((programs / "ccsbench").read_bytes(), 0o755)
    entries: dict[str, Entry] = {
        **unattended.tree(programs / "benchinit", "bench", profile=PROFILE, exceptions=EXCEPTIONS),
        **dict.fromkeys(("bin/ccsbench", "bench/nothing"), program),
        "bench/data/file": "x" * 4096,
        "bench/data/here": "",
        "bench/forbidden": "",
        "bench/calls": str(calls),
        "bench/order": "".join(f"{one.name}\n" for one in configurations),
    }
    for one in configurations:
        absent = one.mode == ABSENT
        entries[f"bench/configurations/{one.name}/domain"] = "" if absent else one.domain
        entries[f"bench/configurations/{one.name}/exceptions"] = "" if absent else one.exceptions
    return entries
