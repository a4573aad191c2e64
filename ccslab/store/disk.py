# SPDX-License-Identifier: GPL-2.0-only
"""What the disk says, in words a person can act on; files and folders removed and synced whole."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ccslab.errors import InfrastructureError

FULL_BYTES = 2 << 20
"""Less free than this is a full disk: what a program that failed on one leaves, whatever it says."""
_FULL = "free some space, or choose another cache folder with CCSLAB_CACHE=DIR"
_FORBIDDEN = "choose another cache folder with CCSLAB_CACHE=DIR"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_MENDS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: _FORBIDDEN,
}
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def disk_errors(where: Path, mend: str = "") -> Iterator[None]:
    """Turn what the disk says (full, read-only, forbidden) into an InfrastructureError.

    :param mend: what to do about it, if it is not the cache that is meant.
    """
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        if error.errno in _NO_SPACE:
            what = f"disk full ({what}): {_size(free(where))} free"
        raise InfrastructureError(
            what,
            where=error.filename or where,
            mend=mend or _MENDS.get(error.errno or 0, ""),
        ) from error


def free(path: Path) -> int:
    """Bytes that this user may still write on the file system of a path, which need not exist yet."""
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    return shutil.disk_usage(there).free


def full(*paths: Path) -> str:
    """What to say if the file system of one of these is full ("disk full: 0 bytes free"); "" if none is.

    For whoever saw a program fail that does not say why: QEMU says "Input/output error", mke2fs "populating".
    """
    for path in paths:
        if (left := free(path)) < FULL_BYTES:
            return f"disk full: {_size(left)} free at {path}"
    return ""


def need_space(path: Path, needed_bytes: int, what: str) -> None:
    """Look before long work whether there is space for what it leaves.

    :param what: the work, as a person would say it ("building a kernel").
    :raises InfrastructureError: there is not; says how much is free and how much is needed.
    """
    if (left := free(path)) < needed_bytes:
        raise InfrastructureError(
            f"not enough space: {_size(left)} free, {what} needs {_size(needed_bytes)}",
            where=path,
            mend=_FULL,
        )


def _size(count: int) -> str:
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << shift:
            return f"{count / (1 << shift):.1f} {unit}"
    return f"{count} bytes"


def remove(folder: Path) -> None:
    """Delete a folder with all it holds, if it is there: at once for whoever looks, whole or not at all."""
    aside = folder.with_name(f".{folder.name}.removed")
    if aside.exists():  # a killed run's
        shutil.rmtree(aside)
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        folder.rename(aside)
        shutil.rmtree(aside)


def sync(path: Path) -> None:
    """fsync one file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Bring all that was written below a folder to the disk.

    One syncfs for the whole file system: an fsync a file would take minutes for a kernel tree.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        if _libc.syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(handle)
