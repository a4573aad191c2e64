# SPDX-License-Identifier: GPL-2.0-only
"""Child processes of the harness, side by side: each with its own log and deadline, none outliving us."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from ccslab import process
from ccslab.errors import EXIT_INFRASTRUCTURE
from ccslab.evidence.text import disk_errors, one_line

TAIL_LINES = 60
GRACE_S = 60.0  # a run that is told to end ends its guests and writes down what it found, beside others
CHUNK = 65536  # what a pipe holds (pipe(7))


@dataclass(frozen=True)
class Ending:
    """How a child ended."""

    code: int
    """Its exit code; 3 for one that was killed or did not end in time: that is no verdict."""
    why: str
    """Why, in one line: its error, or the last it said; "" if its code is 0."""
    seconds: float


@dataclass
class Child:
    """One running child."""

    name: str
    log: Path
    timeout_s: float
    on_line: Callable[[str], None]
    popen: subprocess.Popen[bytes]
    stack: contextlib.ExitStack
    started: float = field(default_factory=time.monotonic)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    rest: bytes = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    @property
    def left_s(self) -> float:
        """Seconds until its deadline."""
        return self.started + self.timeout_s - time.monotonic()


class Children:
    """The children that run; a context, whose end ends them all.

    One thread follows them all: the parent-death signal comes when the thread that started a child ends.
    """

    def __init__(self) -> None:
        self.running: list[Child] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # All are told at once; each has its grace beside the others'.
        for child in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        with contextlib.ExitStack() as stack:
            for child in self.running:
                stack.enter_context(child.stack)
        self.running.clear()
        self._selector.close()

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Child:
        """Start one.

        :param log: file that gets all it says, appended.
        :param timeout_s: seconds until it is ended, with all it started.
        :param on_line: called with each line it says.
        :raises InfrastructureError: it cannot be started, or the log cannot be written.
        """
        with contextlib.ExitStack() as stack:
            with disk_errors(log), log.open("ab"):
                pass  # said now, not when the child says its first word
            popen = stack.enter_context(process.started(argv, env=env, grace_s=GRACE_S))
            assert popen.stdout is not None
            child = Child(name, log, timeout_s, on_line, popen, contextlib.ExitStack())
            end = os.pidfd_open(popen.pid)
            stack.callback(os.close, end)
            for source in (popen.stdout, end):
                self._selector.register(source, selectors.EVENT_READ, child)
                stack.callback(self._forget, source)
            child.stack = stack.pop_all()
        self.running.append(child)
        return child

    def wait(self, timeout_s: float) -> list[tuple[Child, Ending]]:
        """Wait until a child says something or ends, or the time is over; returns those that have ended."""
        left = min([timeout_s, *(child.left_s for child in self.running)])
        ended: list[tuple[Child, Ending]] = []
        ready = self._selector.select(max(0.0, left)) if self.running else []
        for key, _ in ready:
            child = key.data
            if key.fileobj is child.popen.stdout:
                self._hear(child)
        for key, _ in ready:
            # After the output: the last it said is in the pipe by now.
            if key.fileobj is not key.data.popen.stdout:
                ended.append((key.data, self._end(key.data)))
        late = [child for child in self.running if child.left_s <= 0]
        return [*ended, *((child, self._end(child)) for child in late)]

    def _hear(self, child: Child) -> None:
        """Take what is in the pipe."""
        assert child.popen.stdout is not None
        chunk = os.read(child.popen.stdout.fileno(), CHUNK)
        if not chunk:  # it closed its output: nothing more will come, but it may still run
            self._forget(child.popen.stdout)
            return
        with disk_errors(child.log), child.log.open("ab") as sink:
            sink.write(chunk)
        *lines, child.rest = (child.rest + chunk).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            child.tail.append(text)
            child.on_line(text)

    def _end(self, child: Child) -> Ending:
        """Collect a child, ended or late, and what its process group still runs."""
        late = child.popen.poll() is None
        self._drain(child)
        self.running.remove(child)
        child.stack.close()
        seconds = time.monotonic() - child.started
        status = child.popen.returncode
        if late:
            return Ending(EXIT_INFRASTRUCTURE, f"did not end within {child.timeout_s:g} s", seconds)
        if status < 0:
            return Ending(EXIT_INFRASTRUCTURE, f"was killed by {signal.strsignal(-status)}", seconds)
        if status == 0:
            return Ending(0, "", seconds)
        said = [one_line(line) for line in child.tail if line.strip()]
        told = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
        why = (told or said or [f"ended with status {status}"])[-1]
        return Ending(status if status in (1, 2) else EXIT_INFRASTRUCTURE, why, seconds)

    def _drain(self, child: Child) -> None:
        """The last it said, and no more: what it left running may write for ever."""
        assert child.popen.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(child.popen.stdout, selectors.EVENT_READ)
            if selector.select(0):
                self._hear(child)
        if child.rest:
            child.tail.append(child.rest.decode(errors="replace"))

    def _forget(self, source: object) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(source)  # type: ignore[arg-type]
