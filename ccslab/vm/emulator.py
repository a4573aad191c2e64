# SPDX-License-Identifier: GPL-2.0-only
"""The QEMU of a guest with its control channel: started, asked, ended; one after the other for loads."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from ccslab.errors import InfrastructureError, UserError
from ccslab.vm.death import Watch
from ccslab.vm.network import Network
from ccslab.vm.qemu import Channels, CommandLine, Process, ports
from ccslab.vm.qmp import Event, EventLog, Qmp

LAST_EVENT_S = 5.0
LAST_WORDS_S = 2.0  # between QEMU's word of a panic and the console's, which come by two ways
QUIT_TIMEOUT_S = 10.0
PULSE_TIMEOUT_S = 15.0
MONITOR_TIMEOUT_S = 120.0  # to write a guest's memory, or to read it


class Emulator:
    """One guest's QEMU; its news go to the guest's watch.

    :param folder: gets qmp.jsonl and qemu.log.
    :param make: the command line, from the descriptors of its channels.
    :param network: where its forwards listen.
    :param forwards: name -> guest port.
    """

    def __init__(
        self,
        folder: Path,
        make: Callable[[Channels], CommandLine],
        network: Network,
        forwards: Mapping[str, int],
        watch: Watch,
    ) -> None:
        self.folder = folder
        self.events = EventLog(folder / "qmp.jsonl", self._event)
        self.ports: dict[str, int] = {}
        """Name of a forward -> its port on the network's loopback address; another after each start."""
        self.process: Process | None = None
        self.qmp: Qmp | None = None
        self._make = make
        self._network = network
        self._forwards = forwards
        self._watch = watch
        self._begin = 0
        self._killed = False
        self._lock = threading.Lock()
        watch.pulse = self._pulse

    def start(self) -> tuple[Process, Qmp]:
        """Start QEMU, stopped before its guest's first instruction.

        :raises InfrastructureError: it does not start (says its own words), or was killed before.
        """
        with self._lock:
            if self._killed:
                raise InfrastructureError("the guest was ended", where=self.folder)
            self._begin = len(self.events.all())
            self.process = Process(
                self._make, self._network, log=self.folder / "qemu.log", on_exit=self._exited
            )
        try:
            self.qmp = Qmp(self.process.qmp, self.events)
            self.ports = ports(self.qmp.monitor("info usernet"), self._forwards)
        except BaseException as error:
            self.process.wait(LAST_WORDS_S)
            self.process.kill()
            if not isinstance(error, InfrastructureError):
                raise
            raise InfrastructureError(f"QEMU did not start: {self.process.said() or error}") from error
        return self.process, self.qmp

    def port(self, name: str) -> int:
        """The port of a forward.

        :raises UserError: there is none of that name.
        """
        if name not in self.ports:
            raise UserError(f"no port is forwarded as {name!r}", mend=f"there are: {', '.join(self.ports)}")
        return self.ports[name]

    def connect(self, name: str, timeout_s: float) -> socket.socket:
        """A connection by a forward.

        :raises OSError: QEMU does not take it.
        """
        return self._network.connect(self.port(name), timeout_s)

    def ssh_options(self) -> Mapping[str, object]:
        """What ssh_config(5) needs to reach the guest's sshd."""
        return self._network.ssh_options(self.port("ssh"))

    def saved(self, name: str) -> bool:
        """Whether the guest was saved under a name."""
        return bool(re.search(rf"^\S+\s+{re.escape(name)}\s", self.ask("info snapshots"), re.MULTILINE))

    def command(self, line: str) -> None:
        """Have the monitor do a line that prints what went wrong and nothing else.

        :raises InfrastructureError: something did.
        """
        if said := self.ask(line).strip():
            raise InfrastructureError(f"{line}: {said}", where="QEMU")

    def ask(self, line: str) -> str:
        """What the monitor prints to a line.

        :raises InfrastructureError: no answer; GuestDied, if QEMU is lost.
        """
        assert self.qmp
        try:
            return self.qmp.monitor(line, timeout_s=MONITOR_TIMEOUT_S)
        except InfrastructureError:
            self._watch.blame()
            raise

    def quit(self) -> None:
        """End QEMU in order, so that its disk files are whole, without that being news."""
        assert self.qmp
        assert self.process
        before, self._watch.expected = self._watch.expected, True
        with contextlib.suppress(InfrastructureError):
            self.qmp.execute("quit", timeout_s=QUIT_TIMEOUT_S)
        if self.process.wait(QUIT_TIMEOUT_S) is None:
            self.process.kill()
        self.qmp.close()
        self._watch.expected = before

    def kill(self) -> None:
        """End QEMU now and for good; from any thread."""
        with self._lock:
            self._killed = True
        if self.process:
            self.process.kill()

    def end(self) -> None:
        """End QEMU now, with its control channel; safe to call again."""
        if self.qmp:
            self.qmp.close()
        self.kill()

    # News

    def _exited(self, status: int) -> None:
        if status == 0:
            # QEMU says why it ends before it does; whoever is told of the end is to find the reason there.
            with contextlib.suppress(InfrastructureError):
                self.events.wait("SHUTDOWN", timeout_s=LAST_EVENT_S, since=self._begin)
        said = self.process.said() if self.process else ""
        detail = f": {said}" if status and said else ""
        self._watch.declare(f"QEMU ended early with status {status}{detail}")

    def _pulse(self) -> str:
        """What is wrong with QEMU, "" if it answers."""
        if not self.qmp:
            return ""
        try:
            self.qmp.execute("query-status", timeout_s=PULSE_TIMEOUT_S)
        except InfrastructureError as error:
            return f"QEMU gives no sign of life: {error.what}"
        return ""

    def _event(self, event: Event) -> None:
        if event.name == "GUEST_PANICKED":
            # Of what, the console says, if it says anything.
            self._watch.declare("the guest panicked", grace_s=LAST_WORDS_S, kernel=True)
        elif event.name == "BLOCK_IO_ERROR":
            self._watch.declare(f"a disk of the guest failed: {event.data.get('reason', '')}")
        elif event.name == "SHUTDOWN" and event.data.get("guest"):
            self._watch.declare(f"the guest ended by itself ({event.data.get('reason', '')})")
