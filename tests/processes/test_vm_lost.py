# SPDX-License-Identifier: GPL-2.0-only
"""A QEMU that is replaced, ends, or stands still: each wait says so, with QEMU's last words."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError
from ccslab.vm import emulator, qmp
from ccslab.vm.death import GuestDied, Watch
from ccslab.vm.machine import Machine
from ccslab.vm.ssh import Keys, Ssh

PutProgram = Callable[[str, str], Path]


def start(folder: Path) -> None:
    kernel = folder / "bzImage"
    kernel.touch()
    with Machine(kernel, None, folder / "guest", forwards={}):
        pytest.fail("it started")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("exit 0", r"QEMU did not start: \S+"),
        ("echo 'no such machine' >&2; exit 1", "QEMU did not start: no such machine"),
        ("kill -SEGV $$", r"QEMU did not start: \S+"),
        ("exec sleep 60", r"QEMU did not start: .*no answer to greet within"),
        ("for n in 3 4 5 6 7 8 9 10 11 12; do echo rubbish >&$n; done 2>/dev/null; exec sleep 60",
         r"QEMU did not start: \S+"),
        ("""for n in 3 4 5 6 7 8 9 10 11 12; do echo '{"QMP": 5}' >&$n; done 2>/dev/null; exec sleep 60""",
         r"QEMU did not start: \S+"),
    ],
)  # fmt: skip
def test_what_is_no_qemu(
    tmp_path: Path, bin_folder: PutProgram, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    monkeypatch.setattr(qmp, "COMMAND_TIMEOUT_S", 1.0)
    monkeypatch.setattr(emulator, "LAST_EVENT_S", 0.5)
    bin_folder("qemu-system-x86_64", body)
    begun = time.monotonic()
    with pytest.raises(InfrastructureError, match=reason):
        start(tmp_path)
    assert time.monotonic() - begun < 10
    assert not list((tmp_path / "guest").glob("*.qcow2"))


@pytest.fixture
def broken(tmp_path: Path) -> Ssh:
    """SSH to something that hangs up at once."""
    keys = Keys(tmp_path / "ssh")
    keys.make()
    keys.known_hosts.touch()
    watch = Watch("console.log", patience=0.01)

    def dial() -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours

    return Ssh(keys, dial, watch)


def test_the_end_of_qemu_is_waited_for(broken: Ssh) -> None:
    broken.watch.pulse = lambda: "QEMU gives no sign of life: gone"
    threading.Timer(0.5, broken.watch.declare, ["QEMU ended early with status -9"]).start()
    with pytest.raises(GuestDied, match="status -9"):
        broken.run("true")


def test_a_qemu_that_stands_still_is_blamed(broken: Ssh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccslab.vm.death.EXIT_NOTICE_S", 0.2)
    broken.watch.pulse = lambda: "QEMU gives no sign of life: no answer to query-status within 15 s"
    with pytest.raises(GuestDied, match="QEMU gives no sign of life"):
        broken.run("true")


def test_a_living_qemu_is_not_blamed_and_there_is_always_a_reason(broken: Ssh) -> None:
    with pytest.raises(InfrastructureError, match=r"no ssh connection within 1 s: \w+") as caught:
        broken.run("true")
    assert not isinstance(caught.value, GuestDied)


def test_an_end_that_is_expected_is_nobodys_fault() -> None:
    watch = Watch()
    watch.expected = True
    watch.pulse = lambda: pytest.fail("asked")
    watch.blame()
    assert not watch.reason
