# SPDX-License-Identifier: GPL-2.0-only
"""What ``vm.boot`` and ``vm.ssh`` do: a lab's machine for a person."""

from __future__ import annotations

from pathlib import Path

from ccslab.errors import UserError
from ccslab.labs import setup
from ccslab.labs.definition import find, require
from ccslab.progress import console
from ccslab.settings import Settings
from ccslab.store import remove
from ccslab.vm import checkpoint, person
from ccslab.vm.network import Open


def boot(settings: Settings, name: str, *, cold: bool = False, kept: Path | None = None) -> None:
    """Give a person the console of the lab's machine; Ctrl-] leaves and ends it.

    :param cold: boot from the first line on instead of from the checkpoint of a booted guest.
    :param kept: enter this checkpoint of a run instead; it stays as it is.
    :raises UserError: the checkpoint is of another kernel, image or QEMU.
    """
    if kept and not kept.is_dir():
        raise UserError("the run kept no guest", where=kept.parent, mend="./inv lab.scenario NAME --keep")
    lab = find(name, settings.root)
    require(lab, "vm.boot", "a server")
    parts = setup.build(settings, lab)
    folder = settings.store.work("vm", lab.name)
    if kept:
        checkpoint.examine(setup.machine(settings, lab, parts, folder), kept)
    booted = None if cold else kept or setup.booted(settings, lab, parts)
    with settings.store.lock(f"vm-{lab.name}"):
        remove(folder / "console.cast")
        with setup.machine(settings, lab, parts, folder, booted=booted, network=Open()) as machine:
            if booted is None:
                person.boot(machine)
                return
            machine.boot()
            console.print(
                f"web server: http://127.0.0.1:{machine.port('http')}/, for every user of this machine\n"
                f"root login: ./inv vm.ssh --lab {lab.name}\n"
                "Ctrl-] leaves and ends the guest; press Enter for the prompt"
            )
            person.attach(machine)


def ssh(settings: Settings, name: str, command: str) -> int:
    """Log in as root to the machine ``vm.boot`` runs, or run a command there; returns ssh's status."""
    lab = find(name, settings.root)
    return person.ssh(settings.store.work("vm", lab.name), *([command] if command else []))
