# SPDX-License-Identifier: GPL-2.0-only
"""A work tree that follows source and series: only what changes is written, so make rebuilds only that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab.errors import InfrastructureError
from ccslab.kernel.series import Series, apply_series
from ccslab.kernel.source import Tree
from ccslab.process import run
from ccslab.sources.folder import digest
from ccslab.store import disk_errors, remove

STATE = ".ccslab-patched.json"
LINK_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class _State:
    """What a work tree is known to be."""

    patched: frozenset[str]
    """The files in which it may differ from its source."""
    source: Mapping[str, str] | None
    """The digests of the source's files it was made from; None for a source that never changes."""


def follow(series: Series, source: Tree, tree: Path) -> list[str]:
    """Bring ``tree`` to ``source`` + ``series``; returns the files that changed on the way.

    The tree's files are hard links to those of a source that stays as it is, and copies of one that others
    may change; they are replaced, never written through.
    A series that does not apply leaves the tree as it was. Hold the tree's lock around this.

    :raises UserError: a patch does not apply (see :func:`apply_series`).
    :raises InfrastructureError: the source changed while it was read.
    """
    scratch = tree.with_name(f"{tree.name}.patching")
    now = source.snapshot.files if source.snapshot else None
    with disk_errors(tree):
        remove(scratch)  # a killed run's
        scratch.mkdir(parents=True)
        try:
            apply_series(series, source.folder, scratch)
            before = _state(tree, now)
            if before is None:
                _make(source, tree)
                before = _State(frozenset(), now)
            after = frozenset(series.files())
            candidates = before.patched | after | _changed(before.source, now)
            # Written before the files: killed in the middle, the next run looks at both sets again.
            _remember(tree, _State(candidates, now), scratch)
            changed = [
                name
                for name in sorted(candidates)
                if _settle(tree / name, scratch / name if name in after else source.folder / name, scratch)
            ]
            if source.snapshot:
                _unchanged(source, sorted(candidates))
            _remember(tree, _State(after, now), scratch)
        finally:
            remove(scratch)
    return changed


def _changed(before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> frozenset[str]:
    """The source's files that came, went or changed."""
    if before is None or now is None:
        return frozenset()
    return frozenset(name for name in {*before, *now} if before.get(name) != now.get(name))


def _state(tree: Path, now: Mapping[str, str] | None) -> _State | None:
    """What the work tree is; None if that is not known."""
    try:
        said: dict[str, Any] = json.loads((tree / STATE).read_text())
        state = _State(frozenset(said["patched"]), said["source"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return state if (state.source is None) == (now is None) else None


def _remember(tree: Path, state: _State, scratch: Path) -> None:
    said = {"patched": sorted(state.patched), "source": state.source}
    _replace(tree / STATE, json.dumps(said).encode(), 0o644, scratch)


def _make(source: Tree, tree: Path) -> None:
    """The work tree as its source is, whole or not at all."""
    remove(tree)
    part = tree.with_name(f"{tree.name}.part")
    remove(part)
    if source.snapshot is None:
        run(["cp", "-al", source.folder, part], timeout_s=LINK_TIMEOUT_S)
    else:
        for name in source.snapshot.files:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            _settle(part / name, source.folder / name, part)
        _unchanged(source, list(source.snapshot.files), part)
    part.rename(tree)


def _unchanged(source: Tree, names: list[str], copy: Path | None = None) -> None:
    """Make sure that what was read is what the snapshot saw.

    :param copy: look at the copy instead of the source.
    """
    assert source.snapshot is not None
    for name in names:
        path = (copy or source.folder) / name
        seen = digest(path) if path.is_symlink() or path.is_file() else None
        if seen != source.snapshot.files.get(name):
            raise InfrastructureError(
                f"{name} changed while the tree was read", where=source.folder, mend="start the command again"
            )


def _settle(path: Path, wanted: Path, scratch: Path) -> bool:
    """Make ``path`` read like ``wanted`` (or be absent like it); whether it had to change."""
    if wanted.is_symlink():
        if path.is_symlink() and path.readlink() == wanted.readlink():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = scratch / ".aside"
        aside.unlink(missing_ok=True)
        aside.symlink_to(wanted.readlink())
        aside.replace(path)
        return True
    if not wanted.is_file():
        there = path.is_symlink() or path.is_file()
        path.unlink(missing_ok=True)
        return there
    content, mode = wanted.read_bytes(), wanted.stat().st_mode & 0o777
    same = not path.is_symlink() and path.is_file() and path.read_bytes() == content
    if same and path.stat().st_mode & 0o111 == mode & 0o111:
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
