# SPDX-License-Identifier: GPL-2.0-only
"""A guest: QEMU, its console, its control channel and its SSH, from boot to a certain end."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ccslab.errors import InfrastructureError, UserError
from ccslab.store import disk_errors, full
from ccslab.vm.accel import TCG, Accel
from ccslab.vm.cast import unused
from ccslab.vm.checkpoint import Checkpoint
from ccslab.vm.console import LOGIN, Console
from ccslab.vm.death import Watch
from ccslab.vm.disks import Disks
from ccslab.vm.emulator import Emulator
from ccslab.vm.network import Network, private
from ccslab.vm.qemu import Boot, Channels, CommandLine, Disk, Hardware
from ccslab.vm.qmp import Event
from ccslab.vm.ssh import CONNECT_TIMEOUT_S as SSH_TIMEOUT_S
from ccslab.vm.ssh import Keys, Ssh

BOOT_TIMEOUT_S = 600.0
BOOT_SILENCE_S = 180.0  # systemd is silent for half a minute under TCG; a busy host makes that minutes
SHUTDOWN_TIMEOUT_S = 90.0


class Machine:
    """One guest and all that the run keeps of it, below ``folder``; ends with its ``with`` block.

    :param kernel: bzImage.
    :param image: raw root filesystem, never written to; None boots the initramfs alone.
    :param folder: gets console.log, console.cast, qmp.jsonl, qemu.log, machine.json and ssh/.
    :param append: further words of the kernel command line.
    :param forwards: name -> guest port; each gets a free port of the network's loopback address.
    :param disks: further disks, from /dev/vdb on.
    :param checkpoint: start from this saved running guest instead of booting.
    :param hardware: overrides arch, cpus and memory_mib.
    :param network: where the forwards listen; None is where no other user reaches them.
    :param patience: how many times longer than usual this guest may take (a debug kernel's does); all
        deadlines of its console, its SSH and its life are stretched by it.
    """

    def __init__(
        self,
        kernel: Path,
        image: Path | None,
        folder: Path,
        *,
        arch: str = "x86_64",
        cpus: int = 2,
        memory_mib: int = 1024,
        append: Sequence[str] = (),
        accel: Accel = TCG,
        forwards: Mapping[str, int] | None = None,
        initrd: Path | None = None,
        disks: Sequence[Disk] = (),
        checkpoint: Path | None = None,
        hardware: Hardware | None = None,
        network: Network | None = None,
        patience: float = 1.0,
    ) -> None:
        for path in (kernel, image, initrd):
            if path is not None and not path.is_file():
                raise UserError("there is no such file", where=path)
        self.image = image
        self.folder = folder
        self.hardware = hardware or Hardware(arch=arch, cpus=cpus, memory_mib=memory_mib)
        self.what = Boot(kernel, initrd, tuple(append), root=image is not None)
        self.accel = accel
        self.forwards = dict({"ssh": 22, "http": 80} if forwards is None else forwards)
        self.network = network
        self.disks = tuple(disks)
        self.files = Disks(folder, image, disks)
        self.checkpoint = Checkpoint.read(checkpoint) if checkpoint else None
        self.watch = Watch(folder / "console.log", patience=patience)
        self.keys = Keys(folder / "ssh")
        self._cleanup = contextlib.ExitStack()
        self._emulator: Emulator | None = None
        self._ssh: Ssh | None = None
        self._begun = 0.0
        self._held = False
        self._nonce = ""

    # -- life ----------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Make the disks and start QEMU, stopped before its first instruction."""
        try:
            with disk_errors(self.folder):
                self._open()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Let the guest run, from its first instruction or from its checkpoint."""
        self._begun = time.monotonic()
        if self.checkpoint:
            self.emulator.command(f"loadvm {self.checkpoint.name}")
        self.qmp.execute("cont")

    def boot(self, timeout_s: float = BOOT_TIMEOUT_S, *, until: str = LOGIN) -> float:
        """Start the guest and wait for its login prompt (or ``until``); returns the seconds it took.

        A guest that starts from a checkpoint comes back to the root shell it was saved at.

        :raises GuestDied: panic, oops, early exit, or a console silent for three minutes.
        """
        if not self._begun:
            self.start()
        if self.checkpoint:
            self.console.resume(timeout_s=timeout_s)
            seconds = time.monotonic() - self._begun
            self.set_clock()
            self.install_key()
            return seconds
        self.console.expect(until, timeout_s, silence_s=BOOT_SILENCE_S)
        return time.monotonic() - self._begun

    def login(self, *, timeout_s: float = 120.0) -> None:
        """Log in as root on the console, and let the run's SSH key in."""
        if self.checkpoint:
            return
        self.console.login(timeout_s=timeout_s)
        self.install_key()

    @property
    def patience(self) -> float:
        """How many times longer than usual the guest may take, for deadlines that are set inside of it."""
        return self.watch.patience

    def alive(self) -> bool:
        """Whether QEMU runs and nothing has declared the guest dead."""
        return self.process.alive and not self.watch.reason

    def shutdown(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> None:
        """Shut the guest down in order, as root at its prompt or by its power button; waits for QEMU's end.

        :raises InfrastructureError: it did not within the time; it is killed then.
        """
        self.watch.expected = True
        if self._ssh:
            self._ssh.drop()
        if self.process.alive and self.console.at_prompt:
            self.console.type("poweroff")
        elif self.process.alive:
            self.qmp.execute("system_powerdown")
        self.wait_exit(timeout_s)

    def wait_exit(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> str:
        """Wait until the guest ends QEMU by itself; returns why (``guest-shutdown``, ``guest-reset`` ...).

        :raises InfrastructureError: it did not within the time; it is killed then.
        """
        self.watch.expected = True
        timeout_s *= self.watch.patience
        if self.process.wait(timeout_s) is None:
            self.stop()
            raise InfrastructureError(
                f"the guest did not shut down within {timeout_s:.0f} s", where=self.watch.where
            )
        self.qmp.close()
        ends = [event for event in self.qmp.events.all() if event.name == "SHUTDOWN"]
        return str(ends[-1].data.get("reason", "")) if ends else ""

    def stop(self) -> None:
        """End QEMU now, if it runs, and remove its disks; safe to call again."""
        self.watch.expected = True
        if self._ssh:
            self._ssh.drop()
        self._cleanup.close()
        self.keys.close()

    def kill(self) -> None:
        """End QEMU now, for another thread than the machine's: whatever that waits for fails at once."""
        if self._emulator:
            self._emulator.kill()

    # -- channels ------------------------------------------------------------------------------------

    @property
    def ssh(self) -> Ssh:
        """SSH as root with the run's key."""
        if self._ssh is None:
            raise UserError("ssh is used before the run's key is in the guest", mend="call login() first")
        return self._ssh

    def port(self, name: str) -> int:
        """The port of the network's loopback address that reaches the guest's port of this name (``http``).

        It is another one after ``load``.
        """
        return self.emulator.port(name)

    def connect(self, name: str, timeout_s: float) -> socket.socket:
        """A connection to the guest's port of this name.

        :raises OSError: QEMU does not take it.
        """
        return self.emulator.connect(name, timeout_s)

    @property
    def emulator(self) -> Emulator:
        """Its QEMU, once it is entered."""
        assert self._emulator, "the machine is not entered"
        return self._emulator

    @property
    def events(self) -> list[Event]:
        """Every QMP event so far, in order."""
        return self.emulator.events.all()

    def install_key(self) -> None:
        """Let the run's key in by the console (unrecorded), and pin the host keys the console shows.

        A guest without sshd is left alone.
        """
        if "ssh" not in self.forwards:
            return
        self.keys.make()
        with self.console.unrecorded():
            line = self.keys.public
            shown = self.console.run(
                "test -x /usr/sbin/sshd && { mkdir -p -m 700 /root/.ssh; "
                f"echo '{line}' >> /root/.ssh/authorized_keys; "
                "ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1 || ssh-keygen -A; "
                "cat /etc/ssh/ssh_host_*_key.pub; }"
            )
        if shown.status:
            return
        self.keys.write(self.emulator.ssh_options(), shown.output)
        if self._ssh is None:
            self._ssh = Ssh(self.keys, lambda: self.connect("ssh", SSH_TIMEOUT_S), self.watch)
            self.watch.on_death.append(self._ssh.drop)

    def set_clock(self) -> None:
        """Set the guest's clock to the host's: a loaded guest lives in the time it was saved in."""
        with self.console.unrecorded():
            self.console.run(f"date -u -s @{time.time():.2f} >/dev/null")

    # -- checkpoints ---------------------------------------------------------------------------------

    def save(self, name: str) -> float:
        """Save the running guest, memory and disks, under a name; returns the seconds it took."""
        begun = time.monotonic()
        try:
            self.emulator.command(f"savevm {_tag(name)}")
        except InfrastructureError as error:
            if said := full(self.folder):  # of which QEMU says "Input/output error"
                raise InfrastructureError(
                    f"{said}: {error.what}", where=error.where, mend="free some space"
                ) from error
            raise
        return time.monotonic() - begun

    def load(self, name: str, *, clock: bool = False) -> float:
        """Bring the guest back to what ``save`` saved, by a QEMU of its own; returns the seconds it took.

        QEMU's time-stamp counter never goes back within one process, also not when a snapshot is loaded
        (``cpu_ticks_prev`` in its cpu-timers.c): the guest's time would leap by all that passed since it was
        saved, and watchdogs in it would end its services.  In a new process it goes on where it was.

        What the console said meanwhile is dropped from its buffer (not from its log), SSH connects anew.

        :param clock: set the guest's clock right by a command on its console.
        :raises InfrastructureError: nothing was saved under the name, or QEMU fails.
        """
        begun = time.monotonic()
        if self._ssh:
            self._ssh.drop()
        if not self.emulator.saved(_tag(name)):
            raise InfrastructureError(f"no checkpoint {name!r} was saved", where=self.folder)
        self.emulator.quit()
        self._launch()
        self.console.reconnect(self.process.serial.detach())
        self.emulator.command(f"loadvm {name}")
        self.qmp.execute("cont")
        seconds = time.monotonic() - begun
        if self._ssh:
            self.keys.point(self.emulator.ssh_options())
        if clock:
            self.set_clock()
        return seconds

    def clone(self, name: str, folder: Path) -> Machine:
        """Save the running guest under a name; a second machine, not yet started, that begins from there.

        Whoever gets the clone enters or stops it: its folder is held, and its disks are there, from now on.
        """
        twin = Machine(
            self.what.kernel,
            self.image,
            folder,
            append=self.what.append,
            accel=self.accel,
            forwards=self.forwards,
            initrd=self.what.initrd,
            disks=self.disks,
            hardware=self.hardware,
            network=self.network,
            patience=self.patience,
        )
        twin.checkpoint = Checkpoint(folder, name)
        twin._nonce = self.console.nonce  # the prompt in whatever was saved until now
        try:
            with disk_errors(folder):
                twin._hold()
                self.copy(name, folder)
        except BaseException:
            twin.stop()
            raise
        return twin

    def copy(self, name: str, folder: Path) -> None:
        """Save the running guest under a name, and copy its disks, with all that was saved, into a folder.

        It stands still meanwhile.
        """
        self.qmp.execute("stop")  # which also writes what QEMU has not yet written
        try:
            self.save(name)
            self.files.copy(folder)
        except BaseException:
            with contextlib.suppress(InfrastructureError):  # what failed first is the news
                self.qmp.execute("cont")
            raise
        self.qmp.execute("cont")

    # -- making --------------------------------------------------------------------------------------

    def _hold(self) -> None:
        self.files.hold()
        self._cleanup.callback(self.files.release)
        self._held = True

    def _open(self) -> None:
        if not self._held:
            self._hold()
        self.files.make(self.checkpoint)
        network = self.network or private()
        self._emulator = Emulator(self.folder, self._command_line, network, self.forwards, self.watch)
        self._cleanup.callback(self._emulator.events.close)
        self._cleanup.callback(self._emulator.end)
        self._launch()
        self.console = Console(
            self.process.serial.detach(),
            log=self.folder / "console.log",
            cast=unused(self.folder / "console.cast"),
            watch=self.watch,
            title=f"ccs-lab: {self.folder.name}",
            nonce=self._nonce,
        )
        self._cleanup.callback(self._close_console)

    def _close_console(self) -> None:
        self.emulator.end()  # first: what is said then is still to be logged
        self.console.close()

    def _launch(self) -> None:
        self.process, self.qmp = self.emulator.start()
        about = {
            "pid": self.process.pid,
            "harness": os.getpid(),
            "accel": self.accel.name,
            "why": self.accel.why,
            "ports": self.emulator.ports,
            "argv": self.process.argv,
        }
        (self.folder / "machine.json").write_text(json.dumps(about, indent=1) + "\n")

    def _command_line(self, channels: Channels) -> CommandLine:
        return CommandLine(
            self.hardware, self.what, self.accel, channels, self.files.files, self.files.state, self.forwards
        )


def _tag(name: str) -> str:
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UserError("a checkpoint's name has letters, digits, - and _ only", where=repr(name))
    return name
