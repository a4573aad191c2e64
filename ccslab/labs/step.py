# SPDX-License-Identifier: GPL-2.0-only
"""One step of a workload or an attack: as a lab's TOML files write it, and as it is done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from ccslab import datafile
from ccslab.datafile import Checked, Choice, Fault, Inside, Lines, Meta, Record, Text, TextOrNothing

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
HTTP_TIMEOUT_S = 60.0
_PATH = re.compile(r"/[!-~]*")  # as it goes over the wire

Status = Annotated[int, Meta(ge=100, le=599, description="an HTTP status, such as 403")]
Seconds = Annotated[float, Meta(gt=0, lt=86400, description="seconds, above 0 and below a day")]
HeaderName = Annotated[
    str, Meta(pattern=r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z", description="the name of an HTTP header")
]  # RFC 9110, token
HeaderValue = Annotated[str, Meta(pattern=r"\A[ -~\t]*\Z", description="the value of an HTTP header")]
FileName = Annotated[
    str, Meta(pattern=r"\A(?!\.)[A-Za-z0-9._+-]+\Z", description="a file that payloads/Makefile makes")
]


# As it is done


@dataclass(frozen=True)
class Upload:
    """A file sent in a form, as a browser would."""

    field: str
    filename: str
    content: bytes
    type: str = "application/octet-stream"
    made: str = ""
    """What of the lab's ``payloads/Makefile`` is to be the content (``payload.fitted`` fills it in)."""


@dataclass(frozen=True)
class HttpStep:
    """A request to the server under test; its response is compared between phases."""

    name: str
    method: str
    path: str
    form: Mapping[str, str] = field(default_factory=dict)
    upload: Upload | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = 200
    """The status expected when nothing is denied; ``None`` for "whatever comes"."""


@dataclass(frozen=True)
class RootStep:
    """A shell command run in the guest as root, in the harness's own (exempt) domain."""

    name: str
    command: str
    within_s: float | None = None
    """Repeat until it succeeds, at most so many seconds: waiting for an event such as a mail."""
    output: bool = False
    """Whether its output is compared between phases."""


Step = HttpStep | RootStep


# As it is written


class Request(Checked):
    """``GET /index.html``."""

    kind = 'a request, such as "GET /index.html"'

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if the text is one.

        :raises Fault: it is none.
        """
        method, _, path = text.partition(" ")
        if method not in METHODS or not _PATH.fullmatch(path):
            raise Fault(f"{text!r:.60} is no request", mend='write e.g. "GET /index.html", %20 for a blank')


class UploadEntry(Record, frozen=True):
    """``upload = { field = "file", filename = "x.php", file = "payloads/shell.php" }``."""

    field: Text = "file"
    filename: Text = "file"
    type: Text = "application/octet-stream"
    content: str | None = None
    file: Inside | None = None
    made: FileName | None = None

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.content, self.file, self.made)) != 1:
            raise Fault("needs one of content, file and made")

    def upload(self, folder: Path) -> Upload:
        """The file that is sent.

        :raises Fault: the payload is not in the lab's folder.
        """
        content = (self.content or "").encode(errors="surrogateescape")
        if self.file is not None:
            path = folder / self.file
            if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
                raise Fault(f"payload {self.file!r} is not in the lab's folder", "file", mend="put it there")
            content = path.read_bytes()
        return Upload(self.field, self.filename, content, self.type, self.made or "")


class Entry(Choice):
    """A step as a file writes it: a request or a command."""

    def step(self, folder: Path, status: int | None) -> Step:
        """What is done.

        :param folder: the lab's; payload files are named relative to it.
        :param status: what is expected of a request that says nothing of it.
        :raises Fault: a payload is not in the lab's folder.
        """
        raise NotImplementedError


class HttpEntry(Record, Entry, frozen=True, kw_only=True):
    """``http = "METHOD /path"``."""

    key = "http"
    http: Request
    name: TextOrNothing = ""
    form: dict[str, str | int | float] = datafile.field(default_factory=dict)
    upload: UploadEntry | None = None
    headers: dict[HeaderName, HeaderValue] = datafile.field(default_factory=dict)
    status: Status | None = None

    def step(self, folder: Path, status: int | None) -> Step:
        """As of an entry."""
        method, _, path = self.http.partition(" ")
        try:
            upload = self.upload.upload(folder) if self.upload else None
        except Fault as fault:
            raise fault.below("upload") from None
        return HttpStep(
            name=self.name or f"{method} {path}",
            method=method,
            path=path,
            form={name: str(value) for name, value in self.form.items()},
            upload=upload,
            headers=self.headers,
            status=status if self.status is None else self.status,
        )


class RootEntry(Record, Entry, frozen=True, kw_only=True):
    """``root = "command"``."""

    key = "root"
    root: Lines
    name: TextOrNothing = ""
    within_s: Seconds | None = None
    output: bool = False

    def step(self, folder: Path, status: int | None) -> Step:
        """As of an entry."""
        command = self.root.strip()
        name = self.name or command.split("\n")[0][:60]
        return RootStep(name, command, self.within_s, self.output)


def steps(
    entries: Iterable[Entry], folder: Path, *place: str | int, status: int | None = 200
) -> tuple[Step, ...]:
    """What is done, of what is written.

    :param place: of the entries in their file.
    :param status: as of an entry.
    :raises Fault: as of an entry; says where.
    """
    found = []
    for number, entry in enumerate(entries):
        try:
            found.append(entry.step(folder, status))
        except Fault as fault:
            raise fault.below(*place, number) from None
    return tuple(found)
