# SPDX-License-Identifier: GPL-2.0-only
"""Checkpoints that outlive their process: a saved running guest as an artifact of the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccslab import progress
from ccslab.errors import UserError
from ccslab.store import Store, disk_errors, hash_file, hash_used, key_of, remove
from ccslab.vm import clock
from ccslab.vm.accel import qemu_version
from ccslab.vm.qemu import Channels, CommandLine

if TYPE_CHECKING:
    from ccslab.vm.machine import Machine

MANIFEST = "checkpoint.json"
READY = "ready"
KIND = "checkpoint"
BOOTS = 3  # of which one must have a clock that keeps pace


@dataclass(frozen=True)
class Checkpoint:
    """A folder with the qcow2 overlays of a guest and, inside them, the snapshot ``name``."""

    folder: Path
    name: str

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """The checkpoint published in a folder.

        :raises UserError: there is none.
        """
        return cls(folder, _manifest(folder)["name"])

    def disk(self, name: str) -> Path:
        """A disk file of the checkpoint.

        :raises UserError: the guest that was saved had no such disk.
        """
        path = self.folder / name
        if not path.is_file():
            raise UserError(
                f"the checkpoint has no {name}", where=self.folder, mend="give the disks it was made with"
            )
        return path


def _manifest(folder: Path) -> dict[str, str]:
    """What was written of the checkpoint in a folder.

    :raises UserError: there is none, or it is damaged.
    """
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        if isinstance(told["name"], str):
            return dict(told)
    except FileNotFoundError as error:
        raise UserError("there is no checkpoint", where=folder, mend="make one with ensure()") from error
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(
        "the checkpoint is damaged", where=folder / MANIFEST, mend="run the lab again with --keep"
    )


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter: a guest's memory, with all that was typed, is in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def inputs_of(machine: Machine, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What decides a checkpoint of this guest: its files' content, how QEMU is called, and ``extra``.

    :raises Damaged: a file is not what was published.
    """
    what = machine.what
    return {
        "kernel": hash_used(what.kernel),
        "initrd": hash_file(what.initrd) if what.initrd else "",
        "image": hash_used(machine.image) if machine.image else "",
        "disks": [
            {"size": disk.size_bytes, "base": hash_used(disk.base) if disk.base else ""}
            for disk in machine.disks
        ],
        "arguments": _arguments(machine),
        "qemu": qemu_version(machine.hardware.program),
        # An emulated guest counts time by the host's counter, whose pace its kernel measured while it booted.
        "cpu": _cpu_model(),
        **(extra or {}),
    }


def _cpu_model() -> str:
    """What /proc/cpuinfo calls the host's processor, whose pace may be in the name only."""
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _arguments(machine: Machine) -> list[str]:
    """How QEMU is called for such a machine, any names in the place of this one's files.

    A saved guest comes back only to the very devices it had, in their places on the bus.
    """
    what = machine.what
    serials = [*([""] if machine.image else []), *(disk.serial for disk in machine.disks)]
    return CommandLine(
        machine.hardware,
        replace(what, kernel=Path("kernel"), initrd=Path("initrd") if what.initrd else None),
        machine.accel,
        Channels(qmp=0, serial=0),
        disks=[(Path("disk"), serial) for serial in serials],
        state=None if serials else Path("state"),
        forwards=machine.forwards,
    ).argv()


def publish(machine: Machine, folder: Path, name: str = READY) -> None:
    """Save a running guest and put its disks into ``folder``; the guest is stopped by it.

    The guest's console must be at a root shell's prompt: that is where a clone comes back to.
    """
    machine.save(name)
    machine.watch.expected = True
    machine.process.kill()
    machine.files.copy(folder)
    (folder / MANIFEST).write_text(json.dumps({"name": name}) + "\n")


def keep(machine: Machine, folder: Path, name: str = READY) -> None:
    """Leave a checkpoint of a guest that goes on, to be entered later by whoever has the same parts.

    :raises InfrastructureError: QEMU cannot save it, or the disk is full.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True)
        machine.copy(name, folder)
        told = {"name": name, "key": key_of(inputs_of(machine))}
        (folder / MANIFEST).write_text(json.dumps(told) + "\n")


def examine(machine: Machine, folder: Path) -> None:
    """Whether a kept checkpoint is one of such a machine.

    :raises UserError: it is of another kernel, image, QEMU or hardware.
    """
    told = _manifest(folder)
    if told.get("key") != key_of(inputs_of(machine)):
        raise UserError(
            "the checkpoint is of another kernel, image or QEMU than is here now",
            where=folder,
            mend="go back to the commit that manifest.json beside it names, or run the lab again with --keep",
        )


def ensure(
    make: Callable[[Path], Machine],
    prepare: Callable[[Machine], None],
    *,
    store: Store | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """The folder of the checkpoint of a prepared guest; boots and prepares one only if there is none.

    :param make: makes the (not yet entered) machine in the folder it is given; called twice.
    :param prepare: boots it and brings it to a root shell's prompt on the console.
    :param extra: further inputs, such as the hash of what ``prepare`` does.
    :raises LabError: what ``prepare`` raises; the guest's logs stay in the store's ``work/checkpoint``.
    """
    store = store or Store()
    planned = make(store.root)  # never entered, so nothing is written there
    inputs = inputs_of(planned, extra)

    def build(folder: Path) -> None:
        guest = store.work(KIND, key_of(inputs))
        for left in reversed(range(BOOTS)):
            remove(guest)  # a killed or failed run's
            try:
                with make(guest) as machine:
                    prepare(machine)
                    if not machine.hardware.icount:  # whose time is its instructions
                        clock.examine(machine.console)
                    publish(machine, folder)
                break
            except clock.WrongClock as error:
                if not left:
                    raise
                progress.console.print(f"  warning: {error.what}: booting it again")
        remove(guest)

    # At most: a guest's memory as it is saved leaves out what the guest never wrote.
    folder = store.get(KIND, inputs, build, needs_bytes=planned.hardware.memory_mib << 20)
    make_private(folder)  # also one of earlier days
    return folder
