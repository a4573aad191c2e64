# SPDX-License-Identifier: GPL-2.0-only
"""What a step sends and what is kept of the answer, against a real server on 127.0.0.1."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ccslab.errors import InfrastructureError
from ccslab.labs import client as client_module
from ccslab.labs.client import Client, Exchange
from ccslab.labs.step import HttpStep, Upload
from ccslab.vm.death import GuestDied


def client_of(port: int, **options: Any) -> Client:
    """A client of a server on 127.0.0.1."""
    return Client(lambda timeout_s: socket.create_connection(("127.0.0.1", port), timeout_s), **options)


class Mirror(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403 if self.path == "/denied" else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Date", "never the same")
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.end_headers()
        self.wfile.write(f"{self.command} {self.path}\n{self.headers}".encode() + body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def client() -> Iterator[Client]:
    with http.server.HTTPServer(("127.0.0.1", 0), Mirror) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield client_of(server.server_address[1])
        server.shutdown()
        thread.join()


def test_a_refusal_is_an_answer(client: Client) -> None:
    answer = client.send(HttpStep("x", "GET", "/denied"))
    assert answer.status == 403
    assert answer.body.startswith(b"GET /denied\n")


def test_the_same_step_sends_the_same_bytes(client: Client) -> None:
    step = HttpStep("x", "POST", "/a", {"n": "1"}, Upload("f", "x.txt", b"\x00\r\n"), {"X-A": "b"})
    first, second = client.send(step), client.send(step)
    assert first == second
    assert first.digest() == second.digest()
    assert b"Host: server\n" in first.body  # not the port, which is another one each run


def test_what_changes_by_itself_is_not_compared_every_cookie_is(client: Client) -> None:
    assert client.send(HttpStep("x", "GET", "/")).headers == (
        ("content-type", "text/plain"), ("set-cookie", "a=1"), ("set-cookie", "b=2"),
    )  # fmt: skip


def test_a_form_and_an_upload_as_a_browser_sends_them(client: Client) -> None:
    body = client.send(HttpStep("x", "POST", "/a", {"a b": "ü&"})).body
    assert b"Content-Type: application/x-www-form-urlencoded\n" in body
    assert body.endswith(b"a+b=%C3%BC%26")
    body = client.send(
        HttpStep("x", "POST", "/a", {"n": "1"}, Upload("f", "x.php", b"\xff", "text/plain"))
    ).body
    assert body.split(b"\r\n")[-7:] == [
        b"--ccs-lab-form-boundary", b'Content-Disposition: form-data; name="f"; filename="x.php"',
        b"Content-Type: text/plain", b"", b"\xff", b"--ccs-lab-form-boundary--", b"",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        Exchange("x", 403, (), b"body"),
        Exchange("x", 200, (("location", "/"),), b"body"),
        Exchange("x", 200, (), b"bodY"),
    ],
)
def test_the_digest_tells_exchanges_apart(other: Exchange) -> None:
    assert Exchange("x", 200, (), b"body").digest() != other.digest()


def test_nobody_there_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(InfrastructureError, match=r"^GET /a \(page\): the server did not answer: .*refused"):
        client_of(port).send(HttpStep("page", "GET", "/a"))


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", b"rubbish\r\n"])
def test_half_an_answer_is_one_line(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(InfrastructureError, match=r"the server did not answer: .+ - look at"):
            client_of(listener.getsockname()[1]).send(HttpStep("x", "GET", "/"))
        thread.join()


def test_a_silent_server_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "HTTP_TIMEOUT_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(InfrastructureError, match="timed out"),
    ):
        client_of(listener.getsockname()[1]).send(HttpStep("x", "GET", "/"))


def test_a_lost_guest_is_the_better_reason() -> None:
    def blame() -> None:
        raise GuestDied("QEMU ended early with status -9")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(GuestDied, match="QEMU ended early"):
        client_of(port, blame=blame).send(HttpStep("page", "GET", "/a"))
