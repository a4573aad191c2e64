# SPDX-License-Identifier: GPL-2.0-only
"""The way into a network namespace: a program in it that gives connections to its loopback address.

``serve FOLDER`` runs inside: whoever may enter the folder connects to the socket there, names a port, and
is handed a connection to it.  ``dial FOLDER PORT`` asks for one and hands it on to the ssh that started it
(ssh_config(5), ProxyUseFdpass).  A program of its own, with the standard library alone: ssh starts it for
each connection, and the harness's imports take longer than all the rest.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import sys
import threading
from pathlib import Path

NAME = "door"
READY = b"open\n"
HOST = "127.0.0.1"
TIMEOUT_S = 30.0
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h


def serve(folder: str) -> None:
    """Serve until standard input ends; the folder, and the socket in it, are gone then."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    path = Path(folder, NAME)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(64)
        os.write(1, READY)
        while 0 not in (ready := select.select([0, listener.fileno()], [], [])[0]):
            if ready:
                threading.Thread(target=_answer, args=(listener.accept()[0],), daemon=True).start()
    path.unlink()
    path.parent.rmdir()


def _answer(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError):
        client.settimeout(TIMEOUT_S)
        try:
            with socket.create_connection((HOST, int(client.recv(16))), timeout=TIMEOUT_S) as there:
                there.settimeout(None)  # and so blocking, for whoever gets it
                socket.send_fds(client, [b"."], [there.fileno()])
        except (OSError, ValueError) as error:
            client.sendall(f"!{error}".encode())


def dial(folder: str, port: int) -> socket.socket:
    """A connection to a port of the namespace's loopback address.

    :raises OSError: nobody serves there, or nobody listens on the port.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(str(Path(folder, NAME)))
        client.sendall(str(port).encode())
        said, handles, _, _ = socket.recv_fds(client, 4096, 1)
    if not handles:
        raise ConnectionError(said[1:].decode(errors="replace") or "the door is closed")
    return socket.socket(fileno=handles[0])


def main(words: list[str]) -> None:
    """The program."""
    if words[0] == "serve":
        serve(words[1])
        return
    with dial(words[1], int(words[2])) as there, socket.socket(fileno=os.dup(1)) as ssh:
        socket.send_fds(ssh, [b"."], [there.fileno()])


if __name__ == "__main__":
    main(sys.argv[1:])
