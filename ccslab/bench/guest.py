# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark's guest: it measures one configuration after the other, and says what it found.

Everything that could make two runs differ is held fixed: one CPU whose time is its instructions, no random
addresses, QEMU's own randomness seeded, a clock that begins at a date, and no input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ccslab.bench import console, unattended
from ccslab.bench.measurement import Measured
from ccslab.bench.plan import Configuration
from ccslab.policy import language
from ccslab.rootfs.initramfs import Entry, File

DONE = "bench: all measured"
CONFIGURATION_S = 120.0
RULE_S = 0.02  # loading ten thousand rules is quadratic in the kernel: each looks for itself among the others
APPEND = ("nokaslr", "random.trust_cpu=off")
PROFILE = [
    line
    for number, mode in enumerate(language.MODES)
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
    lsm: str | None = None,
    blobs: Mapping[str, bytes] = MappingProxyType({}),
) -> list[Measured]:
    """Boot a guest, have it measure, and read what it said.

    :param kernel: bzImage.
    :param configurations: all of one ``lsm=``.
    :param folder: of the run; the guest's console and initramfs go there.
    :param programs: folder of ccsbench and benchinit.
    :param lsm: the modules that are active; None for what the kernel was built to have.
    :param blobs: AppArmor's profile, compiled, by the configuration's name.
    :raises InfrastructureError: the guest dies, is silent, or did not measure what was asked for.
    """
    says = [("configuration ", unattended.BOOT_S)]
    says += [(r"status \d+", CONFIGURATION_S + RULE_S * one.count) for one in configurations]
    log = unattended.run(
        kernel,
        _tree(configurations, calls=calls, programs=programs, blobs=blobs),
        folder,
        arch=arch,
        append=APPEND if lsm is None else (*APPEND, f"lsm={lsm}"),
        says=[*says, (DONE, CONFIGURATION_S)],
        icount=True,
    )
    text = log.read_text(errors="replace")
    return [console.read(one, text, log) for one in configurations]


def _tree(
    configurations: Sequence[Configuration], *, calls: int, programs: Path, blobs: Mapping[str, bytes]
) -> dict[str, Entry]:
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
        entries[f"bench/configurations/{one.name}/domain"] = one.domain
        entries[f"bench/configurations/{one.name}/exceptions"] = one.exceptions
        if one.name in blobs:
            entries[f"bench/configurations/{one.name}/apparmor"] = File(blobs[one.name], 0o644)
    return entries
