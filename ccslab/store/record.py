# SPDX-License-Identifier: GPL-2.0-only
"""What an artifact's files were when it was published, and whether they still are.

``record.json`` has each file's size, time and SHA-256. A use compares sizes and times, which costs a system
call a file; where only the time differs (a copied cache) the file is hashed. Of an artifact of very many
files, a kernel's tree, a use looks at those near its top; the whole list is a file of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ccslab.errors import InfrastructureError
from ccslab.store.hashes import hash_file

RECORD = "record.json"
ALL = "record-all.json"
MANY = 2000
"""Files of an artifact beyond which a use looks only at those near its top."""
SMALL = 1 << 20  # bytes of a file that is read as a whole
BATCH = 256
TOP = 1  # slashes in the name of a file that is near the top: tree/Makefile
NO_RECORD = "it has no record"

T = TypeVar("T")
Entries = Mapping[str, list[Any]]
"""File -> [size, mtime in ns, SHA-256]; of a link ["link", 0, its target]."""


class Damaged(InfrastructureError):
    """A file of an artifact is not what was published."""


def write(folder: Path) -> None:
    """Record the files of a folder as they are now, hashing them all."""
    names = sorted(set(_names(folder)) - {RECORD, ALL})
    top = os.fspath(folder)
    entries = dict(zip(names, _each(lambda name: _entry(f"{top}/{name}"), names), strict=True))
    used = sum(os.lstat(f"{top}/{name}").st_blocks * 512 for name in names)
    if len(entries) > MANY:
        (folder / ALL).write_text(json.dumps(entries))
        entries = {name: entry for name, entry in entries.items() if name.count("/") <= TOP}
        entries[ALL] = _entry(f"{top}/{ALL}")
    document = {"id": uuid.uuid4().hex, "bytes": used, "files": entries}
    (folder / RECORD).write_text(json.dumps(document, indent=1) + "\n")


def check(folder: Path) -> str:
    """What is wrong with a published folder, at the cost of a use: sizes and times; "" if nothing."""
    record = _read(folder / RECORD)
    if record is None:
        return NO_RECORD if folder.is_dir() else "it is not there"
    fault, retimed = _compare(folder, record["files"])
    if not fault and retimed:
        with contextlib.suppress(OSError):  # only so that it need not be hashed again
            _remember(folder, record, retimed)
    return fault


def check_all(folder: Path) -> str:
    """As :func:`check`, of all files of an artifact of very many."""
    return check(folder) or _compare(folder, _all(folder))[0]


def verify(folder: Path) -> str:
    """What is wrong with a published folder, all its files hashed; "" if nothing."""
    if fault := check(folder):
        return fault
    entries = _all(folder)
    top = os.fspath(folder)
    faults = _each(lambda name: _fault(f"{top}/{name}", name, entries[name]), list(entries))
    return next(filter(None, faults), "")


def many(folder: Path) -> bool:
    """Whether a published folder has so many files that to verify it takes seconds."""
    return (folder / ALL).is_file()


def id_of(folder: Path) -> str:
    """What tells this artifact from one that is made again from the same inputs; "" without a record."""
    record = _read(folder / RECORD)
    return str(record["id"]) if record else ""


def bytes_of(folder: Path) -> int:
    """How much of the disk a published folder had; 0 without a record."""
    record = _read(folder / RECORD)
    return int(record["bytes"]) if record else 0


def hash_used(path: Path) -> str:
    """SHA-256 of a file that may be an artifact's.

    :raises Damaged: it is one's, and is not what was published.
    """
    found = hash_file(path)
    record = _read(path.parent / RECORD)
    entry = record["files"].get(path.name) if record else None
    if entry and entry[2] != found:
        raise Damaged(
            f"is damaged: SHA-256 {found}, published {entry[2]}",
            where=path,
            mend="start the command again: it is made anew",
        )
    return found


def _names(folder: Path) -> Iterator[str]:
    top = len(os.fspath(folder)) + 1
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (f"{parent}/{name}"[top:] for name in (*files, *links))


def _each(work: Callable[[str], T], names: Sequence[str]) -> Iterator[T]:
    """``work`` of each name, in their order; hashing does not hold Python's lock, so all cores do it."""
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done in pool.map(lambda batch: [work(name) for name in batch], batches):
            yield from done


# Paths as text here: a kernel's tree has 90,000 files, and objects for their names cost more than hashing.


def _entry(path: str) -> list[Any]:
    about = os.lstat(path)
    if stat.S_ISLNK(about.st_mode):
        return ["link", 0, os.fspath(Path(path).readlink())]
    return [about.st_size, about.st_mtime_ns, _hash(path, about.st_size)]


def _hash(path: str, size: int) -> str:
    if size > SMALL:
        return hash_file(Path(path))
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(handle, SMALL + 1)
    finally:
        os.close(handle)
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """A record; None if there is none, or none that can be read."""
    try:
        record = json.loads(path.read_bytes())
        if isinstance(record["files"], dict) and isinstance(record["bytes"], int) and record["id"]:
            return dict(record)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _all(folder: Path) -> Entries:
    """All files of a folder whose record has been checked."""
    if many(folder):
        entries: dict[str, list[Any]] = json.loads((folder / ALL).read_bytes())
        return entries
    record = _read(folder / RECORD)
    return record["files"] if record else {}


def _compare(folder: Path, entries: Entries) -> tuple[str, dict[str, int]]:
    """The first fault ("" if none), and the times of files that differ in nothing else."""
    retimed: dict[str, int] = {}
    top = os.fspath(folder)
    for name, entry in entries.items():
        try:
            size, time, _ = entry
            path = f"{top}/{name}"
            about = os.lstat(path)
            same = about.st_mtime_ns == time and about.st_size == size and stat.S_ISREG(about.st_mode)
            if not same:
                if fault := _fault(path, name, entry):
                    return fault, {}
                if size != "link":
                    retimed[name] = about.st_mtime_ns
        except FileNotFoundError:
            return f"{name} is gone", {}
        except (ValueError, TypeError, OSError) as error:
            return f"{name} cannot be checked: {error}", {}
    return "", retimed


def _fault(path: str, name: str, entry: list[Any]) -> str:
    """What is wrong with one file, whatever its time."""
    size, _, sha256 = entry
    try:
        about = os.lstat(path)
        if size == "link":
            right = stat.S_ISLNK(about.st_mode) and os.fspath(Path(path).readlink()) == sha256
            return "" if right else f"{name} is another link"
        if not stat.S_ISREG(about.st_mode):
            return f"{name} is no file"
        if about.st_size != size:
            return f"{name} has {about.st_size} bytes instead of {size}"
        return "" if _hash(path, size) == sha256 else f"{name} has other bytes than were published"
    except FileNotFoundError:
        return f"{name} is gone"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"


def _remember(folder: Path, record: dict[str, Any], retimed: Mapping[str, int]) -> None:
    for name, time in retimed.items():
        record["files"][name][1] = time
    aside = folder / f".{RECORD}.{os.getpid()}"
    aside.write_text(json.dumps(record, indent=1) + "\n")
    aside.replace(folder / RECORD)
