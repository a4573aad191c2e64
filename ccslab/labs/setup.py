# SPDX-License-Identifier: GPL-2.0-only
"""From a lab's definition to its machine: kernel, image, disks, and the checkpoint of a booted guest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab import progress
from ccslab.errors import InfrastructureError, UserError
from ccslab.kernel import catalog
from ccslab.kernel import command as kernel
from ccslab.labs import definition
from ccslab.labs.attacking import WANTED
from ccslab.labs.definition import Lab
from ccslab.labs.smallguest import DEBUG_MEMORY_MIB, DEBUG_PATIENCE
from ccslab.labs.splats import is_debug
from ccslab.process import need, run
from ccslab.rootfs import build as rootfs
from ccslab.settings import Settings
from ccslab.store import Store, hash_file, temporary
from ccslab.vm import accel, checkpoint
from ccslab.vm.disks import sweep
from ccslab.vm.machine import Machine
from ccslab.vm.network import Network
from ccslab.vm.qemu import Disk, Hardware

# What the images have; a kernel that calls another loader by itself is told of it.
LOADER = "/sbin/ccs-init"
OVERHEAD_MIB = 512  # beside the guest's memory: QEMU's translated code, the harness and its ssh
DEBUG_APPEND = ("systemd.default_timeout_start_sec=600",)
DISK_UUID = "7f0c6a52-4f0b-4c9e-9d6b-2008ccab0002"


@dataclass(frozen=True)
class Parts:
    """What a lab's machine is made of."""

    kernel: Path
    image: Path | None
    """None of a lab whose guests are made of an initramfs."""
    accel: accel.Accel

    @property
    def release(self) -> str:
        """What ``uname -r`` says in the guest."""
        return str(self.kernel_manifest["release"])

    @property
    def debug(self) -> bool:
        """Whether the kernel is one that looks for its own mistakes."""
        return is_debug(self.kernel)

    @property
    def patchset(self) -> Mapping[str, str]:
        """What the kernel's patchset is called, which loader it calls, where its interface is."""
        found: dict[str, str] = self.kernel_manifest["patchset"]
        return found

    @property
    def kernel_manifest(self) -> dict[str, Any]:
        """The kernel artifact's manifest."""
        found: dict[str, Any] = json.loads((self.kernel / "manifest.json").read_text())
        return found


def examine(settings: Settings, lab: Lab) -> accel.Accel:
    """Say what is wrong in what was asked for, before anything is waited for; returns the accelerator.

    :raises LabError: a name is unknown or its files are malformed, or the accelerator cannot be used here.
    """
    catalog.find(settings)
    if lab.machine.recipe:
        rootfs.load_recipe(lab.machine.recipe, settings.root)
    return accel.choose(settings.accel, settings.store)


def build(settings: Settings, lab: Lab, *, update: bool = False) -> Parts:
    """Kernel and image, built if their inputs changed; and the accelerator this host can use.

    :raises LabError: as their stages say.
    """
    chosen = examine(settings, lab)
    if settings.accel == "auto":
        progress.console.print(f"accelerator: {chosen}")
    made = kernel.build(settings)
    image = build_image(settings, lab.machine.recipe, update=update) if lab.machine.recipe else None
    return Parts(made, image, chosen)


def build_all(settings: Settings) -> None:
    """What the labs need: the kernel, and each recipe's image.

    :raises LabError: as their stages say.
    """
    chosen = accel.choose(settings.accel, settings.store)
    if settings.accel == "auto":
        progress.console.print(f"accelerator: {chosen}")
    labs = [definition.find(name, settings.root) for name in definition.names(settings.root)]
    recipes = dict.fromkeys(lab.machine.recipe for lab in labs if lab.machine.recipe)
    for recipe in recipes:
        rootfs.load_recipe(recipe, settings.root)
    kernel.build(settings)
    for recipe in recipes:
        build_image(settings, recipe)


def build_image(settings: Settings, recipe: str, *, update: bool = False) -> Path:
    """The artifact folder of a recipe's image."""
    folder = rootfs.build(
        rootfs.load_recipe(recipe, settings.root),
        arch=settings.arch,
        store=settings.store,
        root=settings.root,
        update=update,
    )
    progress.console.print(f"image {recipe} ({settings.arch}): {folder}")
    return folder


def memory_mib(lab: Lab, *, debug: bool) -> int:
    """What a lab's guest is given, with a debug kernel or an ordinary one."""
    return max(lab.machine.memory_mib, DEBUG_MEMORY_MIB) if debug else lab.machine.memory_mib


