# SPDX-License-Identifier: GPL-2.0-only
"""Temporary folders that are known to be nobody's once their process is gone, however it ended.

Each is ``ccslab-<word>-<random>`` and locked by its process; ``sweep`` removes those whose lock is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_OURS = re.compile(r"ccslab-[a-z]+-\w+")


@contextlib.contextmanager
def folder(word: str, where: Path | None = None) -> Iterator[Path]:
    """A new temporary folder, gone with the block.

    :param word: what it is for, in its name.
    :param where: in which folder; ``$TMPDIR``'s or ``/tmp`` if None.
    """
    path, handle = _make(word, where)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def _make(word: str, where: Path | None) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"ccslab-{word}-", dir=where))
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # swept in the instant before it was locked
            continue
        fcntl.flock(handle, fcntl.LOCK_SH)
        if os.fstat(handle).st_nlink:
            return path, handle
        os.close(handle)


def sweep() -> int:
    """Remove the folders that killed processes of this user left; returns how many."""
    places = {Path(tempfile.gettempdir()), Path("/tmp")}  # noqa: S108
    return sum(_remove(path) for place in places for path in _left(place))


def _left(place: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                mine = entry.stat(follow_symlinks=False).st_uid == os.geteuid()
                if mine and entry.is_dir(follow_symlinks=False) and _OURS.fullmatch(entry.name):
                    yield Path(entry.path)


def _remove(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
