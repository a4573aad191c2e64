# SPDX-License-Identifier: GPL-2.0-only
"""The three versions of a file that a port brings together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """A file's bytes, and whether it can be executed."""

    content: bytes
    executable: bool = False


@dataclass(frozen=True)
class Sides:
    """The three versions that meet; None where there is no such file."""

    base: File | None
    """The old tree's, with the patches before this one."""
    theirs: File | None
    """That with this patch."""
    ours: File | None
    """The new tree's, as ported so far."""

    @property
    def key(self) -> str:
        """A hash of all three."""
        total = hashlib.sha256()
        for side in (self.base, self.theirs, self.ours):
            total.update(f"{side.executable:d}{len(side.content)}:".encode() if side else b"-")
            total.update(side.content if side else b"")
        return total.hexdigest()


def read(tree: Path, name: str) -> File | None:
    """A tree's file; None if it has none of that name."""
    path = tree / name
    if not path.is_file():
        return None
    return File(path.read_bytes(), bool(path.stat().st_mode & 0o111))


def write(tree: Path, name: str, file: File | None) -> None:
    """Put a file into a folder; nothing if there is none."""
    if file is not None:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(0o755 if file.executable else 0o644)
