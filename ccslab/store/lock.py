# SPDX-License-Identifier: GPL-2.0-only
"""Locks by name, freed by the kernel with their process: who builds what (one at a time), who uses what."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ccslab import progress
from ccslab.errors import InfrastructureError
from ccslab.store.disk import disk_errors

LOCK_TIMEOUT_S = 2 * 3600.0  # longer than any build may take
LOCK_POLL_S = 0.1
HOLD_TIMEOUT_S = 60.0  # a removal holds a lock of use for the moment of a rename

_held: dict[Path, int] = {}
_guard = threading.Lock()


class Locks:
    """The locks of one cache.

    :param folder: where their files are; they are never removed, for somebody may be waiting at one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Hold the lock of this name; waits for another holder, who loses it when it dies.

        :raises InfrastructureError: the other holder did not end.
        """
        handle = self._open(name)
        try:
            if not _try_lock(handle):
                said = os.pread(handle, 32, 0).decode(errors="replace").strip()
                holder = f"another run (process {said or 'unknown'})"
                progress.console.print(f"  waiting for {holder}, which works on {name}")
                if not _wait(handle, fcntl.LOCK_EX, LOCK_TIMEOUT_S):
                    raise InfrastructureError(f"{holder} does not end", where=name, mend="end that run")
            os.ftruncate(handle, 0)
            with contextlib.suppress(OSError):  # for the message above only; the disk may be full
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[bool]:
        """Hold the lock of this name if nobody else does; whether it is held."""
        handle = self._open(name)
        try:
            yield _try_lock(handle)
        finally:
            os.close(handle)

    def hold(self, name: str) -> None:
        """Share the lock of this name until this process ends, or ``release``.

        :raises InfrastructureError: somebody else has it for himself and does not let go.
        """
        with _guard:
            if self.folder / name in _held:
                return
            handle = self._open(name)
            if not _wait(handle, fcntl.LOCK_SH, HOLD_TIMEOUT_S):
                os.close(handle)
                raise InfrastructureError("another process does not let go of it", where=self.folder / name)
            _held[self.folder / name] = handle

    def release(self, name: str) -> None:
        """Let go of what ``hold`` holds."""
        with _guard:
            if (handle := _held.pop(self.folder / name, None)) is not None:
                os.close(handle)

    @staticmethod
    def release_all() -> None:
        """Let go of all that this process holds, of whatever cache."""
        with _guard:
            while _held:
                os.close(_held.popitem()[1])

    def _open(self, name: str) -> int:
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(handle: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(handle: int, how: int, timeout_s: float) -> bool:
    """Take a lock within a time; flock has no deadline of its own."""
    deadline = time.monotonic() + timeout_s
    while not _try_lock(handle, how):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOCK_POLL_S)
    return True
