# SPDX-License-Identifier: GPL-2.0-only
"""invoke with the lab's exit codes: a mistyped task is the user's error (2), not a verdict (1)."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shlex
import signal
import sys
import tempfile
import termios
import traceback
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from invoke.config import Config, DataProxy
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.program import Program

from ccslab.datafile import Fault, Loose, part, shown
from ccslab.errors import InfrastructureError, LabError, Stopped, UserError, unknown
from ccslab.tasking import failure_of, typed

_NO_VALUE = re.compile(r"Flag <Argument: (?P<flag>[\w-]+).*> needed value")
_UNKNOWN = re.compile(r"No idea what '(?P<word>.*)' is!", re.DOTALL)
ROOT = Path(__file__).resolve().parent.parent
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Lab(Program):
    """The command line: core options, tasks and their flags."""

    def parse_core(self, argv: list[str] | None) -> None:
        """invoke's, with a wrong option as the user's error."""
        self._strictly(lambda: super(Lab, self).parse_core(argv))

    def parse_collection(self) -> None:
        """invoke's, with malformed configuration as the user's error."""
        self._configured(self._try_project)
        self._strictly(super().parse_collection)

    def _try_project(self) -> None:
        # Before the tasks are imported: what fails here is the configuration, and not the lab.
        config = self.config.clone()
        config.set_project_location(str(ROOT))
        config.load_project()

    def parse_tasks(self) -> None:
        """invoke's, with the nearest names for a mistyped task."""
        self._strictly(super().parse_tasks)

    def parse_cleanup(self) -> None:
        """invoke's, with the nearest names for ``--help TASK``."""
        self._strictly(super().parse_cleanup)

    def core_args(self) -> list[Argument]:
        """invoke's, with our numbers."""
        return [typed(one) for one in super().core_args()]

    def create_config(self) -> None:
        """invoke's; reads ``~/.invoke.yaml``."""
        self._configured(super().create_config)

    def update_config(self, merge: bool = True) -> None:
        """invoke's; reads what ``--config`` and INVOKE_* variables say."""
        self._configured(lambda: super(Lab, self).update_config(merge))
        self._configured(lambda: self.config.clone().load_shell_env())

    @property
    def core_given(self) -> dict[str, Any]:
        """invoke's own options as they were given; none before they are parsed."""
        return dict(self.args) if hasattr(self, "core") else {}

    def _configured(self, step: Callable[[], Any]) -> None:
        """A step of invoke's that does nothing but read the user's configuration: what fails is that."""
        try:
            step()
            part(_plain(self.config), _type(Config.global_defaults()))
        except Exception as error:
            there = [path for path in _configurations(self.core_given) if path.is_file()]
            where = ", ".join(map(str, there)) or "the INVOKE_* variables"
            what = error.what if isinstance(error, LabError) else str(error) or type(error).__name__
            if isinstance(error, Fault):
                what = f"{shown(error.place)}: {what}"
            mend = "correct it, and the INVOKE_* variables"
            raise _exit(UserError(f"malformed configuration: {what}", where=where, mend=mend)) from error

    def _strictly(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except ParseError as error:
            raise _exit(self._named(str(error))) from error
        except Exit as error:
            if error.message:
                raise _exit(UserError(error.message)) from error
            raise
        except LabError as error:
            raise _exit(error) from error

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


def _plain(config: Any) -> Any:
    """Settings as dictionaries."""
    if not isinstance(config, DataProxy):
        return config
    return {key: _plain(value) for key, value in config.items()}


def _type(default: Any) -> Any:
    """The type of a setting of invoke's, from its default: tables and switches are looked at."""
    if isinstance(default, dict):
        fields = [(key, _type(value), None) for key, value in default.items()]
        return msgspec.defstruct("Settings", fields, bases=(Loose,), frozen=True)
    return bool if isinstance(default, bool) else Any


def _configurations(given: dict[str, Any]) -> Iterator[Path]:
    """The files that invoke reads its settings from."""
    yield ROOT / "invoke.yaml"
    if "config" in given and given["config"].value:
        yield Path(given["config"].value)
    if named := os.environ.get("INVOKE_RUNTIME_CONFIG"):
        yield Path(named)
    for suffix in ("yaml", "yml", "json", "py"):
        yield from (Path(f"/etc/invoke.{suffix}"), Path(os.environ.get("HOME", "/")) / f".invoke.{suffix}")


def _exit(error: LabError) -> Exit:
    return Exit(f"error: {error}", error.exit_code)


def main() -> None:
    """Run the tasks named on the command line."""
    # The first name is the one that the completion script calls.
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what its encoding cannot say
        sys.stdout.reconfigure(errors="backslashreplace")
    lab = Lab(name="ccs-lab", binary="./inv", binary_names=["./inv", "inv"], version=version("invoke"))
    ended = _ended_by_signals()
    try:
        lab.run(["inv", "--search-root", str(ROOT), *_help_first(sys.argv[1:])])
    except (KeyboardInterrupt, SystemExit):
        # Also where invoke, or an error on the way out, has made something else of it.
        if ended:
            sys.exit(ended[0].exit_code)
        raise
    except BrokenPipeError:  # `| head` has seen enough; nor may Python's end say more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        failure = failure_of(error) or fault(error)
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(failure.exit_code)


def fault(error: Exception) -> LabError:
    """A bug of ours as one line; its traceback is in a file, and it must not look like a verdict."""
    trace = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in trace if Path(frame.filename).is_relative_to(ROOT / "ccslab")]
    last = (ours or trace)[-1]
    text = "".join(traceback.format_exception(error))
    try:
        handle, name = tempfile.mkstemp(prefix="ccs-lab-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{shlex.join(sys.argv)}\n{text}")
    except OSError:  # no disk for it: a long report is better than none
        print(text, file=sys.stderr)
        name = "the lines above"
    place = f"{os.path.relpath(last.filename, ROOT)}:{last.lineno}"
    return InfrastructureError(
        f"a fault in ccs-lab: {type(error).__name__}: {error}", where=place, mend=f"report it with {name}"
    )


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
