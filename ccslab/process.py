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
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ccslab.errors import InfrastructureError

PR_SET_PDEATHSIG = 1  # linux/prctl.h
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
        raise InfrastructureError(
            f"{program} is not installed", mend=f"run ./inv once, or: apt-get install {package}"
        )
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

    :param timeout_s: seconds until the whole process group is killed.
    :param env: variables laid over the environment.
    :param log: file that gets the whole output, appended.
    :param on_line: called with each output line as it comes, for progress.
    :param check: raise when the exit status is not 0.
    :raises InfrastructureError: the program is missing, took too long, or (``check``) failed.
    """
    name = Path(argv[0]).name
    tail: deque[str] = deque(maxlen=400)
    try:
        child = subprocess.Popen(
            [str(part) for part in argv],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 (prctl is all it calls)
        )
    except FileNotFoundError as error:
        raise InfrastructureError(
            f"{name} is not installed", mend="run ./inv once, it installs what is missing"
        ) from error
    assert child.stdout is not None
    if stdin is not None and child.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(stdin)
        child.stdin.close()
    deadline = time.monotonic() + timeout_s
    with contextlib.ExitStack() as stack:
        stack.callback(_end, child)
        stack.callback(child.stdout.close)
        sink = stack.enter_context(log.open("ab")) if log else None
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(child.stdout, selectors.EVENT_READ)
        rest = b""
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise InfrastructureError(
                    f"{name} did not end within {timeout_s:.0f} s", where=log or "", mend=_last(tail)
                )
            chunk = os.read(child.stdout.fileno(), 65536)
            if not chunk:
                break
            if sink:
                sink.write(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _take(line, tail, on_line)
        if rest:
            _take(rest, tail, on_line)
        try:
            status = child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise InfrastructureError(
                f"{name} did not end within {timeout_s:.0f} s", where=log or ""
            ) from error
    if check and status != 0:
        raise InfrastructureError(
            f"{name} ended with status {status}: {_last(tail)}",
            mend=f"the whole output is in {log}" if log else "",
        )
    return status, "\n".join(tail)


def _take(line: bytes, tail: deque[str], on_line: Callable[[str], None] | None) -> None:
    text = line.decode(errors="replace").rstrip("\r")
    tail.append(text)
    if on_line:
        on_line(text)


def _last(tail: deque[str]) -> str:
    said = [line for line in tail if line.strip()]
    telling = [line for line in said if "error" in line.lower() or line.startswith("E:")]
    return " | ".join((telling or said)[-3:])


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the child's process group and collect it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
