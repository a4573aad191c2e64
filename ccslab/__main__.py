# SPDX-License-Identifier: GPL-2.0-only
"""invoke with the lab's exit codes: a mistyped task is the user's error (2), not a verdict (1)."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
import termios
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit, ParseError
from invoke.program import Program
from invoke.vendor.yaml import YAMLError

from ccslab.errors import EXIT_INFRASTRUCTURE, LabError, Stopped, UserError, unknown

_NO_VALUE = re.compile(r"Flag <Argument: (?P<flag>[\w-]+).*> needed value")
_UNKNOWN = re.compile(r"No idea what '(?P<word>.*)' is!", re.DOTALL)
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Lab(Program):
    """The command line: core options, tasks and their flags."""

    def parse_core(self, argv: list[str] | None) -> None:
        """invoke's, with a wrong option as the user's error."""
        self._strictly(lambda: super(Lab, self).parse_core(argv))

    def parse_collection(self) -> None:
        """invoke's, with malformed configuration as the user's error."""
        self._strictly(super().parse_collection)

    def parse_tasks(self) -> None:
        """invoke's, with the nearest names for a mistyped task."""
        self._strictly(super().parse_tasks)

    def parse_cleanup(self) -> None:
        """invoke's, with the nearest names for ``--help TASK``."""
        self._strictly(super().parse_cleanup)

    def create_config(self) -> None:
        """invoke's; reads ``~/.invoke.yaml``."""
        self._strictly(super().create_config)

    def _strictly(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except ParseError as error:
            raise _exit(self._named(str(error))) from error
        except Exit as error:
            if error.message:
                raise _exit(UserError(error.message)) from error
            raise
        except YAMLError as error:
            raise _exit(UserError(f"malformed configuration: {error}")) from error

    def _named(self, said: str) -> UserError:
        if match := _NO_VALUE.match(said):
            return UserError(f"--{match['flag']} needs a value", mend="./inv --help TASK explains a task")
        match = _UNKNOWN.match(said)
        if not match:
            return UserError(said, mend="./inv --help TASK explains a task")
        word = match["word"]
        if word.startswith("-"):
            return UserError(f"unknown option {word!r}", mend="./inv --help TASK lists a task's")
        return unknown("task", word, self.collection.task_names)


def _exit(error: LabError) -> Exit:
    return Exit(f"error: {error}", error.exit_code)


def main() -> None:
    """Run the tasks named on the command line."""
    # The first name is the one that the completion script calls.
    lab = Lab(name="ccs-lab", binary="./inv", binary_names=["./inv", "inv"], version=version("invoke"))
    root = Path(__file__).resolve().parent.parent
    ended = _ended_by_signals()
    try:
        lab.run(["inv", "--search-root", str(root), *_help_first(sys.argv[1:])])
    except (KeyboardInterrupt, SystemExit):
        # Also where invoke, or an error on the way out, has made something else of it.
        if ended:
            sys.exit(ended[0].exit_code)
        raise
    except BrokenPipeError:  # `| head` has seen enough; nor may Python's end say more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception:  # a bug of ours: its traceback is wanted, but it must not look like a verdict
        traceback.print_exc()
        sys.exit(EXIT_INFRASTRUCTURE)


def _ended_by_signals() -> list[Stopped]:
    """Have each signal that asks us to end do what Ctrl-C does; returns what holds the first that came.

    The others only say a line: results are being written by then, and children ended, by their deadlines.
    """
    ended: list[Stopped] = []

    def stop(number: int, frame: object) -> None:
        if number == signal.SIGHUP:
            _leave_terminal()
        if ended:
            with contextlib.suppress(OSError):
                os.write(2, b"it is ending; what was found is being written\n")
            return
        ended.append(Stopped(number))
        raise ended[0]

    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup asks for
            signal.signal(number, stop)
    return ended


def _leave_terminal() -> None:
    """Say what is left to say to nobody, if the terminal is gone: an error there would cost results."""
    for handle in (1, 2):
        try:
            termios.tcgetattr(handle)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                os.dup2(os.open(os.devnull, os.O_WRONLY), handle)


def _help_first(words: list[str]) -> list[str]:
    """``TASK --help`` as ``--help TASK``, also where the task would take it for its first argument."""
    asked = words and not words[0].startswith("-") and {"-h", "--help"} & set(words[1:])
    return ["--help", words[0]] if asked else words


if __name__ == "__main__":
    main()
