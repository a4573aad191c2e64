# SPDX-License-Identifier: GPL-2.0-only
"""The machine stage against the Debian server: login, SSH, testinfra, checkpoints, orderly end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra

from ccslab.errors import InfrastructureError
from ccslab.store import Store
from ccslab.vm import accel, person
from ccslab.vm.checkpoint import ensure
from ccslab.vm.death import GuestDied
from ccslab.vm.feed import plain
from ccslab.vm.machine import Machine

pytestmark = [pytest.mark.guest, pytest.mark.slow]


@pytest.fixture(scope="module")
def saved(kernel: Path, server_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the server, logged in on the console."""

    def prepare(machine: Machine) -> None:
        machine.boot()
        machine.login()

    store = Store(tmp_path_factory.mktemp("cache"))
    return ensure(
        lambda folder: Machine(kernel, server_image, folder, accel=accel.choose("auto")), prepare, store=store
    )


@pytest.fixture
def guest(saved: Path, kernel: Path, server_image: Path, tmp_path: Path) -> Iterator[Machine]:
    folder = tmp_path / "guest"
    with Machine(kernel, server_image, folder, accel=accel.choose("auto"), checkpoint=saved) as machine:
        machine.boot()
        yield machine


def test_a_clone_is_there_at_once_with_the_runs_key(guest: Machine) -> None:
    assert guest.console.run("hostname") == (0, "server\n")
    assert guest.ssh.run("id -u").out == "0\n"
    assert guest.ssh.run("echo bad >&2; exit 3", check=False) == (3, "", "bad\n")
    with pytest.raises(InfrastructureError, match="ended with status 3: bad"):
        guest.ssh.run("echo bad >&2; exit 3")
    begun = time.monotonic()
    with pytest.raises(InfrastructureError, match="did not end in time"):
        guest.ssh.run("sleep 100", timeout_s=2)
    assert time.monotonic() - begun < 10
    assert len(guest.ssh.run("seq 1 100000").out.splitlines()) == 100000
    _, *events = [json.loads(line) for line in (guest.folder / "console.cast").read_text().splitlines()]
    recorded = plain("".join(text for _, _, text in events))
    assert "authorized_keys" not in recorded
    assert "root@server:~# hostname\nserver\nroot@server:~# " in recorded


def test_files_go_both_ways(guest: Machine, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4000
    (tmp_path / "there").write_bytes(data)
    guest.ssh.put(tmp_path / "there", "/tmp/a file")
    guest.ssh.get("/tmp/a file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    guest.ssh.write("/tmp/it's text", "one\ntwo €\n")
    assert guest.ssh.run('cat "/tmp/it\'s text"').out == "one\ntwo €\n"


def test_testinfra_and_a_person_come_in_by_the_same_config(guest: Machine) -> None:
    host = testinfra.get_host("ssh://server", ssh_config=str(guest.keys.config))
    assert host.file("/etc/hostname").content_string.strip() == "server"
    begun = time.monotonic()
    assert host.service("apache2").is_running
    assert host.user("www-data").uid == 33
    shared = time.monotonic() - begun
    guest.ssh.run("touch /root/gone")
    guest.save("here")
    guest.ssh.run("rm /root/gone")
    guest.load("here")
    assert host.file("/root/gone").exists, f"a shared connection is not to survive a load ({shared:.1f} s)"
    assert person.ssh(guest.folder, "test -d /etc/apache2") == 0
    assert person.ssh(guest.folder, "exit 7") == 7


def test_ssh_comes_back_after_a_load(guest: Machine) -> None:
    guest.ssh.run("echo before > /root/state")
    assert guest.save("here") < 10
    guest.ssh.run("echo after > /root/state; sync")
    assert guest.load("here", clock=True) < 10
    assert guest.ssh.run("cat /root/state").out == "before\n"
    assert abs(float(guest.ssh.run("date +%s").out) - time.time()) < 5


def test_ssh_ends_at_once_when_the_guest_panics(guest: Machine) -> None:
    guest.ssh.run("true")
    guest.console.type("sleep 2; echo c > /proc/sysrq-trigger")
    begun = time.monotonic()
    with pytest.raises(GuestDied, match="Kernel panic"):
        guest.ssh.run("sleep 100", timeout_s=100)
    assert time.monotonic() - begun < 30


def test_an_orderly_end(guest: Machine) -> None:
    guest.shutdown()
    assert not guest.process.alive
    ends = [event.data["reason"] for event in guest.events if event.name == "SHUTDOWN"]
    assert ends == ["guest-shutdown"]
