# SPDX-License-Identifier: GPL-2.0-only
"""SSH into a guest with a key of the run: workloads and files for the harness, a login for a person."""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import fabric
import paramiko  # type: ignore[import-untyped]

from ccslab.errors import InfrastructureError
from ccslab.process import need, run
from ccslab.vm.death import Watch
from ccslab.vm.network import short_folder

# What its thread would print with a traceback is raised in ours, or is a guest's wanted end.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)
ALIAS = "server"  # the guest's name in ssh_config, known_hosts and testinfra's --hosts
SOCKET = "socket"
NEAR = "ssh"  # the keys' folder under a short name
CONNECT_TIMEOUT_S = 90.0
RETRY_S = 0.3  # between two tries while the guest's sshd is not up; there is no event to wait for


class Keys:
    """The files one run's SSH needs, all in its folder; the user's own ~/.ssh is neither read nor written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identity = folder / "id_ed25519"
        self.known_hosts = folder / "known_hosts"
        self.config = folder / "config"
        self.control: Path | None = None
        """Where ssh programs find the rest under short names while the guest runs, and their sockets lie."""
        self._place = contextlib.ExitStack()

    def make(self) -> None:
        """Make the key pair, if it is not made."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.identity.exists():
            argv: list[str | Path] = [need("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", ""]
            run([*argv, "-C", "ccs-lab", "-f", self.identity], timeout_s=30)

    @property
    def public(self) -> str:
        """The line for authorized_keys."""
        return self.identity.with_suffix(".pub").read_text().strip()

    def write(self, way: Mapping[str, object], host_keys: str) -> None:
        """Write known_hosts and the ssh_config that reaches the guest as ``server``.

        :param way: the options of ssh_config(5) by which ssh reaches the guest's port.
        :param host_keys: the guest's public host keys, one a line, as its console shows them.
        """
        # testinfra connects for every look it takes and shares connections if there is a place for their
        # socket; the run's folder may be too deep for one (108 bytes, 17 of them ssh's own), and its name may
        # have what ssh_config expands (%) and what testinfra cannot say (é).
        self._retire()
        self.control = self._place.enter_context(short_folder("ssh"))
        (self.control / NEAR).symlink_to(self.folder.resolve())
        keys = [line.split()[:2] for line in host_keys.splitlines() if line.startswith(("ssh-", "ecdsa-"))]
        self.known_hosts.write_text("".join(f"{ALIAS} {kind} {key}\n" for kind, key in keys))
        self.point(way)

    def point(self, way: Mapping[str, object]) -> None:
        """Have ssh_config reach the guest this way."""
        assert self.control
        near = self.control / NEAR
        options = {
            **way,
            "User": "root",
            "HostKeyAlias": ALIAS,
            "IdentityFile": near / self.identity.name,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": near / self.known_hosts.name,
            "GlobalKnownHostsFile": "none",
            "StrictHostKeyChecking": "yes",
            "PasswordAuthentication": "no",
            # What costs an emulated guest least: OpenSSH's first choice, sntrup761, is seconds of arithmetic.
            "KexAlgorithms": "curve25519-sha256",
            "HostKeyAlgorithms": "ssh-ed25519",
            "Ciphers": "aes128-ctr",
            "GSSAPIAuthentication": "no",
            "ConnectTimeout": int(CONNECT_TIMEOUT_S),
            "LogLevel": "ERROR",
            "ControlPath": f"{self.control}/{SOCKET}",
        }
        lines = "".join(f"    {name} {value}\n" for name, value in options.items())
        self.config.write_text(f"Host {ALIAS}\n{lines}")

    def hang_up(self) -> None:
        """End the connections that ssh programs share."""
        if self.control and (self.control / SOCKET).exists():
            argv: list[str | Path] = [need("ssh", "openssh-client"), "-F", self.config, "-O", "exit", ALIAS]
            with contextlib.suppress(InfrastructureError):
                run(argv, timeout_s=5, check=False)

    def close(self) -> None:
        """Remove the key and what is outside of the folder: the guest has ended."""
        self._retire()
        for path in (self.identity, self.identity.with_suffix(".pub")):
            path.unlink(missing_ok=True)

    def _retire(self) -> None:
        if self.control:
            self.hang_up()
            self._place.close()
            self.control = None


class Reply(NamedTuple):
    """What a command run over SSH left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


class Ssh:
    """The connection to one guest, opened when first used and again after ``drop``.

    One connection carries all commands: key exchange and login cost seconds in an emulated guest, a
    further command on an open connection a tenth of one.

    :param dial: gives a connection to the guest's sshd, raises OSError if there is none.
    """

    def __init__(self, keys: Keys, dial: Callable[[], socket.socket], watch: Watch) -> None:
        self.keys = keys
        self.dial = dial
        self.watch = watch
        self._connection: fabric.Connection | None = None
        self._lock = threading.RLock()

    @property
    def testinfra(self) -> list[str]:
        """The arguments with which pytest's testinfra asserts on this guest."""
        assert self.keys.control, "a guest's Ssh is made when its keys are written"
        config = self.keys.control / NEAR / self.keys.config.name
        return [f"--hosts=ssh://{ALIAS}", f"--ssh-config={config}"]

    def run(self, command: str, *, check: bool = True, timeout_s: float = 60.0, stdin: str = "") -> Reply:
        """Run a shell command in the guest as root; the watch's patience stretches the time it may take.

        :param check: raise when the exit status is not 0.
        :raises GuestDied: the guest died meanwhile.
        :raises InfrastructureError: no connection, too late, or (``check``) failed.
        """
        timeout_s *= self.watch.patience
        with self._translated(command):
            channel = self._channel(timeout_s)
            try:
                reply = _converse(channel, command, stdin.encode(), time.monotonic() + timeout_s)
            finally:
                channel.close()
        if check and reply.status:
            said = " | ".join((reply.err or reply.out).strip().splitlines()[-3:])
            raise InfrastructureError(
                f"{command[:80]!r} ended with status {reply.status}: {said}", where=self.watch.where
            )
        return reply

    def put(self, local: Path, remote: str) -> None:
        """Copy a file of the host to the guest; its mode is kept."""
        with self._translated(f"put {local}"):
            self.connection().put(str(local), remote)

    def get(self, remote: str, local: Path) -> None:
        """Copy a file of the guest to the host."""
        with self._translated(f"get {remote}"):
            self.connection().get(remote, str(local))

    def write(self, remote: str, text: str, *, mode: int = 0o644) -> None:
        """Write a text file in the guest."""
        name = shlex.quote(remote)
        self.run(f"cat > {name} && chmod {mode:o} {name}", stdin=text)

    def connection(self) -> fabric.Connection:
        """The open fabric connection, made now if there is none; waits for the guest's sshd."""
        with self._lock:
            if self._connection is None or not self._connection.is_connected:
                self._connection = self._connect(CONNECT_TIMEOUT_S * self.watch.patience)
            return self._connection

    def drop(self) -> None:
        """Close the connection; the next use makes a new one. For loads of checkpoints and dead guests."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # The guest's side may be in another time or gone: close ours without waiting for an answer.
            if connection.transport:
                connection.transport.close()
            with contextlib.suppress(Exception):
                connection.close()
        self.keys.hang_up()

    def _channel(self, timeout_s: float) -> Any:
        transport = self.connection().transport
        return transport.open_session(timeout=timeout_s)

    def _connect(self, timeout_s: float) -> fabric.Connection:
        config = fabric.Config(lazy=True, overrides={"load_ssh_configs": False})
        deadline = time.monotonic() + timeout_s
        key = paramiko.Ed25519Key.from_private_key_file(str(self.keys.identity))
        while True:
            self.watch.check()
            try:
                return self._open(config, key)
            except paramiko.BadHostKeyException as error:
                raise InfrastructureError(
                    f"the guest shows another host key: {error}", where=ALIAS
                ) from error
            except paramiko.AuthenticationException as error:
                raise InfrastructureError(
                    f"the guest refuses the run's key: {error}",
                    where=ALIAS,
                    mend="is authorized_keys readable?",
                ) from error
            except (OSError, EOFError, paramiko.SSHException) as error:
                if time.monotonic() > deadline:
                    self.watch.blame()
                    raise InfrastructureError(
                        f"no ssh connection within {timeout_s:.0f} s: {_words(error)}", where=self.watch.where
                    ) from error
            time.sleep(RETRY_S)

    def _open(self, config: fabric.Config, key: Any) -> fabric.Connection:
        """One try of a connection, which accepts the host keys the console showed and no other."""
        with contextlib.ExitStack() as stack:
            connection = fabric.Connection(
                ALIAS,
                user="root",
                config=config,
                connect_timeout=int(30 * self.watch.patience),
                connect_kwargs={
                    "sock": stack.enter_context(self.dial()),
                    "pkey": key,
                    "allow_agent": False,
                    "look_for_keys": False,
                    "banner_timeout": 60 * self.watch.patience,
                    "auth_timeout": 60 * self.watch.patience,
                    "compress": False,
                },
            )
            stack.callback(connection.close)
            pinned = connection.client.get_host_keys()
            for line in self.keys.known_hosts.read_text().splitlines():
                if entry := paramiko.hostkeys.HostKeyEntry.from_line(line):
                    pinned.add(ALIAS, entry.key.get_name(), entry.key)
            connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            connection.open()
            stack.pop_all()
        return connection

    @contextlib.contextmanager
    def _translated(self, what: str) -> Any:
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as error:
            if not isinstance(error, TimeoutError):
                self.drop()
            self.watch.blame()  # a dead guest is the better reason
            broken = "" if isinstance(error, TimeoutError) else "ssh broke in "
            raise InfrastructureError(
                f"{broken}{what[:80]!r}: {_words(error)}", where=self.watch.where
            ) from error


def _words(error: BaseException) -> str:
    """What an exception says; its kind, if it says nothing."""
    return str(error) or type(error).__name__


def _converse(channel: Any, command: str, stdin: bytes, deadline: float) -> Reply:
    """Run a command on an open channel to its end, both outputs read as they come."""
    channel.settimeout(30.0)
    channel.exec_command(command)
    if stdin:
        channel.sendall(stdin)
    channel.shutdown_write()
    out, err = bytearray(), bytearray()
    event = threading.Event()
    channel.in_buffer.set_event(event)
    channel.in_stderr_buffer.set_event(event)
    while True:
        event.clear()
        while channel.recv_ready():
            out += channel.recv(65536)
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(65536)
        finished = channel.eof_received or channel.closed
        if finished and not channel.recv_ready() and not channel.recv_stderr_ready():
            break
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it did not end in time")
        event.wait(min(left, 0.1))
    if not channel.status_event.wait(max(0.1, deadline - time.monotonic())):
        raise TimeoutError("it gave no exit status in time")
    status = channel.recv_exit_status()
    if status < 0:
        raise EOFError("the connection was lost")
    return Reply(status, out.decode(errors="replace"), err.decode(errors="replace"))
