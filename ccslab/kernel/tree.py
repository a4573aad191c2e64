# SPDX-License-Identifier: GPL-2.0-only
"""A work tree that follows a series: only what changes is written, so make rebuilds only that."""

from __future__ import annotations

import json
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
    scratch = tree.with_name(f"{tree.name}.patching")
    with disk_errors(tree):
        remove(scratch)  # a killed run's
        scratch.mkdir(parents=True)
        try:
            apply_series(series, pristine, scratch)
            before = _patched(tree)
            if before is None:
                _link(pristine, tree)
                before = set()
            after = set(series.files())
            # Written before the files: killed in the middle, the next run looks at both sets again.
            _remember(tree, before | after, scratch)
            changed = [
                name
                for name in sorted(before | after)
                if _settle(tree / name, scratch / name if name in after else pristine / name, scratch)
            ]
            _remember(tree, after, scratch)
        finally:
            remove(scratch)
    return changed


def _patched(tree: Path) -> set[str] | None:
    """The files in which a work tree may differ from the pristine one; None if that is not known."""
    try:
        return set(json.loads((tree / STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _remember(tree: Path, names: set[str], scratch: Path) -> None:
    _replace(tree / STATE, json.dumps(sorted(names)).encode(), 0o644, scratch)


def _link(pristine: Path, tree: Path) -> None:
    remove(tree)
    part = tree.with_name(f"{tree.name}.part")
    remove(part)
    run(["cp", "-al", pristine, part], timeout_s=LINK_TIMEOUT_S)
    (part / STATE).write_text("[]")
    part.rename(tree)


def _settle(path: Path, wanted: Path, scratch: Path) -> bool:
    """Make ``path`` read like ``wanted`` (or be absent like it); whether it had to change."""
    if not wanted.is_file():
        there = path.is_file()
        path.unlink(missing_ok=True)
        return there
    content, mode = wanted.read_bytes(), wanted.stat().st_mode & 0o777
    if path.is_file() and path.read_bytes() == content and path.stat().st_mode & 0o111 == mode & 0o111:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, content, mode, scratch)
    return True


def _replace(path: Path, content: bytes, mode: int, scratch: Path) -> None:
    """Write a new file and rename it into place: its time is new, and no other link to it is written."""
    aside = scratch / ".aside"
    aside.write_bytes(content)
    aside.chmod(mode)
    aside.replace(path)
