# SPDX-License-Identifier: GPL-2.0-only
"""Content-addressed artifacts: what a key says is built is never built again.

An artifact is a folder ``<root>/<kind>/<key>``; its key is the hash of all its inputs.
It is written aside, synced, and renamed into place, so that a folder that exists is whole:
being killed at any instant leaves at most a ``.part`` folder, which the next build of that kind removes.
A lock per key (flock, freed by the kernel with its process) lets two runs share one build.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ccslab import progress
from ccslab.errors import InfrastructureError

INPUTS = "inputs.json"
PART = ".part"
LOCK_TIMEOUT_S = 2 * 3600.0  # longer than any build may take
LOCK_POLL_S = 0.1
_libc = ctypes.CDLL(None, use_errno=True)


def default_root() -> Path:
    """The cache folder: ``$CCSLAB_CACHE``, else ``$XDG_CACHE_HOME/ccs-lab``, else ``~/.cache/ccs-lab``."""
    if named := os.environ.get("CCSLAB_CACHE"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or "~/.cache").expanduser().absolute() / "ccs-lab"


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_tree(*roots: Path) -> str:
    """SHA-256 over the names, modes and bytes of the files below ``roots`` (missing roots count as empty).

    Editors' leftovers and Python's caches do not count; of the mode counts what git keeps: whether a file
    can be executed.
    """
    total = hashlib.sha256()
    for root in roots:
        total.update(b"r\0")  # a file that moves from one root to the next makes another hash
        files = [root] if root.is_file() else sorted(root.rglob("*")) if root.is_dir() else []
        for path in files:
            if path.name.endswith(("~", ".swp", ".pyc")) or path.name == "__pycache__":
                continue
            name = path.relative_to(root).as_posix()
            if path.is_symlink():
                total.update(os.fsencode(f"l {name} {path.readlink()}\0"))
            elif path.is_file():
                mode = path.stat().st_mode & 0o111
                total.update(os.fsencode(f"f {name} {mode:o} {hash_file(path)}\0"))
            elif path.is_dir():
                total.update(os.fsencode(f"d {name}\0"))
    return total.hexdigest()


def key_of(inputs: Mapping[str, Any]) -> str:
    """The key of an artifact: a hash over its inputs, stable across runs and machines."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class Store:
    """The artifacts below one root folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def path(self, kind: str, inputs: Mapping[str, Any]) -> Path:
        """Where the artifact of these inputs is, or would be."""
        return self.root / kind / key_of(inputs)

    def has(self, kind: str, inputs: Mapping[str, Any]) -> bool:
        """Whether the artifact of these inputs is built."""
        return (self.path(kind, inputs) / INPUTS).is_file()

    def get(self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """The artifact of these inputs; ``build(folder)`` fills a new folder if there is none yet.

        :raises LabError: whatever ``build`` raises; nothing is published then.
        :raises InfrastructureError: the disk is full or the cache cannot be written.
        """
        final = self.path(kind, inputs)
        if self.has(kind, inputs):
            return final
        with self.lock(f"{kind}-{final.name}"), disk_errors(self.root):
            if self.has(kind, inputs):
                return final
            part = final.with_suffix(PART)
            remove(part)
            self._sweep(kind)
            part.mkdir(parents=True)
            try:
                build(part)
            except BaseException:
                remove(part)
                raise
            (part / INPUTS).write_text(json.dumps(inputs, indent=1, sort_keys=True, default=str) + "\n")
            sync_tree(part)
            remove(final)
            part.rename(final)
            sync(final.parent)
        return final

    def work(self, kind: str, name: str) -> Path:
        """A folder that stays between builds (object trees); not an artifact, may be deleted any time.

        Whoever uses it holds ``lock`` on the same name.
        """
        folder = self.root / "work" / kind / name
        with disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of this name; waits for another holder, who loses it when it dies.

        :raises InfrastructureError: the other holder did not end.
        """
        handle = self._open_lock(name)
        try:
            if not _try_lock(handle):
                said = os.pread(handle, 32, 0).decode(errors="replace").strip()
                holder = f"another run (process {said or 'unknown'})"
                progress.console.print(f"  waiting for {holder}, which works on {name}")
                deadline = time.monotonic() + LOCK_TIMEOUT_S
                while not _try_lock(handle):  # flock has no deadline of its own
                    if time.monotonic() > deadline:
                        raise InfrastructureError(f"{holder} does not end", where=name, mend="end that run")
                    time.sleep(LOCK_POLL_S)
            os.ftruncate(handle, 0)
            with contextlib.suppress(OSError):  # for the message above only; the disk may be full
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    def _open_lock(self, name: str) -> int:
        folder = self.root / "locks"
        with disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _sweep(self, kind: str) -> None:
        """Remove what killed builds of this kind left behind; their locks are free."""
        for part in (self.root / kind).glob(f"*{PART}"):
            handle = self._open_lock(f"{kind}-{part.stem}")
            try:
                if _try_lock(handle):
                    remove(part)
            finally:
                os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def disk_errors(where: Path, mend: str = "") -> Iterator[None]:
    """Turn what the disk says (full, read-only, forbidden) into an InfrastructureError.

    :param mend: what to do about it, if it is not the cache that is meant.
    """
    try:
        yield
    except OSError as error:
        raise InfrastructureError(
            error.strerror or str(error),
            where=error.filename or where,
            mend=mend or _MENDS.get(error.errno or 0, ""),
        ) from error


_FULL = "free some space, or choose another cache folder with CCSLAB_CACHE=DIR"
_FORBIDDEN = "choose another cache folder with CCSLAB_CACHE=DIR"
_MENDS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: _FORBIDDEN,
}


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
