# SPDX-License-Identifier: GPL-2.0-only
"""Programs end by themselves, by their deadline or with us; nothing of theirs is left running."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError
from ccslab.process import need, run
from tests.waiting import alive, until

Start = Callable[[str], subprocess.Popen[str]]


def pid_in(path: Path) -> int:
    until(lambda: path.is_file() and path.read_text().endswith("\n"), f"{path.name} is written")
    return int(path.read_text())


def gone(pid: int) -> bool:
    return not alive(pid)


def test_status_and_output_come_back() -> None:
    assert run(["sh", "-c", "echo one; echo two >&2; exit 3"], timeout_s=10, check=False) == (3, "one\ntwo")


def test_a_failure_says_what_the_program_said() -> None:
    with pytest.raises(InfrastructureError, match=r"^sh ended with status 7: no such thing$"):
        run(["sh", "-c", "echo no such thing; exit 7"], timeout_s=10)


def test_the_telling_lines_are_picked_from_much_noise() -> None:
    noise = "i=0; while [ $i -lt 50 ]; do echo noise $i; i=$((i+1)); done; echo E: bad; echo bye; exit 1"
    with pytest.raises(InfrastructureError, match=r"status 1: E: bad$"):
        run(["sh", "-c", noise], timeout_s=10)


def test_a_killed_program_names_the_signal() -> None:
    with pytest.raises(InfrastructureError, match=r"^sh was killed by SIGKILL"):
        run(["sh", "-c", "kill -9 $$"], timeout_s=10)


def test_the_whole_output_is_in_the_log_the_tail_is_returned(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    _, tail = run(["seq", "1000"], timeout_s=10, log=log)
    assert log.read_text() == "before\n" + "".join(f"{n}\n" for n in range(1, 1001))
    assert tail.splitlines() == [str(n) for n in range(601, 1001)]


def test_lines_come_as_they_are_written(tmp_path: Path) -> None:
    """The program waits for what only the callback makes."""
    flag = tmp_path / "flag"
    seen: list[str] = []

    def on_line(line: str) -> None:
        seen.append(line)
        flag.touch()

    script = f"echo first; until [ -e {flag} ]; do sleep 0.01; done; printf 'last, without newline'"
    run(["sh", "-c", script], timeout_s=20, on_line=on_line)
    assert seen == ["first", "last, without newline"]


def test_bytes_that_are_no_utf8_do_no_harm() -> None:
    assert run(["printf", r"\377\376 ok\r\n"], timeout_s=10)[1].endswith(" ok")


def test_much_input_and_much_output_at_once() -> None:
    """More than two pipes hold: who writes all before reading hangs here."""
    given = b"x" * 79 + b"\n"
    assert run(["cat"], timeout_s=20, stdin=given * 20000)[1].count("\n") == 399


def test_without_input_a_program_that_reads_ends() -> None:
    assert run(["cat"], timeout_s=10) == (0, "")


def test_the_deadline_ends_the_grandchildren_too(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(InfrastructureError, match=r"sh did not end within 0.5 s; the last it said: going"):
        run(["sh", "-c", f"echo going; sleep 60 & echo $! > {pid}; wait"], timeout_s=0.5)
    assert time.monotonic() - started < 10
    assert not alive(pid_in(pid))


def test_the_deadline_is_said_with_the_log_named(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"log: sh did not end within 0.5 s; .*: going"):
        run(["sh", "-c", "echo going; sleep 60"], timeout_s=0.5, log=tmp_path / "log")


def test_the_deadline_holds_for_a_program_that_closed_its_output() -> None:
    with pytest.raises(InfrastructureError, match=r"did not end within 0.3 s"):
        run(["sh", "-c", "exec >&- 2>&-; sleep 60"], timeout_s=0.3)


def test_the_deadline_holds_for_a_program_that_never_stops_talking() -> None:
    with pytest.raises(InfrastructureError, match=r"did not end within 0.3 s"):
        run(["yes"], timeout_s=0.3)


def test_a_program_deaf_to_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccslab.process.GRACE_S", 0.2)
    pid = tmp_path / "pid"
    with pytest.raises(InfrastructureError, match="did not end"):
        run(["sh", "-c", f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.05; done"], timeout_s=0.3)
    assert not alive(pid_in(pid))


def test_at_the_deadline_a_program_may_tidy_up(tmp_path: Path) -> None:
    """make deletes its half-made targets at SIGTERM; SIGKILL at once would leave them."""
    half = tmp_path / "half"
    script = f"trap 'rm {half}; exit 1' TERM; touch {half}; while :; do sleep 0.05; done"
    with pytest.raises(InfrastructureError, match="did not end"):
        run(["sh", "-c", script], timeout_s=0.5)
    assert not half.exists()


def test_what_a_program_leaves_behind_is_neither_waited_for_nor_left(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    assert run(["sh", "-c", f"sleep 60 & echo $! > {pid}; echo done"], timeout_s=30) == (0, "done")
    assert time.monotonic() - started < 10
    until(lambda: not alive(pid_in(pid)), "the left-over is gone")


def test_an_error_in_the_callback_ends_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def on_line(line: str) -> None:
        raise KeyError(line)

    with pytest.raises(KeyError):
        run(["sh", "-c", f"echo $$ > {pid}; echo x; sleep 60"], timeout_s=30, on_line=on_line)
    assert not alive(pid_in(pid))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_all_ends_with_the_harness(tmp_path: Path, other_run: Start, number: signal.Signals) -> None:
    harness = other_run(f"""
        from ccslab.process import run
        script = "sleep 60 & echo $! > {tmp_path}/grandchild; echo $$ > {tmp_path}/child; wait"
        run(["sh", "-c", script], timeout_s=50)
    """)
    pids = [pid_in(tmp_path / name) for name in ("grandchild", "child")]
    assert all(alive(pid) for pid in pids)
    harness.send_signal(number)
    for pid in pids:
        until(functools.partial(gone, pid), "the program is gone")


def test_an_interrupt_while_the_program_starts_leaves_nothing(tmp_path: Path, other_run: Start) -> None:
    """Popen returns some time after the program began: an interrupt may come between."""
    harness = other_run(f"""
        import subprocess, time
        from pathlib import Path
        from ccslab.process import run

        begin = subprocess.Popen._execute_child
        def slow(self, args, *more):
            begin(self, args, *more)
            if "sleep 60" in args[-1]:
                while not Path("{tmp_path}/grandchild").exists():
                    time.sleep(0.01)
                raise KeyboardInterrupt
        subprocess.Popen._execute_child = slow
        try:
            run(["sh", "-c", "sleep 60 & echo $! > {tmp_path}/new; mv new grandchild; wait"], timeout_s=50)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        time.sleep(50)
    """)
    assert harness.stdout is not None
    assert harness.stdout.readline() == "interrupted\n"
    until(functools.partial(gone, pid_in(tmp_path / "grandchild")), "the program is gone")


def test_no_guard_is_left_when_the_program_ended(other_run: Start) -> None:
    harness = other_run("""
        from pathlib import Path
        from ccslab.process import run
        run(["true"], timeout_s=10)
        print(Path("/proc/thread-self/children").read_text().split())
    """)
    assert harness.communicate(timeout=20)[0].strip() == "[]"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(InfrastructureError, match=r"^nosuch-program is not installed - .*\./inv"):
        run(["nosuch-program"], timeout_s=1)


def test_a_missing_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=f"^{tmp_path}/nosuch: true cannot run there"):
        run(["true"], timeout_s=1, cwd=tmp_path / "nosuch")


def test_a_program_that_may_not_be_executed(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x")
    with pytest.raises(InfrastructureError, match=r"^text cannot be started: .*Permission denied"):
        run([tmp_path / "text"], timeout_s=1)


def test_a_log_that_cannot_be_written_is_one_line() -> None:
    with pytest.raises(
        InfrastructureError,
        match=r"^/dev/full: disk full \(No space left on device\): .* free - free some space",
    ):
        run(["echo", "x"], timeout_s=10, log=Path("/dev/full"))


def test_need_finds_programs_and_names_the_package() -> None:
    assert os.access(need("sh", "dash"), os.X_OK)
    with pytest.raises(InfrastructureError, match=r"^nosuch is not installed - apt-get install thing$"):
        need("nosuch", "thing")


def test_need_looks_where_an_ordinary_user_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert need("ldconfig", "libc-bin").endswith("sbin/ldconfig")
