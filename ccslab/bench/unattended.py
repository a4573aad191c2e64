# SPDX-License-Identifier: GPL-2.0-only
"""A guest that works by itself: an initramfs whose first program is ours, and the policy loader, too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ccslab.rootfs.initramfs import CharacterDevice, Directory, Entry, File, pack
from ccslab.vm.accel import TCG
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware

LOADERS = ("sbin/ccs-init", "sbin/tomoyo-init")
"""Where kernels look for the policy loader: ours, and stock ones."""
MEMORY_MIB = 512
BOOT_S = 120.0
_running: set[Machine] = set()


def tree(init: Path, place: str, *, profile: Iterable[str], exceptions: Iterable[str]) -> dict[str, Entry]:
    """What every such guest has in it.

    :param init: the program.
    :param place: the folder below which it looks for its policy.
    :param profile: lines of the profile, after its version.
    :param exceptions: lines of the exception policy.
    """
    program = File(init.read_bytes(), 0o755)
    managers = ("sbin/init", *LOADERS)
    return {
        **dict.fromkeys(managers, program),
        **dict.fromkeys(("proc", "sys", "tmp"), Directory()),
        "dev/console": CharacterDevice(5, 1),
        f"{place}/policy/manager": "".join(f"/{name}\n" for name in managers),
        f"{place}/policy/profile": "".join(f"{line}\n" for line in ("PROFILE_VERSION=20150505", *profile)),
        f"{place}/policy/exception_policy": "".join(f"{line}\n" for line in exceptions),
    }


def run(
    kernel: Path,
    entries: Mapping[str, Entry],
    folder: Path,
    *,
    arch: str,
    append: Sequence[str],
    says: Iterable[tuple[str, float]],
    icount: bool = False,
) -> Path:
    """Boot it and wait until it has said all it is to say; returns the file of its console.

    :param kernel: bzImage.
    :param folder: gets the initramfs, and the guest's folder.
    :param says: what is awaited, in order: patterns, and seconds for each after the one before it.
    :param icount: its time is its instructions.
    :raises InfrastructureError: the guest dies, or is silent for too long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    initrd = folder / "initramfs"
    initrd.write_bytes(pack(entries))
    hardware = Hardware(arch=arch, cpus=1, memory_mib=MEMORY_MIB, icount=icount)
    words = ("rdinit=/sbin/init", "loglevel=3", *append)
    (first, boot_s), *rest = says
    with Machine(
        kernel, None, folder / "guest",
        initrd=initrd, append=words, forwards={}, hardware=hardware, accel=TCG,
    ) as machine:  # fmt: skip
        _running.add(machine)
        try:
            machine.boot(boot_s, until=first)
            for pattern, timeout_s in rest:
                machine.console.expect(pattern, timeout_s)
        finally:
            _running.discard(machine)
    return folder / "guest/console.log"


@contextlib.contextmanager
def side_by_side(guests: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for a guest each; when the block breaks off, nobody waits for what its guests are at."""
    with ThreadPoolExecutor(guests) as threads:
        try:
            yield threads
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            for machine in list(_running):
                machine.kill()
            raise
