# SPDX-License-Identifier: GPL-2.0-only
"""The console against real local shells in a pty, one of which is heard a byte at a time."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.vm.console import LOGIN, LONGEST_COMMAND, Console, said
from ccslab.vm.death import GuestDied, Watch, death_pattern
from ccslab.vm.feed import plain

STARTED: list[int] = []


def shell(*argv: str) -> int:
    """Start a program on a new pty; returns the descriptor of its terminal."""
    pid, handle = pty.fork()
    if pid == 0:
        os.environ.update(TERM="vt220", PS1="$ ", HOME="/", LC_ALL="C.UTF-8")
        os.execvp(argv[0], argv)
    STARTED.append(pid)
    return handle


def byte_by_byte(handle: int) -> int:
    """A descriptor that gives what ``handle`` gives, a byte at a time."""
    ours, theirs = socket.socketpair()

    def outward() -> None:
        try:
            while data := os.read(handle, 4096):
                for number in range(len(data)):
                    theirs.send(data[number : number + 1])
        except OSError:
            pass
        theirs.shutdown(socket.SHUT_RDWR)

    def inward() -> None:
        while data := theirs.recv(4096):
            os.write(handle, data)

    for work in (outward, inward):
        threading.Thread(target=work, daemon=True).start()
    return ours.detach()


@pytest.fixture
def open_console(tmp_path: Path) -> Iterator[Callable[[int], Console]]:
    opened: list[Console] = []

    def make(handle: int) -> Console:
        console = Console(
            handle, log=tmp_path / "console.log", cast=tmp_path / "console.cast", watch=Watch("console.log")
        )
        opened.append(console)
        return console

    yield make
    while STARTED:
        pid = STARTED.pop()
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    for console in opened:
        console.close()


BASH = ("bash", "--norc", "--noprofile", "-i")


@pytest.fixture(params=["bash", "bash byte by byte", "sh"])
def console(request: pytest.FixtureRequest, open_console: Callable[[int], Console]) -> Console:
    kind = str(request.param)
    handle = shell(*BASH) if "bash" in kind else shell("sh", "-i")
    console = open_console(byte_by_byte(handle) if "byte by" in kind else handle)
    console.expect(r"[#$] ", 20)
    console.prepare()
    return console


def test_status_and_output(console: Console) -> None:
    assert console.run("echo one; echo two") == (0, "one\ntwo\n")
    assert console.run("true") == (0, "")
    assert console.run("sh -c 'echo bad >&2; exit 3'") == (3, "bad\n")
    assert console.run("printf no-newline") == (0, "no-newline")


def test_check_raises_with_the_output(console: Console) -> None:
    with pytest.raises(InfrastructureError, match=r"ended with status 1.*No such file"):
        console.run("cat /does/not/exist", check=True)


def test_the_echo_of_marks_cannot_match(console: Console) -> None:
    tricky = r"echo '\e]133;D;9;aid=x\a' 'root@server:~# ' login:"
    assert "login:" in console.run(tricky).output
    assert console.run("echo next") == (0, "next\n")


@pytest.mark.parametrize("length", [131, 132, 133, 500, 2800])
def test_long_lines(console: Console, length: int) -> None:
    text = "".join(chr(ord("a") + number % 26) for number in range(length))
    assert console.run(f"echo {text}").output == text + "\n"


def test_much_output_is_whole(console: Console) -> None:
    lines = console.run("seq 1 5000").output.splitlines()
    assert lines == [str(number) for number in range(1, 5001)]


def test_exclamation_marks_and_dollars_arrive(console: Console) -> None:
    assert console.run("""echo "a!b" 'c!d' "$((6*7))" """).output == "a!b c!d 42\n"


def test_control_sequences_are_stripped(console: Console) -> None:
    assert console.run(r"printf '\033[1;31mred\033[0m\033]0;title\007 \342\202\254\n'").output == "red €\n"


def test_kernel_lines_are_taken_out_unless_wanted(console: Console) -> None:
    command = "echo begin; printf '%s   12.345678] tomoyo: something\\n' '['; echo end"
    assert console.run(command).output == "begin\nend\n"
    assert "tomoyo: something" in console.run(command, keep_kernel=True).output


MESSAGE = b"[  314.580123] systemd[1]: ssh.service: Deactivated successfully.\r\n"


@pytest.mark.parametrize("message", [MESSAGE, MESSAGE * 2, MESSAGE.replace(b"] ", b"][  T123] ", 1)])
def test_kernel_messages_at_every_byte(
    open_console: Callable[[int], Console], message: bytes, tmp_path: Path
) -> None:
    said = (
        b"\x1b]133;C;aid=MARK\x07one\r\n\x1b[1mtwo\x1b[0m\r\n\x1b]133;D;12;aid=MARK\x07root@server:~# "
        b"\x1b]133;B;aid=MARK\x07"
    )
    ours, theirs = socket.socketpair()
    console = open_console(ours.detach())
    said = said.replace(b"MARK", console.nonce.encode())
    for at in range(len(said) + 1):
        theirs.sendall(said[:at] + message + said[at:])
        assert console.finish(10) == (12, "one\ntwo\n"), f"cut at byte {at}: {said[:at][-20:]!r}"
    login = b"\r\nserver login: "
    for at in range(1, len(login)):
        theirs.sendall(login[:at] + message + login[at:])
        console.expect(LOGIN, 10)
    theirs.close()
    lines = [line for line in console.watch.last if "systemd[1]" in line]
    assert lines
    assert all(line == plain(message.decode()).splitlines()[0] for line in lines), "each is seen whole"


def test_a_death_in_the_middle_of_a_control_sequence_is_seen(open_console: Callable[[int], Console]) -> None:
    ours, theirs = socket.socketpair()
    console = open_console(ours.detach())
    theirs.sendall(b"ro\x1b[   12.345678] Kernel panic - not syncing: test\r\n[1mot")
    with pytest.raises(GuestDied, match="Kernel panic - not syncing: test"):
        console.expect("never", 10)
    theirs.close()


def test_an_echo_that_kernel_messages_cut_in_two_is_no_output() -> None:
    # As a guest's line brought it.
    raw = (
        "\x1b[6ncat /proc/ccs/ma[    1.558714] tsc: Refined TSC clocksource calibration: 2599.977 MHz\r\n"
        "[    1.559369] clocksource: tsc: mask: 0xffffffffffffffff max_idle_ns: 440795274039 ns\r\n"
        "nager\r\n[    1.560090] clocksource: Switched to tsc\r\n/bin/busybox\r\n/bin/ccsprobe\r\n"
    )
    assert said(raw, "never", echoed=True, keep_kernel=False) == "/bin/busybox\n/bin/ccsprobe\n"


def test_a_dialogue(console: Console) -> None:
    console.type("""printf 'really''? '; read answer; echo "got <$answer>" """)
    console.expect(r"really\? ", 10)
    console.type("yes")
    _, match = console.expect(r"got <(yes)>", 10)
    assert match.group(1) == "yes"
    assert console.finish(10).status == 0


def test_a_late_command_is_interrupted_by_the_next(console: Console) -> None:
    with pytest.raises(InfrastructureError, match="did not come within 1 s"):
        console.run("sleep 100", 1)
    assert console.run("echo again") == (0, "again\n")


def test_what_cannot_be_typed_is_refused(console: Console) -> None:
    for command in ("a\nb", "a\tb", "x" * (LONGEST_COMMAND + 1)):
        with pytest.raises(UserError, match="too long or has control characters"):
            console.run(command)


def test_everything_is_logged_and_recorded_though_nobody_waits(console: Console, tmp_path: Path) -> None:
    console.type("echo nobody-'waits'-for-this")
    log = tmp_path / "console.log"
    deadline = time.monotonic() + 10
    while b"nobody-waits-for-this" not in log.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    header, *events = [json.loads(line) for line in (tmp_path / "console.cast").read_text().splitlines()]
    assert header["version"] == 2
    times = [event[0] for event in events]
    assert times == sorted(times)
    assert {event[1] for event in events} == {"o"}
    seen = plain("".join(event[2] for event in events))
    assert "PS1=" not in seen, "the preparation of the prompt is not to be seen"


def test_a_death_string_ends_a_wait(console: Console) -> None:
    begun = time.monotonic()
    with pytest.raises(GuestDied, match="Kernel panic - not syncing: test") as died:
        console.run("echo '[    1.000000] Kernel panic - not syncing: test'; echo trace; sleep 60", 50)
    assert time.monotonic() - begun < 10
    assert any("trace" in line for line in died.value.last), "what comes right behind it is heard too"


def test_silence_ends_a_wait(console: Console) -> None:
    with pytest.raises(GuestDied, match="silent for 1 s"):
        console.expect("never", 30, silence_s=1)


def test_talk_keeps_a_wait_alive(console: Console) -> None:
    console.type("for i in 1 2 3 4 5; do sleep 0.4; echo tick; done; echo do''ne")
    console.expect("done", 30, silence_s=1.5)


def test_a_closed_line_ends_a_wait(open_console: Callable[[int], Console]) -> None:
    ours, theirs = socket.socketpair()
    console = open_console(ours.detach())
    theirs.send(b"last words\r\n")
    theirs.close()
    console.watch.declare("QEMU ended early with status 1")
    with pytest.raises(GuestDied, match=r"status 1.*last words"):
        console.expect("never", 30)


@pytest.mark.parametrize(
    "line",
    [
        "[    2.100000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
        "[    2.100000][    T1] BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "root@server:~# [   99.000001] Oops: Oops: 0002 [#1] PREEMPT SMP",
        "Kernel panic - not syncing: early",
        "[   12.000000] general protection fault, probably for non-canonical address 0xdead",
    ],
)
def test_lines_that_mean_death(line: str) -> None:
    assert death_pattern().search(line)


@pytest.mark.parametrize(
    "line",
    [
        "[   12.000000] traps: apache2[812] general protection fault ip:7f sp:7f error:0 in libc.so",
        "grep -c 'Kernel panic' console.log",
        "the page says Oops: sorry",
        "[    1.000000] Kernel command line: console=ttyS0 panic=-1",
    ],
)
def test_lines_that_do_not(line: str) -> None:
    assert not death_pattern().search(line)


def test_an_expected_end_is_no_death() -> None:
    watch = Watch()
    watch.expected = True
    watch.declare("QEMU ended early with status 0")
    watch.check()
    assert not watch.reason


def test_the_first_reason_stands_and_is_told() -> None:
    watch = Watch("console.log")
    told: list[str] = []
    watch.on_death.append(lambda: told.append(watch.reason))
    watch.line("[    1.000000] Kernel panic - not syncing: first")
    watch.declare("QEMU ended early with status 0")
    with pytest.raises(GuestDied, match=re.escape("console.log: the guest's kernel died: Kernel panic")):
        watch.check()
    assert told == ["the guest's kernel died: Kernel panic - not syncing: first"]


def test_whoever_knows_more_may_say_it_first() -> None:
    watch = Watch()
    said = threading.Timer(0.2, watch.line, ["[    1.000000] Kernel panic - not syncing: told"])
    said.start()
    watch.declare("the guest panicked", grace_s=60)
    said.join()
    assert watch.reason == "the guest's kernel died: Kernel panic - not syncing: told"


def test_if_nobody_knows_more_the_plain_reason_stands() -> None:
    watch = Watch()
    watch.declare("the guest panicked", grace_s=0.05)
    assert watch.reason == "the guest panicked"
