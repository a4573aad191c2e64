# SPDX-License-Identifier: GPL-2.0-only
"""The bytes of a console: always drained to its log and recording, and fed from there to pexpect."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
from pexpect.expect import searcher_re
from pexpect.spawnbase import SpawnBase

from ccslab.errors import InfrastructureError
from ccslab.vm.cast import Cast
from ccslab.vm.death import EXIT_NOTICE_S, Watch
from ccslab.vm.kernelline import BEGIN, splice

SEND_TIMEOUT_S = 20.0

CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, bracketed paste
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles, and the prompt marks of console.py
    r"|\x1b[ -/]*[0-~]"  # other escapes
    r"|[\x00\x07]"
)


if TYPE_CHECKING:  # generic in their type stubs only
    _Spawn = SpawnBase[str]
    _Searched = searcher_re[str]
else:
    _Spawn = SpawnBase
    _Searched = searcher_re


def plain(text: str) -> str:
    """Console output without control sequences, its lines ended by a newline alone."""
    return re.sub(r"\r+\n", "\n", CONTROL.sub("", text))


class _Searcher(_Searched):
    """pexpect's, that finds a text too which kernel messages cut in pieces."""

    def search(self, buffer: str, freshlen: int, searchwindowsize: int | None = None) -> int:
        """The index of the pattern that matches first, -1 if none does; as of pexpect."""
        found = super().search(buffer, freshlen, searchwindowsize)
        if not BEGIN.search(buffer):
            return int(found)
        seen = (self.start, self.end, self.match) if found >= 0 else None
        spliced = splice(buffer)
        among = super().search(spliced.text, freshlen, searchwindowsize)
        if among >= 0:
            self.start, self.end = spliced.span(self.start, self.end)
            if seen is None or self.start < seen[0]:
                return int(among)
        if seen:
            self.start, self.end, self.match = seen
        return int(found)


