# SPDX-License-Identifier: GPL-2.0-only
"""The outside world of a server: sends the steps' requests and keeps what came back."""

from __future__ import annotations

import hashlib
import http.client
import socket
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

from ccslab.errors import InfrastructureError
from ccslab.labs.step import HTTP_TIMEOUT_S, HttpStep

# Fixed, so that the same step sends the same bytes in every phase.
BOUNDARY = "ccs-lab-form-boundary"
COMPARED_HEADERS = ("content-type", "location", "set-cookie")


@dataclass(frozen=True)
class Exchange:
    """What a step gave back: compared between phases, and asked by attacks."""

    name: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def digest(self) -> str:
        """One line that is equal exactly when two exchanges are."""
        kept = " ".join(f"{name}={value}" for name, value in self.headers)
        return f"{self.status} {hashlib.sha256(self.body).hexdigest()[:16]} {len(self.body)} bytes {kept}"


class Client:
    """An HTTP client to one port of the guest.

    :param dial: gives a connection to it whose operations may take so many seconds; OSError if there is none.
    :param blame: called when no answer came; raises if the guest, or its QEMU, is lost.
    :param patience: how many times longer than usual an answer may take.
    """

    def __init__(
        self,
        dial: Callable[[float], socket.socket],
        *,
        blame: Callable[[], None] = lambda: None,
        patience: float = 1.0,
    ) -> None:
        self.dial = dial
        self.blame = blame
        self.timeout_s = HTTP_TIMEOUT_S * patience

    def send(self, step: HttpStep) -> Exchange:
        """Send one request on a connection of its own.

        :raises InfrastructureError: no answer at all (a refusal by policy is an answer).
        """
        body, headers = _encode(step)
        connection = http.client.HTTPConnection("server")
        try:
            connection.sock = self.dial(self.timeout_s)
            connection.request(step.method, step.path, body=body, headers={"Host": "server", **headers})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.blame()
            raise InfrastructureError(
                f"the server did not answer: {error or type(error).__name__}",
                where=f"{step.method} {step.path} ({step.name})",
                mend="look at console.log and the server's error log",
            ) from error
        finally:
            connection.close()
        kept = tuple(
            (name, value) for name in COMPARED_HEADERS for value in response.headers.get_all(name, [])
        )
        return Exchange(step.name, response.status, kept, content)


def raw(step: HttpStep) -> bytes:
    """The request as it goes over the wire, for a client in the guest."""
    body, headers = _encode(step)
    if body is not None:
        headers["Content-Length"] = str(len(body))
    lines = [f"{step.method} {step.path} HTTP/1.1", "Host: server", *map(": ".join, headers.items()), "", ""]
    return "\r\n".join(lines).encode() + (body or b"")


def _encode(step: HttpStep) -> tuple[bytes | None, dict[str, str]]:
    headers = {"User-Agent": "ccs-lab", "Connection": "close", **step.headers}
    if step.upload is None:
        if not step.form:
            return None, headers
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return urllib.parse.urlencode(step.form).encode(), headers
    upload = step.upload
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in step.form.items()
    ]
    disposition = f'Content-Disposition: form-data; name="{upload.field}"; filename="{upload.filename}"'
    opening = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: {upload.type}\r\n\r\n"
    parts.append(opening.encode() + upload.content + b"\r\n")
    parts.append(f"--{BOUNDARY}--\r\n".encode())
    headers.setdefault("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    return b"".join(parts), headers
