# SPDX-License-Identifier: GPL-2.0-only
"""A work tree that follows a series: only what changes is written, so make rebuilds only that."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from ccslab.kernel.series import Series, apply_series
from ccslab.process import run
from ccslab.store import disk_errors, remove

STATE = ".ccslab-patched.json"
LINK_TIMEOUT_S = 300.0


def follow(series: Series, pristine: Path, tree: Path) -> list[str]:
    """Bring ``tree`` to ``pristine`` + ``series``; returns the files that changed on the way.

    The tree's files are hard links to the pristine ones and are replaced, never written through.
    A series that does not apply leaves the tree as it was. Hold the tree's lock around this.

    :raises UserError: a patch does not apply (see :func:`apply_series`).
    """
    with disk_errors(tree), tempfile.TemporaryDirectory(dir=tree.parent, prefix=".patching-") as folder:
        scratch = Path(folder)
        apply_series(series, pristine, scratch)
        if not (tree / STATE).is_file():
            _link(pristine, tree)
        before = set(json.loads((tree / STATE).read_text()))
        after = set(series.files())
        # Written before the files: killed in the middle, the next run looks at both sets again.
        _replace(tree / STATE, json.dumps(sorted(before | after)).encode(), 0o644)
        changed = [
            name
            for name in sorted(before | after)
            if _settle(tree / name, scratch / name if name in after else pristine / name)
        ]
        _replace(tree / STATE, json.dumps(sorted(after)).encode(), 0o644)
    return changed


def _link(pristine: Path, tree: Path) -> None:
    remove(tree)
    part = tree.with_name(f"{tree.name}.part")
    remove(part)
    run(["cp", "-al", pristine, part], timeout_s=LINK_TIMEOUT_S)
    (part / STATE).write_text("[]")
    part.rename(tree)


def _settle(path: Path, wanted: Path) -> bool:
    """Make ``path`` read like ``wanted`` (or be absent like it); whether it had to change."""
    if not wanted.is_file():
        there = path.exists()
        path.unlink(missing_ok=True)
        return there
    content = wanted.read_bytes()
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, content, wanted.stat().st_mode & 0o777)
    return True


def _replace(path: Path, content: bytes, mode: int) -> None:
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(content)
    aside.chmod(mode)
    aside.replace(path)
