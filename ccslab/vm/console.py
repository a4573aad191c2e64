# SPDX-License-Identifier: GPL-2.0-only
"""A guest's serial console, used as a person uses it: log in, type a command, read what it says."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pexpect

from ccslab.errors import InfrastructureError, UserError
from ccslab.vm.cast import Cast
from ccslab.vm.death import Watch
from ccslab.vm.feed import Feed, plain
from ccslab.vm.kernelline import splice

COLUMNS, ROWS = 132, 36
LONGEST_COMMAND = 3000  # a serial line has no flow control and the tty's buffer holds 4,096 bytes
LOGIN = r"(?m)^[\w.-]+ login: "
SHELL = r"[#$] (?:\x1b\[[0-?]*[ -/]*[@-~])*$"

# The prompt carries marks a terminal does not show (OSC 133, which terminals use for "a command ended" too):
# D with the last exit status, B where a person types, C where output begins.  The nonce keeps them apart
# from anybody else's, and the echo of this very line cannot match, since it shows no escape character.
# bash counts its prompt's width by \[ \] and wraps rightly; ash does not: its terminal is too wide to wrap.
# `!`, new mail and history would change what a command means or prints.
SETUP = (
    'if [ -n "$BASH_VERSION" ]; then set +H; unset MAILCHECK HISTFILE PROMPT_COMMAND; '
    "bind 'set enable-bracketed-paste off' 2>/dev/null; stty cols {columns} rows {rows}; "
    "PS0='\\e]133;C;aid={nonce}\\a'; "
    "PS1='\\[\\e]133;D;$?;aid={nonce}\\a\\]\\u@\\h:\\w\\$ \\[\\e]133;B;aid={nonce}\\a\\]'; "
    "else stty cols 4000 rows {rows}; "
    "PS1=\"$(printf '\\033]133;D;$?;aid={nonce}\\007')\"'# '\"$(printf '\\033]133;B;aid={nonce}\\007')\"; fi"
)


class Output(NamedTuple):
    """What a command typed on the console left: exit status, and its output as plain text."""

    status: int
    output: str


def said(raw: str, begin: str, *, echoed: bool, keep_kernel: bool) -> str:
    """What a command printed, as plain text, out of what the line brought between two prompts.

    :param begin: pattern of the mark where output begins, which only bash gives.
    :param echoed: the command's own echo comes first.
    """
    whole = splice(raw)
    marks = list(re.finditer(begin, whole.text))
    at = marks[-1].end() if marks else 0
    if echoed and not marks:
        # ash says where its prompt is, not where output begins: that is behind the echo.
        at = whole.text.find("\n") + 1 or len(whole.text)
    return plain(raw[whole.span(at - 1, at)[1] :] if keep_kernel else whole.text[at:])


class Console:
    """The console of one guest.

    :param handle: descriptor of the serial line (socket or pty); the console owns it.
    :param log: file that gets every byte.
    :param cast: file of the recording (asciicast v2).
    :param watch: declares the guest dead; any wait raises GuestDied then.
    :param nonce: what marks the prompt, of the guest that this one was cloned from.
    """

    def __init__(
        self, handle: int, *, log: Path, cast: Path, watch: Watch, title: str = "ccs-lab", nonce: str = ""
    ) -> None:
        self.watch = watch
        self.feed = Feed(
            handle, log=log, cast=Cast(cast, columns=COLUMNS, rows=ROWS, title=title), watch=watch
        )
        self.nonce = nonce or secrets.token_hex(4)
        self._prepared = False
        self._in_step = False

    def expect(
        self, patterns: str | Sequence[str], timeout_s: float = 30.0, *, silence_s: float | None = None
    ) -> tuple[int, re.Match[str]]:
        """Wait for the first of some regular expressions; returns its index and the match.

        Times are those of an ordinary guest; the watch's patience stretches them.

        :param silence_s: give up when the console says nothing for so long, though time is left.
        :raises GuestDied: the guest died in the middle of the wait, or was silent.
        :raises InfrastructureError: none of the patterns came in time.
        """
        wanted = [patterns] if isinstance(patterns, str) else list(patterns)
        timeout_s *= self.watch.patience
        self.feed.begin_wait(silence_s and silence_s * self.watch.patience)
        try:
            index = self.feed.await_first(wanted, timeout_s)
        except pexpect.TIMEOUT:
            self.watch.blame()
            raise InfrastructureError(
                f"{' or '.join(map(repr, wanted))} did not come within {timeout_s:.0f} s",
                where=self.watch.where,
                mend=f"the console ended with: {' | '.join(self.tail(4)) or '(nothing)'}",
            ) from None
        finally:
            self.feed.silence_s = None
        match = self.feed.match
        assert isinstance(match, re.Match)
        return int(index), match

    def type(self, text: str, *, enter: bool = True) -> None:
        """Type text, and Enter behind it, as a person would: who answers a question expects it first.

        (bash hands the terminal to the program only then; an Enter typed earlier is lost on ``read``.)
        """
        self._in_step = False
        self.feed.send(text + ("\r" if enter else ""))

    def control(self, letter: str) -> None:
        """Press Ctrl and a letter."""
        self.feed.send(bytes([ord(letter.upper()) & 0x1F]))

    def login(self, user: str = "root", password: str = "ccs-lab", *, timeout_s: float = 120.0) -> None:  # noqa: S107
        """Log in at the ``login:`` prompt that is, or will be, on the screen, and prepare the shell.

        :raises InfrastructureError: the password was refused, or no shell came.
        """
        if not self.at_login():
            self.expect(LOGIN, timeout_s)
        self.type(user)
        self.expect("Password: ", timeout_s)
        self.type(password)
        which, _ = self.expect([SHELL, "Login incorrect"], timeout_s)
        if which:
            raise InfrastructureError(f"the guest refuses the login of {user}", where=self.watch.where)
        self.prepare(timeout_s=timeout_s)

    @property
    def at_prompt(self) -> bool:
        """Whether the prepared shell waits for a command."""
        return self._in_step

    def at_login(self) -> bool:
        """Whether the last thing that was waited for is the login prompt."""
        return isinstance(self.feed.after, str) and bool(re.fullmatch(LOGIN, self.feed.after))

    def prepare(self, *, timeout_s: float = 60.0) -> None:
        """Give the shell whose prompt is on the screen the prompt that ``run`` reads."""
        with self.feed.unrecorded():
            self.type(SETUP.format(nonce=self.nonce, columns=COLUMNS, rows=ROWS))
            self._until_prompt(timeout_s)
            self._prepared = True

    def resume(self, *, timeout_s: float = 30.0) -> None:
        """Take over the shell of a guest that was loaded from a checkpoint, typed-ahead text thrown away."""
        self.feed.forget()
        with self.feed.unrecorded():
            self.control("U")
        self.prepare(timeout_s=timeout_s)
        self.type("")  # the prompt with which the recording begins
        self._until_prompt(timeout_s)

    def run(
        self, command: str, timeout_s: float = 60.0, *, check: bool = False, keep_kernel: bool = False
    ) -> Output:
        """Type a command and wait for its end; returns (exit status, output).

        :param check: raise if the status is not 0.
        :param keep_kernel: leave kernel messages that came in between in the output.
        :raises UserError: the command cannot be typed on a serial line (too long, control keys).
        """
        if len(command) > LONGEST_COMMAND or re.search(r"[\x00-\x1f\x7f]", command):
            raise UserError(
                "the command is too long or has control characters in it",
                where=command[:60],
                mend=f"type at most {LONGEST_COMMAND} characters on one line, send more by ssh",
            )
        if self._prepared and not self._in_step:
            self._catch_up()
        self.type(command)
        result = self._finish(timeout_s, echoed=True, keep_kernel=keep_kernel)
        if check and result.status:
            said = " | ".join(result.output.splitlines()[-3:])
            raise InfrastructureError(
                f"{command!r} ended with status {result.status}: {said}", where=self.watch.where
            )
        return result

    def finish(self, timeout_s: float = 60.0, *, keep_kernel: bool = False) -> Output:
        """Wait for the end of a command begun with ``type``; its output since the last ``expect``."""
        return self._finish(timeout_s, echoed=False, keep_kernel=keep_kernel)

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        """Keep what happens in the block out of the recording; the log has it."""
        with self.feed.unrecorded():
            yield

    def tail(self, count: int = 12) -> list[str]:
        """The last lines of the console, the unfinished one included."""
        unread = plain(str(self.feed.buffer or "")).split("\n")[-1].strip()
        lines = [line for line in [*self.watch.last, unread] if line.strip()]
        return lines[-count:]

    def reconnect(self, handle: int) -> None:
        """Go on with the line of another QEMU, which is at what was saved of this guest."""
        self.feed.reconnect(handle)

    def close(self) -> None:
        """Close log and recording, once QEMU has ended."""
        self.feed.close()

    def _finish(self, timeout_s: float, *, echoed: bool, keep_kernel: bool) -> Output:
        status, raw = self._until_prompt(timeout_s)
        begin = rf"\x1b\]133;C;aid={self.nonce}\x07"
        return Output(status, said(raw, begin, echoed=echoed, keep_kernel=keep_kernel))

    def _until_prompt(self, timeout_s: float) -> tuple[int, str]:
        """Wait for the marked prompt; returns the status it shows and the raw text before it."""
        self._in_step = False
        _, match = self.expect(rf"\x1b\]133;D;(\d+);aid={self.nonce}\x07", timeout_s)
        before = str(self.feed.before)
        self.expect(rf"\x1b\]133;B;aid={self.nonce}\x07", timeout_s)
        self._in_step = True
        return int(match.group(1)), before

    def _catch_up(self) -> None:
        """A command timed out: interrupt it and come back to one prompt, whatever it still says."""
        self.control("C")
        self._until_prompt(20.0)
        while True:  # if it had just ended by itself there is a second prompt
            self.feed.begin_wait(None)
            try:
                self.feed.await_first([rf"\x1b\]133;B;aid={self.nonce}\x07"], self.watch.patience)
            except pexpect.TIMEOUT:
                return
