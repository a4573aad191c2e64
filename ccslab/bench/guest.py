# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark's guest: an initramfs that measures by itself, with nobody typing, and says what it found.

Everything that could make two runs differ is held fixed: one CPU whose time is its instructions, no random
addresses, QEMU's own randomness seeded, a clock that begins at a date, and no input.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccslab.bench import console
from ccslab.bench.measurement import Measured
from ccslab.bench.plan import ABSENT, PROFILES, Configuration
from ccslab.rootfs.initramfs import CharacterDevice, Directory, Entry, File, pack
from ccslab.vm.accel import TCG
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware

MEMORY_MIB = 512
LOADERS = ("sbin/ccs-init", "sbin/tomoyo-init")
"""Where kernels look for the policy loader: ours, and stock ones."""
DONE = "bench: all measured"
BOOT_S = 120.0
CONFIGURATION_S = 120.0
RULE_S = 0.02  # loading ten thousand rules is quadratic in the kernel: each looks for itself among the others
APPEND = ("rdinit=/sbin/init", "nokaslr", "norandmaps", "random.trust_cpu=off", "loglevel=3")
PROFILE = "\n".join(
    [
        "PROFILE_VERSION=20150505",
        *(
            f"{number}-PREFERENCE={{ max_audit_log=0 max_learning_entry=100000 }}"
            for number in PROFILES.values()
        ),
        *(
            f"{number}-CONFIG={{ mode={mode} grant_log=no reject_log=no }}"
            for mode, number in PROFILES.items()
        ),
    ]
)
EXCEPTIONS = """\
initialize_domain /bin/ccsbench from any
keep_domain any from <kernel> /sbin/init
keep_domain /bench/nothing from <kernel> /bin/ccsbench
"""


def tree(configurations: Sequence[Configuration], *, calls: int, programs: Path) -> dict[str, Entry]:
    """What is in the guest.

    :param programs: folder of ccsbench and benchinit.
    """
    bench, init = (File((programs / name).read_bytes(), 0o755) for name in ("ccsbench", "benchinit"))
    entries: dict[str, Entry] = {
        **dict.fromkeys(("sbin/init", *LOADERS), init),
        **dict.fromkeys(("bin/ccsbench", "bench/nothing"), bench),
        "dev/console": CharacterDevice(5, 1),
        "proc": Directory(),
        "sys": Directory(),
        "bench/data/file": "x" * 4096,
        "bench/data/here": "",
        "bench/forbidden": "",
        "bench/calls": str(calls),
        "bench/order": "".join(f"{one.name}\n" for one in configurations),
        "bench/policy/manager": "/sbin/init\n" + "".join(f"/{name}\n" for name in LOADERS),
        "bench/policy/exception_policy": EXCEPTIONS,
        "bench/policy/profile": PROFILE + "\n",
    }
    for one in configurations:
        absent = one.mode == ABSENT
        entries[f"bench/configurations/{one.name}/domain"] = "" if absent else one.domain
        entries[f"bench/configurations/{one.name}/exceptions"] = "" if absent else one.exceptions
    return entries


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
    :raises InfrastructureError: the guest dies, is silent, or did not measure what was asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    initrd = folder / "initramfs"
    initrd.write_bytes(pack(tree(configurations, calls=calls, programs=programs)))
    absent = configurations[0].mode == ABSENT
    hardware = Hardware(arch=arch, cpus=1, memory_mib=MEMORY_MIB, icount=True)
    append = (*APPEND, "lsm=") if absent else APPEND
    with Machine(
        kernel,
        None,
        folder / "guest",
        initrd=initrd,
        append=append,
        forwards={},
        hardware=hardware,
        accel=TCG,
    ) as machine:
        machine.boot(BOOT_S, until="configuration ")
        for one in configurations:
            machine.console.expect(r"status \d+", CONFIGURATION_S + RULE_S * one.count)
        machine.console.expect(DONE, CONFIGURATION_S)
    log = folder / "guest/console.log"
    text = log.read_text(errors="replace")
    return [console.read(one, text, log) for one in configurations]
