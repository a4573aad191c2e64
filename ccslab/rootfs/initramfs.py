# SPDX-License-Identifier: GPL-2.0-only
"""An initramfs out of a mapping: path in the guest → what is there.

>>> image = pack({"sbin/init": File(b"#!/bin/sh\\n", 0o755), "etc/tomoyo": Symlink("ccs")})

The archive is the kernel's "newc" cpio (Documentation/driver-api/early-userspace/buffer-format.rst), not
compressed: unpacking costs a guest under emulation more than reading.  Everything belongs to root and has
no time of its own, so the same mapping gives the same bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class File:
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Symlink:
    target: str


@dataclass(frozen=True)
class Directory:
    mode: int = 0o755


@dataclass(frozen=True)
class CharacterDevice:
    major: int
    minor: int
    mode: int = 0o600


Entry = File | Symlink | Directory | CharacterDevice | bytes | str
"""Bytes and text stand for a file that is not executable."""


def pack(tree: Mapping[str, Entry]) -> bytes:
    """The cpio archive of a tree; missing parents become directories of mode 0755.

    :raises ValueError: a path is absolute or climbs out, or goes through something that is no directory.
    """
    whole: dict[str, Entry] = {}
    for name, entry in tree.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"not a path below the root: {name!r}")
        for parent in reversed(path.parents[:-1]):
            if not isinstance(tree.get(str(parent), Directory()), Directory):
                raise ValueError(f"{name!r} lies below {parent}, which is no directory")
            whole.setdefault(str(parent), tree.get(str(parent), Directory()))
        whole[str(path)] = entry
    # A directory must come before what it holds; sorting does that.
    records = [_record(number, name, whole[name]) for number, name in enumerate(sorted(whole), start=1)]
    return b"".join(records) + _member(0, "TRAILER!!!", 0, b"")


def _record(number: int, name: str, entry: Entry) -> bytes:
    match entry:
        case str():
            return _member(number, name, stat.S_IFREG | 0o644, entry.encode())
        case bytes():
            return _member(number, name, stat.S_IFREG | 0o644, entry)
        case File():
            return _member(number, name, stat.S_IFREG | entry.mode, entry.content)
        case Symlink():
            return _member(number, name, stat.S_IFLNK | 0o777, entry.target.encode())
        case Directory():
            return _member(number, name, stat.S_IFDIR | entry.mode, b"")
        case CharacterDevice():
            return _member(number, name, stat.S_IFCHR | entry.mode, b"", (entry.major, entry.minor))


def _member(number: int, name: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(encoded), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + encoded) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
