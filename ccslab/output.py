# SPDX-License-Identifier: GPL-2.0-only
"""Files and folders that a user named for a result: what is there and is not ours is not written over."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ccslab.errors import UserError

PNG = b"\x89PNG\r\n\x1a\n"  # its signature (PNG specification, 5.2)
SVG = b"<svg"


def check_folder(path: Path, option: str) -> None:
    """Refuse a folder that cannot get a result, before the work for it; it need not exist yet.

    :raises UserError: it is no folder, or cannot be written.
    """
    try:
        there = path.absolute()
        if "\0" in str(path):
            raise ValueError("a NUL in its name")
        while not (there.exists() or there.is_symlink()) and there != there.parent:
            there = there.parent
        with tempfile.TemporaryFile(dir=there):
            pass
    except NotADirectoryError:
        raise UserError("is no folder", where=path, mend=f"give another {option}") from None
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"cannot be written: {why}", where=path, mend=f"give another {option}") from None


def check_file(path: Path, ours: Callable[[bytes], bool], option: str) -> None:
    """Refuse to write over a file that is there, unless it is of the kind that is going to be written.

    :param ours: whether a file's content is of that kind.
    :raises UserError: it is not, or its folder cannot be written.
    """
    check_folder(path.parent, option)
    try:
        foreign = path.is_symlink() or (path.exists() and not (path.is_file() and ours(path.read_bytes())))
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror}", where=path, mend=f"give another {option}"
        ) from None
    if foreign:
        raise UserError(
            "is there already and is not what would be written over it",
            where=path,
            mend=f"move it away, or give another {option}",
        )
