# SPDX-License-Identifier: GPL-2.0-only
"""Audit records: three lines each, as the kernel hands them out or as auditd writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from ccslab.errors import UserError
from ccslab.policy import pathname
from ccslab.policy.acl import Acl, parse_acl

FILE = "audit.log"
"""A run's, in its folder."""

_HEADER = re.compile(
    r"#(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)# profile=(?P<profile>\d+) mode=(?P<mode>[a-z]+) "
    r"granted=(?P<granted>yes|no) \(global-pid=(?P<pid>\d+)\) task=\{ (?P<task>[^}]*)\}(?P<rest>.*)"
)
_PATH = re.compile(r" (path[12](?:\.parent)?)=\{ ([^}]*)\}")
_EXEC = re.compile(
    r' exec=\{ realpath="([^"]*)" argc=(\d+) envc=(\d+) argv\[\]=\{ (.*?)\} envp\[\]= ?\{ (.*?)\} ?\}'
)
_SYMLINK = re.compile(r' symlink\.target="([^"]*)"')
_QUOTED = re.compile(r'"((?:[^" ]|"(?! ))*)"(?= |$)')


@dataclass(frozen=True)
class Execution:
    """The ``exec={ ... }`` part, words in policy spelling; ``complete`` is False where the kernel cut it."""

    realpath: str
    argc: int
    envc: int
    argv: tuple[str, ...]
    envp: tuple[str, ...]
    complete: bool = True


@dataclass(frozen=True)
class Record:
    """One audit record.

    :param time: as logged, the kernel's clock in UTC.
    :param mode: ``disabled``, ``learning``, ``permissive`` or ``enforcing``.
    :param pid: in the initial PID namespace.
    :param task: ``pid``, ``uid``, ...
    :param paths: attributes of ``path1``, ``path1.parent``, ``path2``, ``path2.parent`` as logged.
    :param request: what was asked for, such as ``file read /etc/shadow``.
    """

    time: datetime
    profile: int
    mode: str
    granted: bool
    pid: int
    task: dict[str, int]
    domain: str
    request: str
    paths: dict[str, dict[str, str]] = field(default_factory=dict)
    execution: Execution | None = None
    symlink_target: str = ""
    extra: dict[str, str] = field(default_factory=dict)


def _words(text: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in text.split())
    return {name: what for name, _, what in pairs}


def _execution(rest: str) -> Execution | None:
    found = _EXEC.search(rest)
    if not found:
        return None
    argv = tuple(_QUOTED.findall(found[4].strip()))
    envp = tuple(_QUOTED.findall(found[5].strip()))
    complete = len(argv) == int(found[2]) and len(envp) == int(found[3])
    return Execution(found[1], int(found[2]), int(found[3]), argv, envp, complete)


def _record(header: str, domain: str, request: str) -> Record:
    found = _HEADER.fullmatch(header)
    if not found:
        raise ValueError("not the header of an audit record (#YYYY/MM/DD hh:mm:ss# profile=...)")
    if not pathname.is_domain(domain):
        raise ValueError(f"second line is not a domain: {domain[:80]!r}")
    if not request:
        raise ValueError("the third line, the request, is missing")
    try:
        time = datetime.strptime(found["time"], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{found['time']} is no date") from None
    task = _words(found["task"])
    numbers = {name: int(what) for name, what in task.items() if what.isdecimal()}
    # Blanks inside quoted words are octal, so no word of argv[] or envp[] can be taken for a part.
    rest = found["rest"]
    symlink = _SYMLINK.search(rest)
    return Record(
        time=time,
        profile=int(found["profile"]),
        mode=found["mode"],
        granted=found["granted"] == "yes",
        pid=int(found["pid"]),
        task=numbers,
        domain=domain,
        request=request,
        paths={name: _words(what) for name, what in _PATH.findall(rest)},
        execution=_execution(rest),
        symlink_target=symlink[1] if symlink else "",
        extra={name: what for name, what in task.items() if name not in numbers},
    )


def scan_records(text: str) -> Iterator[tuple[int, Record | None, str]]:
    """``(offset in characters, record or None, fault)`` for all of ``text``; never raises.

    Records end at a NUL (the kernel), an empty line (auditd) or the next header.
    """
    for piece in re.finditer(r"[^\0]+", text):
        chunk, base = piece[0], piece.start()
        starts = [m.start() for m in re.finditer(r"(?m)^#\d{4}/", chunk)]
        head = chunk[: starts[0]] if starts else chunk
        if head.strip():
            offset = base + len(head) - len(head.lstrip())
            yield offset, None, f"text that belongs to no record: {head.strip()[:60]!r}"
        for start, end in pairwise([*starts, len(chunk)]):
            body = [line.strip() for line in chunk[start:end].split("\n") if line.strip()]
            header, domain, request, *more = [*body, "", "", ""][: max(3, len(body))]
            try:
                record = _record(header, domain, request)
            except ValueError as error:
                yield base + start, None, str(error)
                continue
            yield base + start, record, ""
            if more:
                at = base + start + chunk[start:end].index(more[0])
                yield at, None, f"text that belongs to no record: {more[0][:60]!r}"


def parse_records(text: str, *, source: str = "", strict: bool = True) -> list[Record]:
    """All records of an audit log.

    :param strict: raise for the first malformed one, else leave those out (:func:`scan_records` names them).
    :raises UserError: naming the offset in characters.
    """
    records = []
    for offset, record, fault in scan_records(text):
        if record:
            records.append(record)
        elif strict:
            raise UserError(
                fault,
                where=f"{source or 'audit log'}, offset {offset}",
                mend="the log is cut or mixed with other text, take that part out",
            )
    return records


def acl_of(record: Record, *, conditions: bool = True) -> list[Acl]:
    """The ACL lines that would have allowed the request, as learning mode would have written them.

    :param conditions: with ``exec.realpath``, ``exec.argv[0]`` and ``symlink.target``, which learning adds
        to ``file`` lines.  Requests that no ACL answers (``use_profile``, ``quota_exceeded``) give none.
    :raises UserError: if the request is not of the language.
    """
    line = pathname.normalise_line(record.request)
    if line.partition(" ")[0] not in ("file", "network", "misc", "capability", "ipc", "task"):
        return []
    if conditions and line.startswith("file "):
        execution = record.execution
        if execution:
            line += f' exec.realpath="{execution.realpath}"'
            if execution.argv:
                line += f' exec.argv[0]="{execution.argv[0]}"'
        if record.symlink_target:
            line += f' symlink.target="{record.symlink_target}"'
    try:
        return [parse_acl(line)]
    except ValueError as error:
        raise UserError(
            f"{record.request!r}: {error}",
            where=f"audit record of {record.time:%F %T}",
            mend="a kernel writes no such record",
        ) from None
