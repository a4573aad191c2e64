# SPDX-License-Identifier: GPL-2.0-only
"""Guests of busybox that work by themselves: their first program is a script, ``guest/init`` of the lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccslab.labs.definition import MachineSpec
from ccslab.rootfs import busybox, programs
from ccslab.rootfs.initramfs import Entry, File, pack
from ccslab.settings import Settings
from ccslab.vm.accel import Accel
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware

LOADERS = ("sbin/ccs-init", "sbin/tomoyo-init")
FOLDER = "guest"
# KASAN's shadow is an eighth of the memory, and what it keeps of freed objects another share; KASAN, lockdep
# and the rest together make an emulated guest several times slower.
DEBUG_MEMORY_MIB = 2048
DEBUG_PATIENCE = 6.0


@dataclass(frozen=True)
class Bench:
    """What they are made on.

    :param kernel: the kernel's artifact folder.
    :param release: what ``uname -r`` says there.
    """

    settings: Settings
    kernel: Path
    release: str
    accel: Accel

    def guest(self, lab: Path, spec: MachineSpec, files: Mapping[str, Entry], folder: Path) -> Machine:
        """One, not yet started.

        :param lab: its folder, with ``guest/init`` and ``guest/loader``.
        :param files: what else is in it, by path.
        :param folder: of the run; console and initramfs go there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        initrd = folder / "initramfs"
        initrd.write_bytes(pack(self._tree(lab / FOLDER, files)))
        memory_mib, patience = spec.memory_mib, 1.0
        if self.settings.debug:
            memory_mib, patience = max(memory_mib, DEBUG_MEMORY_MIB), DEBUG_PATIENCE
        return Machine(
            self.kernel / "bzImage", None, folder / FOLDER,
            initrd=initrd, append=("rdinit=/sbin/init", "loglevel=3"), forwards={},
            patience=patience, accel=self.accel,
            hardware=Hardware(arch=self.settings.arch, cpus=spec.cpus, memory_mib=memory_mib),
        )  # fmt: skip

    def made(self, lab: Path, arch: str = "") -> Path:
        """The folder of what the lab's ``src/Makefile`` makes.

        :param arch: for whom; "" is the guest's.
        """
        shared = self.settings.root / programs.SHARED
        return programs.made(
            self.settings.store, "programs", lab / "src", arch or self.settings.arch, shared=shared
        )

    def _tree(self, guest: Path, files: Mapping[str, Entry]) -> dict[str, Entry]:
        loader = File((guest / "loader").read_bytes(), 0o755)
        return {
            **busybox.busybox(program=busybox.of(self.settings.arch, self.settings.store)),
            **dict.fromkeys(LOADERS, loader),
            "sbin/init": File((guest / "init").read_bytes(), 0o755),
            **files,
        }
