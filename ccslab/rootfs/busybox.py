# SPDX-License-Identifier: GPL-2.0-only
"""A root filesystem of one program: the host's busybox, or for another architecture Debian's."""

from __future__ import annotations

import platform
import shutil
import struct
import subprocess
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.process import run
from ccslab.rootfs.base import DEBIAN
from ccslab.rootfs.initramfs import CharacterDevice, Directory, Entry, File, Symlink
from ccslab.sources.package import Wanted
from ccslab.store import Store, remove

_DEVICES = {"console": (5, 1), "kmsg": (1, 11), "null": (1, 3)}  # Documentation/admin-guide/devices.txt
SUITE = "bookworm"
UNPACK_S = 60.0


def busybox(*, init: str | None = None, program: bytes | None = None) -> dict[str, Entry]:
    """A tree with busybox, its applets in /bin, mount points and /dev/{console,kmsg,null}.

    :param init: a shell script that becomes /sbin/init (the name is TOMOYO's trigger).
    :param program: of another architecture (:func:`of`); has the same applets as the host's.
    :raises InfrastructureError: the host's is missing or is not static.
    """
    own = _own()
    listed = subprocess.run([own, "--list"], capture_output=True, text=True, check=True, timeout=10)
    tree: dict[str, Entry] = {f"bin/{applet}": Symlink("busybox") for applet in listed.stdout.split()}
    tree["bin/busybox"] = File(program or own.read_bytes(), 0o755)
    for name, (major, minor) in _DEVICES.items():
        tree[f"dev/{name}"] = CharacterDevice(major, minor)
    for directory in ("proc", "sys", "run", "tmp", "root", "sbin"):
        tree[directory] = Directory()
    if init is not None:
        tree["sbin/init"] = File(f"#!/bin/sh\n{init}\n".encode(), 0o755)
    return tree


def of(arch: str, store: Store) -> bytes:
    """The program of an architecture (``x86_64`` or ``i386``): the host's, or Debian's, fetched once.

    :raises InfrastructureError: the host's is missing or is not static; or the package cannot be fetched.
    """
    if arch == platform.machine():
        return _own().read_bytes()
    _, made = Wanted("busybox-static", SUITE, DEBIAN[arch]).get(store, "busybox", _unpack)
    return (made / "busybox").read_bytes()


def _own() -> Path:
    found = shutil.which("busybox")
    if found is None:
        raise InfrastructureError("busybox is not installed", mend="apt-get install busybox-static")
    if _needs_interpreter(Path(found).read_bytes()):
        raise InfrastructureError("busybox is not static", where=found, mend="apt-get install busybox-static")
    return Path(found)


def _needs_interpreter(elf: bytes) -> bool:
    """Whether a 64-bit little-endian ELF program has a PT_INTERP header (elf(5))."""
    table, size, count = (
        struct.unpack_from(kind, elf, at)[0] for kind, at in (("<Q", 0x20), ("<H", 0x36), ("<H", 0x38))
    )
    return any(struct.unpack_from("<I", elf, table + size * number)[0] == 3 for number in range(count))


def _unpack(deb: Path, part: Path) -> None:
    run(["dpkg-deb", "-x", deb, part / "deb"], timeout_s=UNPACK_S)
    (part / "deb/bin/busybox").rename(part / "busybox")
    remove(part / "deb")
