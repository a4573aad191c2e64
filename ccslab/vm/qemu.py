# SPDX-License-Identifier: GPL-2.0-only
"""The QEMU process of a guest: its command line from plain data, its disks, and its certain end."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccslab.errors import InfrastructureError, unknown
from ccslab.process import need, run
from ccslab.vm.accel import QEMU_PACKAGE, Accel
from ccslab.vm.door import HOST
from ccslab.vm.network import Network
from ccslab.vm.spawn import spawn

PROGRAMS = {"x86_64": "qemu-system-x86_64", "i386": "qemu-system-i386"}
# QEMU's richest.  That of qemu-system-i386 says it is an Athlon of 1999, of which Linux warns that two are
# not fit to run together; with these numbers it is what qemu-system-x86_64 shows, without long mode.
EMULATED_CPUS = {"x86_64": "max", "i386": "max,family=15,model=107,stepping=1"}
# Emulated timers look unsteady to the watchdog of clocks; without it the TSC stays, and not the HPET, which
# costs a device access for every look at the time.
# On a busy host QEMU's timer ticks too rarely for Linux's test of it, and a kernel that finds no timer that
# works panics: "IO-APIC + timer doesn't work!" ended boots of 6.1 under a load of 13.
# A busy host makes no minute of the guest's time without progress: such a stall is the kernel's own.
# By its time a message of the kernel is told from what programs print on the same line (kernelline.py).
APPEND = (
    "console=ttyS0",
    "printk.time=1",
    "panic=-1",
    "tsc=reliable",
    "no_timer_check",
    "rcupdate.rcu_cpu_stall_timeout=60",
)
# A program that is executed somewhere else QEMU 7.2 translates anew, by what `info jit` counts: requests to
# CGIs took 3.5 times as long (docs/vm.md).
EMULATED_APPEND = ("norandmaps",)
STATE_DISK_BYTES = 1 << 30  # virtual; holds the snapshots of a guest without a disk


@dataclass(frozen=True)
class Disk:
    """A further disk: empty of ``size_bytes``, or a private overlay over the raw image ``base``."""

    size_bytes: int = 0
    base: Path | None = None
    serial: str = ""
    """What /dev/disk/by-id shows of it."""


@dataclass(frozen=True)
class Hardware:
    """What a guest's machine is made of; part of the key of its checkpoints."""

    arch: str = "x86_64"
    cpus: int = 2
    memory_mib: int = 1024
    machine: str = "q35"
    cpu: str = ""
    """QEMU's CPU model; "" is the host's under KVM, QEMU's richest under TCG (see ``model``)."""
    icount: bool = False
    """One virtual nanosecond is one guest instruction (TCG and one CPU only): for measurements."""

    @property
    def program(self) -> str:
        """Name of the QEMU program.

        :raises UserError: unknown architecture.
        """
        if self.arch not in PROGRAMS:
            raise unknown("architecture", self.arch, PROGRAMS)
        return PROGRAMS[self.arch]

    def model(self, accel: Accel) -> str:
        """The CPU model QEMU is given."""
        return self.cpu or ("host" if accel.name == "kvm" else EMULATED_CPUS[self.arch])


@dataclass(frozen=True)
class Boot:
    """What is booted: kernel, optional initramfs, kernel command line."""

    kernel: Path
    initrd: Path | None = None
    append: Sequence[str] = ()
    root: bool = True
    """Whether the first disk is the root filesystem."""

    @property
    def command_line(self) -> str:
        """The kernel command line, console and root included."""
        root = ("root=/dev/vda", "rw") if self.root else ()
        return " ".join([*APPEND, *root, *self.append])


@dataclass(frozen=True)
class Channels:
    """Descriptors the QEMU process inherits: its ends of the QMP and serial socket pairs."""

    qmp: int
    serial: int