class Feed(_Spawn):
    """A pexpect spawn over a descriptor that a thread of its own reads, whether anybody waits or not.

    :param handle: a socket's or pty's descriptor; the feed owns it.
    :param log: gets every byte.
    :param watch: sees every line; a guest it declares dead ends every wait.
    """

    def __init__(self, handle: int, *, log: Path, cast: Cast, watch: Watch) -> None:
        super().__init__(timeout=30, maxread=65536, encoding="utf-8", codec_errors="replace")
        self.delayafterread = None
        self.silence_s: float | None = None
        """A wait ends when the console has said nothing for so long."""
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._handle = handle
        self._log = log.open("ab", buffering=0)
        self._cast: Cast | None = cast
        self._recording = cast
        self._watch = watch
        self._pending = bytearray()
        self._line = ""
        self._heard = time.monotonic()
        self._wait_begun = self._heard
        self._ended = False
        self._taps: list[Callable[[bytes], None]] = []
        self._begin()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._drain, args=(self._handle,), name="console", daemon=True)
        self._thread.start()

    def reconnect(self, handle: int) -> None:
        """Go on with another descriptor; what came by the one until now, which is hung up, is dropped.

        :raises InfrastructureError: it is not hung up.
        """
        self._thread.join(EXIT_NOTICE_S)
        if self._thread.is_alive():
            os.close(handle)
            raise InfrastructureError("the console's old line does not end", where=self._watch.where)
        os.close(self._handle)
        self._handle = handle
        self._ended = False
        self._line = ""
        self.forget()
        self._begin()

    def send(self, s: str | bytes) -> int:
        """Type bytes into the console.

        :raises InfrastructureError: the guest does not take them.
        """
        data = s.encode() if isinstance(s, str) else s
        deadline = time.monotonic() + SEND_TIMEOUT_S
        sent = 0
        while sent < len(data):
            self._watch.check()
            if not select.select([], [self._handle], [], 0.5)[1]:
                if time.monotonic() > deadline:
                    raise InfrastructureError("the console takes no input", where=self._watch.where)
                continue
            try:
                sent += os.write(self._handle, data[sent : sent + 512])
            except OSError as error:
                self._raise_end(error)
        return sent

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> str:
        """What has come, for pexpect: waits for something up to ``timeout`` seconds.

        :raises GuestDied: the guest is lost, or has been silent for too long.
        """
        deadline = None if timeout is None else time.monotonic() + max(0.0, timeout)
        with self._watch.changed:
            while not self._pending:
                now = time.monotonic()
                if self._watch.settled:
                    self._watch.check()
                if self._ended:
                    break
                quiet = now - max(self._heard, self._wait_begun)
                if self.silence_s is not None and quiet > self.silence_s:
                    raise self._watch.error(f"the console has been silent for {quiet:.0f} s")
                if deadline is not None and now >= deadline:
                    raise pexpect.TIMEOUT("nothing came")
                left = 0.5 if deadline is None else min(0.5, deadline - now)
                self._watch.changed.wait(0.05 if self._watch.reason else left)
            chunk = bytes(self._pending[:size])
            del self._pending[:size]
        if not chunk:
            self._raise_end(None)
        return self._characters.decode(chunk)

    def await_first(self, patterns: Sequence[str], timeout_s: float) -> int:
        """As pexpect's ``expect``; a kernel message in the middle of what is waited for does not matter."""
        return int(self.expect_loop(_Searcher(self.compile_pattern_list(list(patterns))), timeout_s))

    def begin_wait(self, silence_s: float | None) -> None:
        """A wait begins: from now on silence counts."""
        self.silence_s = silence_s
        self._wait_begun = time.monotonic()

    def forget(self) -> None:
        """Drop what came and nobody read (after a checkpoint was loaded)."""
        with self._watch.changed:
            self._pending.clear()
        self._characters.reset()
        self.buffer = ""
        self._before = StringIO()  # pexpect searches that again, if there is more in it

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        """Keep what comes now out of the recording (the log has it): the harness's own preparations."""
        self._cast = None
        try:
            yield
        finally:
            self._cast = self._recording

    @contextlib.contextmanager
    def tapped(self, tap: Callable[[bytes], None]) -> Iterator[None]:
        """Give ``tap`` every byte that comes, beside everybody else."""
        self._taps.append(tap)
        try:
            yield
        finally:
            self._taps.remove(tap)

    @property
    def ended(self) -> bool:
        """Whether the other side hung up."""
        return self._ended

    def close(self) -> None:
        """Wait for the last bytes of a console whose other side is gone, and close its files."""
        self._thread.join(EXIT_NOTICE_S)
        self._recording.close()
        if not self._thread.is_alive():
            self._log.close()
            os.close(self._handle)

    def _drain(self, handle: int) -> None:
        while True:
            try:
                data = os.read(handle, 65536)
            except OSError:  # a pty whose other side is closed says EIO
                data = b""
            if not data:
                break
            self._log.write(data)
            if cast := self._cast:
                cast.write(data)
            for tap in list(self._taps):
                tap(data)
            self._heard = time.monotonic()
            self._lines(data)
            with self._watch.changed:
                self._pending += data
                self._watch.changed.notify_all()
        if self._line:
            self._watch.line(plain(self._line))
        with self._watch.changed:
            self._ended = True
            self._watch.changed.notify_all()

    def _lines(self, data: bytes) -> None:
        *whole, self._line = (self._line + data.decode("utf-8", "replace")).split("\n")
        cut = ""
        for line in whole:
            # Before control sequences go: a message may come in the middle of one, and would go with it.
            if message := BEGIN.search(line):
                cut += line[: message.start()]
                self._watch.line(plain(line[message.start() :]).strip("\r"))
            else:
                self._watch.line(plain(cut + line).strip("\r"))
                cut = ""
        self._line = (cut + self._line)[-4096:]

    def _raise_end(self, error: OSError | None) -> None:
        """The line is closed: QEMU's exit says why, when it is noticed a moment later."""
        with self._watch.changed:
            self._watch.changed.wait_for(lambda: bool(self._watch.reason), EXIT_NOTICE_S)
        self._watch.check()
        raise self._watch.error("the console's other side is gone") from error
