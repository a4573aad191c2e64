# SPDX-License-Identifier: GPL-2.0-only
"""An initramfs out of a mapping: path in the guest → what is there.

>>> image = pack({"sbin/init": File(b"#!/bin/sh\\n", 0o755), "etc/tomoyo": Symlink("ccs")})

The archive is the kernel's "newc" cpio (Documentation/driver-api/early-userspace/buffer-format.rst), not
compressed: unpacking costs a guest under emulation more than reading.  Everything belongs to root and has
no time of its own, so the same mapping gives the same bytes.
"""

from __future__ import annotations

import shutil
import stat
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ccslab.errors import InfrastructureError

_DEVICES = {"console": (5, 1), "kmsg": (1, 11), "null": (1, 3)}  # Documentation/admin-guide/devices.txt


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


def busybox(*, init: str | None = None) -> dict[str, Entry]:
    """A tree with the host's static busybox, its applets in /bin, mount points and /dev/{console,kmsg,null}.

    :param init: a shell script that becomes /sbin/init (the name is TOMOYO's trigger).
    :raises InfrastructureError: busybox is missing or is not static.
    """
    program = shutil.which("busybox")
    if program is None:
        raise InfrastructureError("busybox is not installed", mend="apt-get install busybox-static")
    content = Path(program).read_bytes()
    if _needs_interpreter(content):
        raise InfrastructureError(
            "busybox is not static", where=program, mend="apt-get install busybox-static"
        )
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True, timeout=10)
    tree: dict[str, Entry] = {f"bin/{applet}": Symlink("busybox") for applet in listed.stdout.split()}
    tree["bin/busybox"] = File(content, 0o755)
    for name, (major, minor) in _DEVICES.items():
        tree[f"dev/{name}"] = CharacterDevice(major, minor)
    for directory in ("proc", "sys", "run", "tmp", "root", "sbin"):
        tree[directory] = Directory()
    if init is not None:
        tree["sbin/init"] = File(f"#!/bin/sh\n{init}\n".encode(), 0o755)
    return tree


def _needs_interpreter(elf: bytes) -> bool:
    """Whether a 64-bit little-endian ELF program has a PT_INTERP header (elf(5))."""
    table, size, count = (
        struct.unpack_from(kind, elf, at)[0] for kind, at in (("<Q", 0x20), ("<H", 0x36), ("<H", 0x38))
    )
    return any(struct.unpack_from("<I", elf, table + size * number)[0] == 3 for number in range(count))


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