@dataclass
class CommandLine:
    """Everything that decides QEMU's arguments; ``argv`` is a pure function of it."""

    hardware: Hardware
    boot: Boot
    accel: Accel
    channels: Channels
    disks: Sequence[tuple[Path, str]] = ()
    """qcow2 files and the serial numbers they show, in the order of /dev/vda, vdb ..."""
    state: Path | None = None
    """A qcow2 file no device shows, for the snapshots of a guest without a disk."""
    forwards: Mapping[str, int] = field(default_factory=dict)
    extra: Sequence[str] = ()

    def argv(self) -> list[str]:
        """QEMU's arguments, the program first."""
        hw = self.hardware
        argv = [hw.program, "-name", "ccs-lab", "-nodefaults", "-no-user-config", "-display", "none"]
        argv += ["-machine", hw.machine, "-accel", self.accel.name, "-cpu", hw.model(self.accel)]
        argv += ["-smp", str(hw.cpus), "-m", f"{hw.memory_mib}M"]
        if hw.icount:
            # The same instructions each time: a clock that begins at a date, and QEMU's randomness seeded.
            argv += ["-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]
        # Started stopped: the harness listens before the first byte.  A panic is told as an event and stops
        # nothing, for the kernel has more to say after it; then it reboots, which ends QEMU.
        argv += ["-S", "-no-reboot", "-action", "panic=none"]
        argv += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
        argv += ["-chardev", f"socket,id=qmp,fd={self.channels.qmp}", "-mon", "chardev=qmp,mode=control"]
        argv += ["-chardev", f"socket,id=serial,fd={self.channels.serial}", "-serial", "chardev:serial"]
        # 5.10 finds pvpanic by ACPI only, later kernels on PCI.
        argv += ["-device", "pvpanic", "-device", "pvpanic-pci"]
        if not hw.icount:  # what it gives is the host's
            argv += ["-device", "virtio-rng-pci"]
        for number, (path, serial) in enumerate(self.disks):
            name = f"disk{number}"
            argv += [
                "-drive",
                f"if=none,id={name},file={_escape(path)},format=qcow2,cache=unsafe,discard=unmap",
            ]
            argv += ["-device", f"virtio-blk-pci,drive={name}" + (f",serial={serial}" if serial else "")]
        if self.state:
            argv += ["-drive", f"if=none,id=state,file={_escape(self.state)},format=qcow2,cache=unsafe"]
        # Host port 0: the host's kernel picks a free one and QEMU tells it, so there is no port to race for.
        forwards = "".join(f",hostfwd=tcp:{HOST}:0-:{port}" for port in self.forwards.values())
        argv += ["-netdev", f"user,id=net0,restrict=on{forwards}"]
        argv += ["-device", "virtio-net-pci,netdev=net0,romfile="]
        words = [self.boot.command_line, *(EMULATED_APPEND if self.accel.name == "tcg" else ())]
        argv += ["-kernel", str(self.boot.kernel), "-append", " ".join(words)]
        if self.boot.initrd:
            argv += ["-initrd", str(self.boot.initrd)]
        return [*argv, *self.extra]


def overlay(path: Path, base: Path | None, size_bytes: int = 0) -> None:
    """Make a qcow2 file: over a raw image that stays untouched, or empty."""
    argv: list[str | Path] = [need("qemu-img", "qemu-utils"), "create", "-q", "-f", "qcow2"]
    if base:
        run([*argv, "-F", "raw", "-b", base.resolve(), path], timeout_s=60)
    else:
        run([*argv, path, str(size_bytes)], timeout_s=60)


def copy_overlay(source: Path, path: Path, base: Path | None) -> None:
    """A private copy of an overlay with its snapshots, over ``base`` wherever that is now."""
    run(["cp", "--reflink=auto", "--sparse=always", source, path], timeout_s=300)
    path.chmod(0o600)
    if base:
        argv: list[str | Path] = [need("qemu-img", "qemu-utils"), "rebase", "-q", "-u", "-f", "qcow2"]
        run([*argv, "-F", "raw", "-b", base.resolve(), path], timeout_s=60)


def ports(usernet: str, forwards: Mapping[str, int]) -> dict[str, int]:
    """Host port of each forward, from what the monitor's ``info usernet`` prints.

    :raises InfrastructureError: a forward is missing there.
    """
    lines = re.findall(r"TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)", usernet)
    host_ports = {int(guest): int(host) for host, guest in lines}
    missing = [name for name, port in forwards.items() if port not in host_ports]
    if missing:
        raise InfrastructureError(f"QEMU forwards no port for {', '.join(missing)}", where="info usernet")
    return {name: host_ports[port] for name, port in forwards.items()}


class Process:
    """A running QEMU with the harness's ends of its two channels; dies with the harness, even a killed one.

    :param network: where its forwards listen.
    :param log: what QEMU itself prints.
    :param on_exit: called from a thread of its own with the exit status, once QEMU has ended.
    """

    def __init__(
        self,
        make: Callable[[Channels], CommandLine],
        network: Network,
        *,
        log: Path,
        on_exit: Callable[[int], None],
    ) -> None:
        self.log = log
        self._log_begin = log.stat().st_size if log.exists() else 0
        self.qmp, qmp_there = socket.socketpair()
        self.serial, serial_there = socket.socketpair()
        with contextlib.ExitStack() as stack:
            stack.callback(qmp_there.close)
            stack.callback(serial_there.close)
            self.argv = make(Channels(qmp_there.fileno(), serial_there.fileno())).argv()
            self.argv[0] = need(self.argv[0], QEMU_PACKAGE)
            with log.open("ab") as sink:
                self._child = spawn(
                    self.argv,
                    enter=network.enter,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    pass_fds=(qmp_there.fileno(), serial_there.fileno()),
                )
        self._waiter = threading.Thread(target=self._wait, args=(on_exit,), name="qemu-exit", daemon=True)
        self._waiter.start()

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether QEMU runs."""
        return self._child.poll() is None

    def said(self) -> str:
        """The first line QEMU itself printed, which names the trouble; "" if none."""
        lines = self.log.read_bytes()[self._log_begin :].decode(errors="replace").splitlines()
        return lines[0] if lines else ""

    def wait(self, timeout_s: float) -> int | None:
        """QEMU's exit status once it has ended and ``on_exit`` was called, None if it still runs."""
        self._waiter.join(timeout_s)
        return None if self._waiter.is_alive() else self._child.returncode

    def kill(self) -> None:
        """End QEMU now and collect it."""
        self._child.kill()
        self._waiter.join()

    def _wait(self, on_exit: Callable[[int], None]) -> None:
        on_exit(self._child.wait())


def _escape(path: Path) -> str:
    """A file name inside one of QEMU's option lists, where a comma would end it."""
    return str(path).replace(",", ",,")
