# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's control channel: commands from any thread, and every event kept in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qemu.qmp import ExecuteError, QMPClient, QMPError

from ccslab.errors import InfrastructureError

COMMAND_TIMEOUT_S = 30.0
CLEANUP_S = 5.0
# What it would log as an error is raised as an exception here, or is a guest's wanted end.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Event:
    """One QMP event; ``time_s`` is seconds since the epoch by QEMU's clock."""

    name: str
    data: Mapping[str, Any]
    time_s: float


class EventLog:
    """Every event in the order it came, in memory and as JSON lines in a file; waits wake on each.

    :param on_event: called with each event, from QMP's thread.
    """

    def __init__(self, path: Path, on_event: Callable[[Event], None] | None = None) -> None:
        self._stream = path.open("a", encoding="utf-8")
        self._on_event = on_event
        self._events: list[Event] = []
        self._changed = threading.Condition()

    def add(self, message: Mapping[str, Any]) -> None:
        """Keep one event as QEMU sent it, and tell whoever waits."""
        stamp = message.get("timestamp", {})
        when = float(stamp.get("seconds", 0)) + float(stamp.get("microseconds", 0)) / 1e6
        event = Event(str(message["event"]), dict(message.get("data", {})), when)
        with self._changed:
            if not self._stream.closed:
                self._stream.write(json.dumps(dict(message)) + "\n")
                self._stream.flush()
            self._events.append(event)
            self._changed.notify_all()
        if self._on_event:
            self._on_event(event)

    def all(self) -> list[Event]:
        """The events so far."""
        with self._changed:
            return list(self._events)

    def wait(self, *names: str, timeout_s: float, since: int = 0) -> Event:
        """The first event of these names at or after index ``since``, now or when it comes.

        :raises InfrastructureError: none came in time; says which others did.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for event in self._events[since:]:
                    if event.name in names:
                        return event
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = ", ".join(event.name for event in self._events[since:]) or "none"
                    raise InfrastructureError(
                        f"no event {' or '.join(names)} within {timeout_s:.0f} s",
                        where="QEMU",
                        mend=f"came: {seen}",
                    )
                self._changed.wait(left)

    def close(self) -> None:
        """Close the file; what comes later is kept in memory only."""
        with self._changed:
            self._stream.close()


class Qmp:
    """A QMP session over a connected socket, its asyncio loop in a thread of its own.

    :param log: gets its events; of whoever made it, for several sessions one after the other.
    """

    def __init__(self, channel: socket.socket, log: EventLog) -> None:
        self.events = log
        self._client = QMPClient("ccs-lab")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qmp", daemon=True)
        self._thread.start()
        self._pump: asyncio.Task[None] | None = None
        try:
            self._call(self._connect(channel), COMMAND_TIMEOUT_S, "greet")
        except BaseException:
            self.close()
            raise

    def execute(
        self,
        command: str,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> Any:
        """Run one QMP command; returns what QEMU returned.

        :raises InfrastructureError: QEMU refused it, is gone, or did not answer in time.
        """
        return self._call(self._client.execute(command, dict(arguments or {})), timeout_s, command)

    def monitor(self, line: str, *, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run one line of the human monitor (savevm, info ...); returns what it printed."""
        said = self.execute("human-monitor-command", {"command-line": line}, timeout_s=timeout_s)
        return str(said).replace("\r", "")

    def close(self) -> None:
        """End the session; events that had arrived are still logged."""
        if self._thread.is_alive():
            with contextlib.suppress(InfrastructureError):
                self._call(self._disconnect(), 5.0, "disconnect")
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5.0)
        if not self._thread.is_alive() and not self._loop.is_closed():
            self._loop.close()

    async def _connect(self, channel: socket.socket) -> None:
        self._pump = asyncio.create_task(self._pump_events())
        await self._client.connect(channel)

    async def _pump_events(self) -> None:
        async for message in self._client.events:
            self.events.add(message)

    async def _disconnect(self) -> None:
        # The client's own checks fail, too, where the other side never spoke its protocol.
        with contextlib.suppress(QMPError, EOFError, OSError, AssertionError):
            await self._client.disconnect()
        if self._pump:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        for message in self._client.events.clear():
            self.events.add(message)

    def _call(self, work: Coroutine[Any, Any, Any], timeout_s: float, what: str) -> Any:
        # The deadline is the loop's: what is given up there is ended before anything else begins.
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout_s), self._loop)
        try:
            return future.result(timeout_s + CLEANUP_S)
        except TimeoutError as error:
            future.cancel()
            raise InfrastructureError(
                f"no answer to {what} within {timeout_s:.0f} s", where="QEMU"
            ) from error
        except ExecuteError as error:
            raise InfrastructureError(f"{what} was refused: {error}", where="QEMU") from error
        except (QMPError, OSError, EOFError, asyncio.CancelledError) as error:
            raise InfrastructureError(f"{what} failed, QEMU is gone: {error}", where="QEMU") from error
