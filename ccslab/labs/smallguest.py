# SPDX-License-Identifier: GPL-2.0-only
"""A guest of busybox that works by itself: its first program is a script (labs/controls, labs/interface)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ccslab.labs.setup import DEBUG_MEMORY_MIB, DEBUG_PATIENCE
from ccslab.rootfs import busybox
from ccslab.rootfs.initramfs import Entry, File, pack
from ccslab.settings import Settings
from ccslab.vm import splat
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware

LOADERS = ("sbin/ccs-init", "sbin/tomoyo-init")
BOOT_S = 120.0
MEMORY_MIB = 256


@dataclass(frozen=True)
class SmallGuest:
    """One, and what is in it.

    :param lab: its folder, with ``guest/init`` and ``guest/loader``.
    :param files: what else is in it, by path.
    """

    settings: Settings
    lab: Path
    files: Mapping[str, Entry]

    @contextmanager
    def booted(self, kernel: Path, folder: Path, *, until: str) -> Iterator[Machine]:
        """Boot it until its console matches.

        :param kernel: bzImage.
        :param folder: of the run; console and initramfs go there.
        :raises InfrastructureError: the guest dies or is silent.
        """
        folder.mkdir(parents=True, exist_ok=True)
        initrd = folder / "initramfs"
        initrd.write_bytes(pack(self._tree()))
        memory_mib, patience = (
            (DEBUG_MEMORY_MIB, DEBUG_PATIENCE) if self.settings.debug else (MEMORY_MIB, 1.0)
        )
        with Machine(
            kernel, None, folder / "guest",
            initrd=initrd, append=("rdinit=/sbin/init", "loglevel=3"), forwards={},
            hardware=Hardware(arch=self.settings.arch, cpus=1, memory_mib=memory_mib), patience=patience,
        ) as machine:  # fmt: skip
            machine.boot(BOOT_S, until=until)
            yield machine

    def _tree(self) -> dict[str, Entry]:
        guest = self.settings.root / self.lab / "guest"
        loader = File((guest / "loader").read_bytes(), 0o755)
        return {
            **busybox.busybox(program=busybox.of(self.settings.arch, self.settings.store)),
            **dict.fromkeys(LOADERS, loader),
            "sbin/init": File((guest / "init").read_bytes(), 0o755),
            **self.files,
        }


def said(folder: Path) -> tuple[Path, str, list[splat.Splat]]:
    """What the guest's console said: file, text, and the mistakes of its kernel."""
    log = folder / "guest/console.log"
    text = log.read_text(errors="replace")
    return log, text, splat.parse(text.splitlines())
