# SPDX-License-Identifier: GPL-2.0-only
"""Run a host program under a deadline, with its whole output kept and its children never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.store import disk_errors

PR_SET_PDEATHSIG = 1  # linux/prctl.h
TAIL_LINES = 400
GRACE_S = 3.0  # between SIGTERM, at which make deletes what it left half-made, and SIGKILL
# Ends when its standard input does: when whoever holds the other end is gone, even by SIGKILL.
GUARD = 'read -r group && { read -r _; kill -KILL "-$group"; }'
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """For ``preexec_fn``: the kernel kills this process when the thread that started it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def need(program: str, package: str) -> str:
    """The path of a host program.

    :raises InfrastructureError: it is not installed; names the Debian package that has it.
    """
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if not found:
        raise InfrastructureError(f"{program} is not installed", mend=f"apt-get install {package}")
    return found


def run(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
    stdin: bytes | None = None,
) -> tuple[int, str]:
    """Run a program to its end; returns (exit status, the last 400 lines of stdout and stderr together).

    What it left running in its process group ends with it, and all of it ends when we are killed.

    :param timeout_s: seconds until the whole process group is ended.
    :param env: variables laid over the environment.
    :param log: file that gets the whole output, appended.
    :param on_line: called with each output line as it comes, for progress.
    :param check: raise when the exit status is not 0.
    :param stdin: what the program reads; nothing if not given.
    :raises InfrastructureError: the program cannot be started, took too long, or (``check``) failed.
    """
    name = Path(argv[0]).name
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with contextlib.ExitStack() as stack:
        child = stack.enter_context(started(argv, cwd, env, stdin))
        try:
            with _keep(log) as keep:
                status = _follow(child, time.monotonic() + timeout_s, tail, keep, on_line)
        except _TooLateError as error:
            last = f"; the last it said: {_last(tail)}" if _last(tail) else ""
            raise InfrastructureError(
                f"{name} did not end within {timeout_s:g} s{last}", where=log or ""
            ) from error
    if check and status != 0:
        how = f"ended with status {status}" if status > 0 else f"was killed by {_signal(-status)}"
        said = f": {_last(tail)}" if _last(tail) else ""
        raise InfrastructureError(f"{name} {how}{said}", mend=f"the whole output is in {log}" if log else "")
    return status, "\n".join(tail)


class _TooLateError(Exception):
    """The deadline came first. TimeoutError is an OSError, which the log's disk would get the blame for."""


@contextlib.contextmanager
def started(
    argv: Sequence[str | Path],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    grace_s: float = GRACE_S,
) -> Iterator[subprocess.Popen[bytes]]:
    """The program running in a process group of its own, which is gone when the block ends.

    For whoever follows several at once; its output comes by the child's ``stdout``.

    :param grace_s: seconds it has to end by itself when the block ends before it.
    :raises InfrastructureError: the program cannot be started.
    """
    name = Path(argv[0]).name
    with contextlib.ExitStack() as stack:
        given = None
        if stdin is not None:
            # A file, not a pipe: nobody has to write while the program writes, too.
            given = stack.enter_context(tempfile.TemporaryFile())
            given.write(stdin)
            given.seek(0)
        # The kernel's parent-death signal reaches the program, not the programs it started.
        guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        assert guard.stdin is not None
        ended: list[int] = []
        stack.callback(_dismiss, guard, ended)
        told = guard.stdin.fileno()

        def before_exec() -> None:
            die_with_parent()
            os.write(told, b"%d\n" % os.getpid())  # here, so that no moment is unguarded

        try:
            child = subprocess.Popen(
                [str(part) for part in argv],
                cwd=cwd,
                env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
                stdin=given or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=before_exec,  # noqa: PLW1509 (two system calls)
            )
        except FileNotFoundError as error:
            if cwd and not cwd.is_dir():
                raise InfrastructureError(f"{name} cannot run there: no such folder", where=cwd) from error
            raise InfrastructureError(
                f"{name} is not installed",
                mend="run ./inv --prepare core, it installs what is missing",
            ) from error
        except (OSError, ValueError) as error:
            raise InfrastructureError(f"{name} cannot be started: {error}") from error
        stack.callback(_end, child, ended, grace_s)
        yield child


@contextlib.contextmanager
def _keep(log: Path | None) -> Iterator[Callable[[bytes], None]]:
    """What appends to the log."""
    if log is None:
        yield lambda chunk: None
        return
    with disk_errors(log), log.open("ab") as sink:

        def keep(chunk: bytes) -> None:
            sink.write(chunk)
            sink.flush()

        yield keep


def _follow(
    child: subprocess.Popen[bytes],
    deadline: float,
    tail: deque[str],
    keep: Callable[[bytes], None],
    on_line: Callable[[str], None] | None,
) -> int:
    """Read what the child says until it ends; its exit status.

    :raises _TooLateError: the deadline (monotonic seconds) came first.
    """
    assert child.stdout is not None
    rest = b""
    ended = False
    with contextlib.ExitStack() as stack:
        end = os.pidfd_open(child.pid)
        stack.callback(os.close, end)
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(end, selectors.EVENT_READ)
        while True:
            left = 0 if ended else deadline - time.monotonic()
            ready = [key.fileobj for key, _ in selector.select(left)] if left >= 0 else []
            if child.stdout in ready:
                chunk = os.read(child.stdout.fileno(), 65536)
                if not chunk:
                    break
                keep(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    _take(line, tail, on_line)
            elif end in ready:
                # Not waiting for the end of the output: a daemon it left behind may hold that open for ever.
                selector.unregister(end)
                _signal_group(child, signal.SIGKILL)
                ended = True
            elif ended:
                break
            else:
                raise _TooLateError
    if rest:
        _take(rest, tail, on_line)
    try:
        return child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise _TooLateError from error


def _take(line: bytes, tail: deque[str], on_line: Callable[[str], None] | None) -> None:
    text = line.decode(errors="replace").rstrip("\r")
    tail.append(text)
    if on_line:
        on_line(text)


def _last(tail: deque[str]) -> str:
    said = [line for line in tail if line.strip()]
    telling = [line for line in said if "error" in line.lower() or line.startswith("E:")]
    return " | ".join((telling or said)[-3:])


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _end(child: subprocess.Popen[bytes], ended: list[int], grace_s: float) -> None:
    """End what is left of the child's process group, collect it, and say so."""
    assert child.stdout is not None
    try:
        if child.poll() is None:
            _signal_group(child, signal.SIGTERM)
            child.wait(grace_s)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal_group(child, signal.SIGKILL)
        child.wait()
        ended.append(child.pid)
        child.stdout.close()


def _dismiss(guard: subprocess.Popen[bytes], ended: list[int]) -> None:
    """Send the guard home; what nobody else has ended, it ends first.

    Ctrl-C may come when the program runs already and Popen has not yet said that it does.
    """
    assert guard.stdin is not None
    if ended:
        guard.kill()
    guard.stdin.close()
    guard.wait()
