# SPDX-License-Identifier: GPL-2.0-only
"""What a cache holds, and its removal: only what the store made, and of that what nobody uses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ccslab.store import cache, record
from ccslab.store.artifacts import Store, use_of
from ccslab.store.disk import disk_errors


@dataclass(frozen=True)
class Item:
    """Something in a cache that may be removed as one."""

    kind: str
    path: Path
    lock: str
    """Which lock its users share; "" if nobody uses it."""


def items(store: Store) -> list[Item]:
    """All that the store made in its cache, apart from locks and marks.

    :raises UserError: the folder is no cache of ours.
    """
    if not store.root.exists() or not any(store.root.iterdir()):
        return []
    cache.refuse_foreign(store.root)
    with disk_errors(store.root):
        found = [
            Item(kind, path, use_of(kind, cache.key_in(path.name)))
            for kind in sorted(cache.KINDS)
            for path in _folders(store.root / kind)
            if cache.key_in(path.name)
        ]
        work = store.root / cache.WORK
        found += [
            Item(f"{cache.WORK}/{kind}", path, use_of(cache.WORK, f"{kind}-{_undotted(path.name)}"))
            for kind in sorted(cache.WORKS)
            for path in _folders(work / kind)
            if work.is_dir() and not work.is_symlink()
        ]
        found += [Item(cache.DAMAGED, path, "") for path in _folders(store.root / cache.DAMAGED)]
        whole = ((cache.CCACHE, use_of(cache.CCACHE, "")), (cache.PINS, ""))
        found += [
            Item(name, path, lock)
            for name, lock in whole
            if (path := store.root / name).is_dir() and not path.is_symlink()
        ]
    return found


def foreign(store: Store) -> list[Path]:
    """What is in a cache that the store did not make."""
    known = {item.path for item in items(store)}
    found = []
    for top in sorted(store.root.iterdir()) if store.root.is_dir() else []:
        if top.name not in cache.KNOWN or top.is_symlink():
            found.append(top)
        elif top.name in cache.KINDS | {cache.DAMAGED}:
            found += [path for path in sorted(top.iterdir()) if path not in known]
        elif top.name == cache.WORK:
            for path in sorted(top.iterdir()):
                inside = sorted(path.iterdir()) if path.name in cache.WORKS and path.is_dir() else [path]
                found += [one for one in inside if one not in known]
    return found


def size(found: Iterable[Item]) -> int:
    """Bytes on the disk that items take; a file with several names counts once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    for item in found:
        if recorded := record.bytes_of(item.path):
            total += recorded
            continue
        for parent, _, files in os.walk(item.path):
            for name in files:
                about = os.lstat(Path(parent, name))
                if (mark := (about.st_dev, about.st_ino)) not in seen:
                    seen.add(mark)
                    total += about.st_blocks * 512
    return total


def clean(
    store: Store, found: Iterable[Item], done: Callable[[Item], None] = lambda item: None
) -> list[Item]:
    """Remove items; returns those that are in use, which stay.

    :param done: called with each that is gone.
    :raises InfrastructureError: one cannot be removed.
    """
    if items_found := sorted(found, key=lambda item: item.kind == cache.PINS):
        cache.refuse_foreign(store.root)
    used: list[Item] = []
    for item in items_found:
        if item.kind == cache.PINS and any(one.kind in ("tree", "busybox") for one in used):
            used.append(item)  # a run that goes on may ask again which version it has
            continue
        if not item.path.exists():
            continue
        with store.locks.attempt(item.lock or f"clean-{item.kind}") as got, disk_errors(item.path):
            if not got:
                used.append(item)
                continue
            aside = item.path
            if not aside.name.endswith(".removed"):
                # Out of sight in an instant: the lock is held for no longer, and nobody sees half of it.
                aside = item.path.with_name(f".{item.path.name}.removed")
                if aside.exists():
                    shutil.rmtree(aside)
                item.path.rename(aside)
        with disk_errors(item.path):
            shutil.rmtree(aside)
        done(item)
    return used


def sweep(store: Store) -> list[Item]:
    """Remove what nobody needs any more: damaged artifacts, and what killed builds and removals left."""
    if not cache.is_ours(store.root):
        return []
    dead = [
        item
        for item in items(store)
        if item.kind == cache.DAMAGED or item.path.name.endswith((".part", ".removed"))
    ]
    used = clean(store, dead)
    return [item for item in dead if item not in used]


def _folders(parent: Path) -> Iterator[Path]:
    """The folders in a folder, which must be one itself; no links."""
    if parent.is_dir() and not parent.is_symlink():
        yield from (path for path in sorted(parent.iterdir()) if path.is_dir() and not path.is_symlink())


def _undotted(name: str) -> str:
    """The name of a folder that was being removed."""
    return name[1:].removesuffix(".removed") if name.endswith(".removed") else name
