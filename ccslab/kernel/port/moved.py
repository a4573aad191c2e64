# SPDX-License-Identifier: GPL-2.0-only
"""Where a file of the old tree went, if the new tree has it under another name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ccslab.kernel.port.sides import File

ALIKE = 0.5  # git's: half of the content makes it a rename
CANDIDATES_MAX = 40
SIZE_MAX = 4 << 20  # bytes of a file that is worth comparing


@dataclass(frozen=True)
class Move:
    """A file's new name, and how much of it is there."""

    name: str
    share: float


def find(name: str, content: File, old: Path, new: Path) -> Move | None:
    """The file of the new tree, and not of the old one, that has most of the lines of ``name``.

    Looked at are files of the same name in any folder, and files in the same folder with the same suffix.

    :param content: the file as the old tree has it.
    """
    best: Move | None = None
    lines = Counter(content.content.split(b"\n"))
    for candidate, _ in zip(_candidates(name, old, new), range(CANDIDATES_MAX), strict=False):
        path = new / candidate
        if path.stat().st_size > SIZE_MAX:
            continue
        there = Counter(path.read_bytes().split(b"\n"))
        share = 2 * (lines & there).total() / (lines.total() + there.total())
        if share >= ALIKE and (best is None or share > best.share):
            best = Move(candidate, share)
    return best


def _candidates(name: str, old: Path, new: Path) -> Iterator[str]:
    place = PurePosixPath(name)
    beside = new / place.parent
    near = sorted(beside.iterdir()) if beside.is_dir() else []
    named = [path.relative_to(new) for path in near if path.suffix == place.suffix]
    for folder, _, files in os.walk(new):
        if place.name in files and Path(folder) != beside:
            named.append(Path(folder).relative_to(new) / place.name)
    for path in named:
        if (new / path).is_file() and not (new / path).is_symlink() and not (old / path).exists():
            yield path.as_posix()
