# SPDX-License-Identifier: GPL-2.0-only
"""A guest for a person: the terminal on its console, and a login by SSH from another terminal."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from ccslab.errors import UserError
from ccslab.process import need
from ccslab.vm.machine import Machine
from ccslab.vm.ssh import ALIAS

LEAVE = b"\x1d"  # Ctrl-]


def attach(machine: Machine, *, stdin: int = 0, stdout: int = 1) -> None:
    """Give the terminal to the guest's console until Ctrl-] is pressed or the guest ends.

    :raises UserError: standard input is no terminal.
    """
    if not os.isatty(stdin):
        raise UserError("the console wants a terminal", where="vm.boot", mend="run it from a terminal")
    feed = machine.console.feed
    with _raw(stdin), feed.tapped(lambda data: _write(stdout, data)):
        while machine.process.alive and not feed.ended:
            if not select.select([stdin], [], [], 0.2)[0]:
                continue
            typed = os.read(stdin, 4096)
            before, leave, _ = typed.partition(LEAVE)
            if before:
                feed.send(before)
            if leave or not typed:
                return


def boot(machine: Machine) -> None:
    """Boot a guest with the person's terminal on its console from the first line on."""
    sys.stdout.write("The guest's console. Ctrl-] leaves and ends the guest.\r\n")
    sys.stdout.flush()
    machine.start()
    attach(machine)


def ssh(folder: Path, *command: str) -> int:
    """Log in to the guest that runs in ``folder`` (or run a command there); returns ssh's exit status.

    :raises UserError: no guest runs there, or its key is not installed.
    """
    about = folder / "machine.json"
    config = folder / "ssh" / "config"
    if not about.is_file() or not config.is_file():
        raise UserError("no guest with ssh was started there", where=folder, mend="start one with vm.boot")
    pid = int(json.loads(about.read_text())["pid"])
    if not Path(f"/proc/{pid}").exists():
        raise UserError("the guest has ended", where=folder, mend="start one with vm.boot")
    argv = [need("ssh", "openssh-client"), "-F", str(config), ALIAS, *command]
    return subprocess.call(argv)


@contextlib.contextmanager
def _raw(handle: int) -> Iterator[None]:
    before = termios.tcgetattr(handle)
    try:
        tty.setraw(handle)
        yield
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _write(handle: int, data: bytes) -> None:
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(handle, data) :]
