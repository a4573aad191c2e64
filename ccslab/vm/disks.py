# SPDX-License-Identifier: GPL-2.0-only
"""A guest's private disk files, below its folder: made, held by one process, copied, swept away."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.process import run
from ccslab.vm.checkpoint import Checkpoint, make_private
from ccslab.vm.qemu import STATE_DISK_BYTES, Disk, copy_overlay, overlay

LOCK = "vm.lock"


class Disks:
    """The overlays of one guest.

    :param folder: where they are; the guest's.
    :param root: what the root disk lies over; without one the guest has an initramfs alone.
    :param more: further disks.
    """

    def __init__(self, folder: Path, root: Path | None, more: Sequence[Disk]) -> None:
        self.folder = folder
        self.bases = [Disk(base=root), *more] if root else list(more)
        self.files = [(folder / f"disk{number}.qcow2", disk.serial) for number, disk in enumerate(self.bases)]
        self.state = None if self.bases else folder / "state.qcow2"
        """Where the memory of a guest without disks is saved."""
        self._held = contextlib.ExitStack()

    def hold(self) -> None:
        """Keep the folder for this process, without disks of an earlier guest.

        :raises InfrastructureError: another process has it.
        """
        make_private(self.folder)
        self._held.enter_context(locked(self.folder))
        remove_disks(self.folder)
        self._held.callback(remove_disks, self.folder)

    def release(self) -> None:
        """Remove the disks and let the folder go; safe to call again."""
        self._held.close()

    def make(self, checkpoint: Checkpoint | None) -> None:
        """Empty overlays, or those of a checkpoint; in its own folder they are there already.

        :raises UserError: the checkpoint's guest had other disks.
        """
        for (path, _), disk in zip(self.files, self.bases, strict=True):
            if checkpoint is None:
                overlay(path, disk.base, disk.size_bytes)
            elif (source := checkpoint.disk(path.name)) != path:
                copy_overlay(source, path, disk.base)
        if self.state and checkpoint is None:
            overlay(self.state, None, STATE_DISK_BYTES)
        elif self.state and checkpoint and (source := checkpoint.disk(self.state.name)) != self.state:
            copy_overlay(source, self.state, None)

    def all(self) -> list[Path]:
        """Their files."""
        return [path for path, _ in self.files] + ([self.state] if self.state else [])

    def copy(self, folder: Path) -> None:
        """Copy the files, holes kept, for nobody else to read; the guest may not run meanwhile."""
        make_private(folder)
        for path in self.all():
            run(["cp", "--reflink=auto", "--sparse=always", path, folder / path.name], timeout_s=300)


def sweep(root: Path) -> int:
    """Remove the disks that killed runs left below ``root`` (one folder a machine); returns how many runs."""
    swept = 0
    for lock in sorted(root.glob(f"*/{LOCK}")) + sorted(root.glob(f"*/*/{LOCK}")):
        with contextlib.suppress(InfrastructureError, OSError), locked(lock.parent):
            remove_disks(lock.parent)
            swept += 1
    return swept


def remove_disks(folder: Path) -> None:
    """Remove a stopped guest's private disks."""
    for path in folder.glob("*.qcow2"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a machine's folder; the lock ends with this process, however that ends."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InfrastructureError("another guest runs in this folder", where=folder) from error
        yield
        (folder / LOCK).unlink(missing_ok=True)
    finally:
        os.close(handle)