def guests_mib(memory_mib: int, guests: int = 2) -> int:
    """Host memory that a run's guests take: the lab's and an attackers', and what QEMU needs."""
    return guests * (memory_mib + OVERHEAD_MIB)


def beside(lab: Lab, *, debug: bool) -> int:
    """How many further guests there are memory and cores for, when none is to wait for another."""
    cores = len(os.sched_getaffinity(0))
    return max(0, min(available_mib() // guests_mib(memory_mib(lab, debug=debug), 1), cores) - 1)


def attackers(lab: Lab, *, debug: bool) -> int:
    """How many guests there are memory and cores for beside the lab's own, at most one a mode."""
    guests = available_mib() // guests_mib(memory_mib(lab, debug=debug), 1)
    return max(0, min(guests - 1, len(os.sched_getaffinity(0)), len(WANTED)))


def available_mib() -> int:
    """Memory that can be had without swapping, by the kernel's own estimate (proc(5), MemAvailable)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0


def machine(
    settings: Settings,
    lab: Lab,
    parts: Parts,
    folder: Path,
    *,
    booted: Path | None = None,
    icount: bool = False,
    network: Network | None = None,
) -> Machine:
    """The lab's machine, not yet started.

    :param booted: start from this checkpoint instead of booting.
    :param network: where its forwards listen; None is where no other user reaches them.
    :param icount: one CPU whose time is its instructions, emulated whatever the host could do.
    """
    assert parts.image, "the lab's machine boots an image"
    return Machine(
        parts.kernel / "bzImage",
        parts.image / "rootfs.img",
        folder,
        hardware=Hardware(
            arch=settings.arch,
            cpus=1 if icount else lab.machine.cpus,
            memory_mib=memory_mib(lab, debug=parts.debug),
            icount=icount,
        ),
        accel=accel.TCG if icount else parts.accel,
        append=(
            *_loader(parts.patchset),
            *(DEBUG_APPEND if parts.debug else ()),
        ),
        patience=DEBUG_PATIENCE if parts.debug else 1.0,
        disks=_disks(lab, settings.store),
        checkpoint=booted,
        network=network,
    )


def _loader(patchset: Mapping[str, str]) -> tuple[str, ...]:
    """The kernel parameter that a patchset's kernels need to call the image's loader.

    :raises UserError: there is none.
    """
    if patchset["loader"] == LOADER:
        return ()
    if not patchset["loader_parameter"]:
        raise UserError(
            f"patchset {patchset['name']} calls {patchset['loader']}, and the images have {LOADER}",
            mend="say in its manifest which loader_parameter names another loader",
        )
    return (f"{patchset['loader_parameter']}={LOADER}",)


def booted(settings: Settings, lab: Lab, parts: Parts) -> Path:
    """The checkpoint of the lab's machine, booted, logged in and settled; made once for the same parts."""

    def prepare(guest: Machine) -> None:
        with progress.step(f"Booting {parts.release} with {parts.accel.name}"):
            guest.boot()
            guest.login()
            wait_settled(guest)

    return checkpoint.ensure(
        lambda folder: machine(settings, lab, parts, folder), prepare, store=settings.store
    )


def tidy(settings: Settings) -> None:
    """Remove the disks and temporary folders of runs that were killed before they could."""
    temporary.sweep()
    sweep(settings.runs)
    sweep(settings.store.root / "work" / checkpoint.KIND)


def wait_settled(guest: Machine) -> None:
    """Wait until systemd has started all it is going to start.

    :raises InfrastructureError: a unit failed; names it.
    """
    guest.console.run("systemctl is-system-running --wait >/dev/null", timeout_s=180)
    failed = guest.console.run("systemctl --failed --plain --no-legend", check=True).output.strip()
    if failed:
        raise InfrastructureError(f"units failed at boot: {failed}", where=guest.watch.where)


def _disks(lab: Lab, store: Store) -> Sequence[Disk]:
    """The backup disk: an empty ext4, the same bytes each time."""
    if not lab.machine.backup_disk_mib:
        return ()
    program = need("mke2fs", "e2fsprogs")
    inputs = {"mib": lab.machine.backup_disk_mib, "uuid": DISK_UUID, "mke2fs": hash_file(Path(program))}

    def make(folder: Path) -> None:
        run(
            [
                program, "-q", "-t", "ext4", "-U", DISK_UUID,
                "-E", f"hash_seed={DISK_UUID},lazy_itable_init=0",
                folder / "disk.img", f"{lab.machine.backup_disk_mib}m",
            ],
            timeout_s=60,
            env={"E2FSPROGS_FAKE_TIME": "1"},
        )  # fmt: skip

    return (Disk(base=store.get("disk", inputs, make) / "disk.img", serial="backup"),)
