# SPDX-License-Identifier: GPL-2.0-only
"""Where the forwards of guests listen: on the loopback address of a network namespace of this process.

The guests' servers are vulnerable on purpose, and a verdict is about who reached them: on the host's own
127.0.0.1 every local user could.  Into the namespace leads only a socket in a folder of the user's (door.py).
A person's own guest (``vm.boot``) is for the browser, and so on the host's address.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

from ccslab.errors import InfrastructureError
from ccslab.process import need
from ccslab.progress import console
from ccslab.store import temporary
from ccslab.vm import door

START_TIMEOUT_S = 20.0
SHORT = Path("/tmp")  # noqa: S108 (each folder there is new, and of mode 0700)
_libc = ctypes.CDLL(None, use_errno=True)


class Network(Protocol):
    """Where forwards listen, and how they are reached."""

    def enter(self) -> None:
        """Called in QEMU's process before QEMU is executed."""

    def connect(self, port: int, timeout_s: float) -> socket.socket:
        """A connection to a forwarded port.

        :raises OSError: nobody listens there.
        """

    def ssh_options(self, port: int) -> Mapping[str, object]:
        """What ssh_config(5) needs to reach a forwarded port."""


class Open:
    """The host's own loopback address: every user of this machine reaches it."""

    def enter(self) -> None:
        """Nothing to do."""

    def connect(self, port: int, timeout_s: float) -> socket.socket:
        """As of ``Network``."""
        return socket.create_connection((door.HOST, port), timeout=timeout_s)

    def ssh_options(self, port: int) -> Mapping[str, object]:
        """As of ``Network``."""
        return {"HostName": door.HOST, "Port": port}


class Private:
    """A network namespace that lives as long as this process and the guests in it.

    :raises InfrastructureError: this machine gives us none.
    """

    def __init__(self) -> None:
        self._left = contextlib.ExitStack()  # open for as long as this process, whose lock is on the folder
        self.folder = self._left.enter_context(short_folder("net"))
        argv = [need("unshare", "util-linux"), *_namespaces(), "--", sys.executable, "-IS", door.__file__]
        ours, theirs = os.pipe()
        said, says = os.pipe()
        try:
            # Its standard input ends with this process, and it with that.
            self._child = subprocess.Popen(
                [*argv, "serve", str(self.folder)],
                stdin=ours,
                stdout=says,
                stderr=says,
                start_new_session=True,
            )
            answer = os.read(said, 4096) if select.select([said], [], [], START_TIMEOUT_S)[0] else b""
            if answer != door.READY:
                self._child.kill()
                self._child.wait()
                last = answer.decode(errors="replace").strip().splitlines()[-1:]
                raise InfrastructureError(f"no network namespace can be made: {''.join(last) or 'no answer'}")
            self._handles = [
                os.open(f"/proc/{self._child.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
                for kind in (["user", "net"] if "--user" in argv else ["net"])
            ]
        except BaseException:
            os.close(theirs)
            self._left.close()
            raise
        finally:
            for handle in (ours, said, says):
                os.close(handle)

    def enter(self) -> None:
        """Enter the namespaces; for a process of one thread."""
        for handle in self._handles:
            if _libc.setns(handle, 0) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def connect(self, port: int, timeout_s: float) -> socket.socket:
        """As of ``Network``."""
        made = door.dial(str(self.folder), port)
        made.settimeout(timeout_s)
        return made

    def ssh_options(self, port: int) -> Mapping[str, object]:
        """As of ``Network``; ssh has its connection from a program."""
        words = [sys.executable, "-IS", door.__file__, "dial", str(self.folder), str(port)]
        return {
            "HostName": door.HOST,
            "Port": port,
            "ProxyCommand": shlex.join(words).replace("%", "%%"),
            "ProxyUseFdpass": "yes",
        }


@contextlib.contextmanager
def short_folder(word: str) -> Iterator[Path]:
    """A new folder of the user's own whose name leaves room for a UNIX socket's, wherever TMPDIR is.

    :param word: what it is for, in its name.
    :raises InfrastructureError: there is no place for one.
    """
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(temporary.folder(word, SHORT))
        except OSError as error:
            mend = "sockets lie there, whose names must be short"
            raise InfrastructureError(error.strerror or str(error), where=SHORT, mend=mend) from error
        yield made


def _namespaces() -> list[str]:
    """The words for unshare(1): root needs no user namespace."""
    return ["--net"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net"]


@cache
def private() -> Network:
    """This process's namespace; where there can be none, the host's address, and that is said once."""
    try:
        return Private()
    except InfrastructureError as error:
        console.print(f"  warning: {error.what}: other users of this machine can reach the guests' servers")
        return Open()
