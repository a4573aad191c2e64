# SPDX-License-Identifier: GPL-2.0-only
"""Hashes of files, of trees and of an artifact's inputs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OWNER_EXECUTES = 0o100  # what git looks at; the others' bits are the umask's
EXECUTABLE = 0o111  # as git records it


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_tree(*roots: Path) -> str:
    """SHA-256 over the names, modes and bytes of the files below ``roots`` (missing roots count as empty).

    Editors' leftovers and Python's caches do not count; of the mode counts what git records: whether a file
    can be executed. A checkout made under another umask has the same hash.
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
                mode = EXECUTABLE if path.stat().st_mode & OWNER_EXECUTES else 0
                total.update(os.fsencode(f"f {name} {mode:o} {hash_file(path)}\0"))
            elif path.is_dir():
                total.update(os.fsencode(f"d {name}\0"))
    return total.hexdigest()


def key_of(inputs: Mapping[str, Any]) -> str:
    """The key of an artifact: a hash over its inputs, stable across runs and machines."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
