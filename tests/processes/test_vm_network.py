# SPDX-License-Identifier: GPL-2.0-only
"""The network namespace that forwards listen in: who gets in, who does not, and that nothing is left."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError
from ccslab.vm import network
from ccslab.vm.network import Open, Private, private
from ccslab.vm.spawn import spawn

HELLO = b"SSH-2.0-hello\r\n"
SERVER = """
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        with listener.accept()[0] as there:
            there.sendall(b"SSH-2.0-hello\\r\\n")
"""


@pytest.fixture
def inside() -> Iterator[tuple[Private, int]]:
    """A namespace of its own, and the port of a server in it."""
    made = private()
    assert isinstance(made, Private), "this machine gives no network namespaces"
    server = spawn([sys.executable, "-c", SERVER], enter=made.enter, stdout=subprocess.PIPE)
    assert server.stdout
    yield made, int(server.stdout.readline())
    server.kill()
    server.communicate()


def test_a_port_is_reached_from_here_and_not_from_the_host(inside: tuple[Private, int]) -> None:
    made, port = inside
    with made.connect(port, 5) as there:
        assert there.recv(100) == HELLO
        assert there.gettimeout() == 5
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_a_closed_port_is_refused(inside: tuple[Private, int]) -> None:
    with pytest.raises(ConnectionError, match="refused"):
        inside[0].connect(1, 5)


def test_the_way_in_is_the_users_alone(inside: tuple[Private, int]) -> None:
    assert inside[0].folder.stat().st_mode & 0o777 == 0o700


def test_many_at_once(inside: tuple[Private, int]) -> None:
    made, port = inside
    got: list[bytes] = []

    def ask() -> None:
        with made.connect(port, 20) as there:
            got.append(there.recv(100))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [HELLO] * 20


def test_ssh_is_handed_a_connection(inside: tuple[Private, int], tmp_path: Path) -> None:
    made, port = inside
    config = tmp_path / "config"
    options = "".join(f"  {name} {value}\n" for name, value in made.ssh_options(port).items())
    config.write_text(f"Host server\n{options}  BatchMode yes\n")
    # What answers is no sshd, but ssh has read its words.
    done = subprocess.run(
        ["ssh", "-v", "-F", config, "server"], capture_output=True, text=True, timeout=30, check=False
    )
    assert "remote software version hello" in done.stderr, done.stderr


def test_nothing_is_left_of_a_killed_run(other_run: Callable[[str], subprocess.Popen[str]]) -> None:
    child = other_run("""
        import sys, time
        from ccslab.vm.network import private
        print(private().folder, private()._child.pid, flush=True)
        time.sleep(100)
    """)
    assert child.stdout
    folder, pid = child.stdout.readline().split()
    assert (Path(folder) / "door").is_socket()
    child.send_signal(signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 20
    while Path(folder).exists() or Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "the namespace's program outlives its run"
        time.sleep(0.05)


def test_without_namespaces_that_is_said(
    bin_folder: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bin_folder("unshare", "echo unshare failed: Operation not permitted >&2; exit 1")
    with pytest.raises(InfrastructureError, match="Operation not permitted"):
        Private()
    private.cache_clear()
    try:
        assert isinstance(private(), Open)
        assert private() is private()
    finally:
        private.cache_clear()
    assert capsys.readouterr().out.count("other users of this machine can reach") == 1


def test_a_namespace_that_cannot_be_entered_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    made = private()
    assert isinstance(made, Private)
    with Path("/dev/null").open() as wrong:
        monkeypatch.setattr(made, "_handles", [wrong.fileno()])
        with pytest.raises(InfrastructureError, match=r"true: cannot be started"):
            spawn(["true"], enter=made.enter)


def test_its_time_to_start_is_bounded(
    tmp_path: Path, bin_folder: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder("unshare", "exec sleep 100")
    monkeypatch.setattr(network, "START_TIMEOUT_S", 0.3)
    monkeypatch.setattr(network, "SHORT", tmp_path)
    before = set(tmp_path.iterdir())
    with pytest.raises(InfrastructureError, match="no answer"):
        Private()
    assert set(tmp_path.iterdir()) == before
