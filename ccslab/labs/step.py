# SPDX-License-Identifier: GPL-2.0-only
"""One step of a workload or an attack, as the lab's TOML files write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccslab.errors import UserError, unknown

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
HTTP_TIMEOUT_S = 60.0
_PATH = re.compile(r"/[!-~]*")  # as it goes over the wire
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token
_FILE_NAME = re.compile(r"(?!\.)[A-Za-z0-9._+-]+")
_HEADER_VALUE = re.compile(r"[ -~\t]*")


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
_HTTP_KEYS = {"name", "http", "form", "upload", "headers", "status"}
_ROOT_KEYS = {"name", "root", "within_s", "output"}
_CONTENT_KEYS = {"content", "file", "made"}
_UPLOAD_KEYS = {"field", "filename", "type"} | _CONTENT_KEYS


def parse_steps(
    entries: Any, folder: Path, where: str, *, default_status: int | None = 200
) -> tuple[Step, ...]:
    """Steps from a TOML array of tables.

    :param folder: the lab's folder; payload files are named relative to it.
    :param where: the file and table, for messages.
    :raises UserError: a step is malformed; says which and how.
    """
    if not isinstance(entries, list):
        raise UserError("steps must be an array of tables", where=where)
    return tuple(
        _parse(entry, folder, f"{where} step {number}", default_status)
        for number, entry in enumerate(entries, start=1)
    )


def _parse(entry: Any, folder: Path, where: str, default_status: int | None) -> Step:
    if not isinstance(entry, dict) or ("http" in entry) == ("root" in entry):
        raise UserError('needs either http = "METHOD /path" or root = "command"', where=where)
    kind = _HTTP_KEYS if "http" in entry else _ROOT_KEYS
    for key in entry:
        if key not in kind:
            error = unknown("key", key, kind)
            raise UserError(error.what, where=where, mend=error.mend)
    if "root" in entry:
        command = _text(entry, "root", where)
        return RootStep(
            name=str(entry.get("name", command.split("\n")[0][:60])),
            command=command,
            within_s=_seconds(entry["within_s"], where) if "within_s" in entry else None,
            output=_flag(entry, "output", where),
        )
    method, _, path = _text(entry, "http", where).partition(" ")
    if method not in METHODS or not _PATH.fullmatch(path):
        raise UserError(
            f"{entry['http']!r} is no request",
            where=where,
            mend='write e.g. "GET /index.html", %20 for a blank',
        )
    return HttpStep(
        name=str(entry.get("name", f"{method} {path}")),
        method=method,
        path=path,
        form=texts(entry, "form", where),
        upload=_upload(entry["upload"], folder, where) if "upload" in entry else None,
        headers=_headers(entry, where),
        status=http_status(entry["status"], where) if "status" in entry else default_status,
    )


def texts(entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    """A table of texts (or numbers, as text); empty if it is not there.

    :raises UserError: it is no table, or one of its values is a table or a list.
    """
    table = entry.get(key, {})
    if not isinstance(table, dict):
        raise UserError(f"{key} must be a table", where=where)
    for name, value in table.items():
        if isinstance(value, dict | list):
            raise UserError(f"{key}.{name} must be a text", where=where)
    return {name: str(value) for name, value in table.items()}


def http_status(value: Any, where: str) -> int:
    """An HTTP status.

    :raises UserError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 100 <= value <= 599:
        raise UserError(f"{value!r} is no HTTP status", where=where, mend="write e.g. 403")
    return value


def _headers(entry: Mapping[str, Any], where: str) -> dict[str, str]:
    found = texts(entry, "headers", where)
    for name, value in found.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise UserError(
                f"{name + ': ' + value!r} is no HTTP header", where=where, mend='write Name = "value"'
            )
    return found


def _seconds(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 86400:
        raise UserError(f"within_s must be seconds, not {value!r}", where=where)
    return float(value)


def _flag(entry: Mapping[str, Any], key: str, where: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise UserError(f"{key} must be true or false", where=where)
    return value


def _upload(entry: Any, folder: Path, where: str) -> Upload:
    if not isinstance(entry, dict) or set(entry) - _UPLOAD_KEYS or len(_CONTENT_KEYS & set(entry)) != 1:
        raise UserError("upload needs field, filename, and one of content, file or made", where=where)
    content, made = b"", ""
    if "file" in entry:
        path = folder / str(entry["file"])
        if "\0" in str(path) or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise UserError(
                f"payload {entry['file']!r} is not in the lab's folder", where=where, mend="put it there"
            )
        content = path.read_bytes()
    elif "made" in entry:
        made = str(entry["made"])
        if not _FILE_NAME.fullmatch(made):
            raise UserError(
                f"{made!r} is no file's name", where=where, mend="name what payloads/Makefile makes"
            )
    else:
        content = str(entry["content"]).encode()
    kind = str(entry.get("type", "application/octet-stream"))
    return Upload(str(entry.get("field", "file")), str(entry.get("filename", "file")), content, kind, made)


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{key} must be a text", where=where)
    return value.strip()
