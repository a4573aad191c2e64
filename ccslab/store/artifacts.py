# SPDX-License-Identifier: GPL-2.0-only
"""Content-addressed artifacts: what a key says is built is never built again.

An artifact is a folder ``<root>/<kind>/<key>``; its key is the hash of all its inputs.
It is written aside, recorded, synced, and renamed into place, so that a folder that exists was whole:
being killed at any instant leaves at most a ``.part`` folder, which the next build of that kind removes.
A lock per key lets two runs share one build; whoever gets an artifact holds another until its process ends,
so that nobody removes what is used. One that is not what was published is set aside and made again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab import progress
from ccslab.errors import InfrastructureError
from ccslab.store import cache, record
from ccslab.store.disk import disk_errors, full, need_space, remove, sync, sync_tree
from ccslab.store.hashes import key_of
from ccslab.store.lock import Locks

INPUTS = "inputs.json"
PART = ".part"


@dataclass(frozen=True)
class _Use:
    """An artifact that this process was given."""

    store: Store
    kind: str
    folder: Path
    id: str


_used: dict[Path, _Use] = {}
_guard = threading.Lock()


class Store:
    """The artifacts below one root folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache.default_root()
        self.locks = Locks(self.root / cache.LOCKS)

    def path(self, kind: str, inputs: Mapping[str, Any]) -> Path:
        """Where the artifact of these inputs is, or would be."""
        return self.root / kind / key_of(inputs)

    def has(self, kind: str, inputs: Mapping[str, Any]) -> bool:
        """Whether the artifact of these inputs is built, and is what was published."""
        return not record.check(self.path(kind, inputs))

    def find(self, kind: str, inputs: Mapping[str, Any]) -> Path | None:
        """The artifact of these inputs, held as by ``get``; None if there is none, or none that is whole."""
        if not self.has(kind, inputs):
            return None
        return self.get(kind, inputs, _gone)

    def get(
        self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], None], *, needs_bytes: int = 0
    ) -> Path:
        """The artifact of these inputs; ``build(folder)`` fills a new folder if there is none yet.

        It is not removed until this process ends. One that is damaged is set aside and built again.

        :param needs_bytes: how much of the disk the build takes, looked at before it begins.
        :raises LabError: whatever ``build`` raises; nothing is published then.
        :raises UserError: the root is no cache of ours.
        :raises InfrastructureError: the disk is full or the cache cannot be written.
        """
        assert kind in cache.KINDS, f"{kind} is not in ccslab.store.cache.KINDS: lab.clean would leave it"
        cache.make(self.root)
        final = self.path(kind, inputs)
        self.locks.hold(use_of(kind, final.name))
        if record.check(final):
            with self.lock(build_of(kind, final.name)), disk_errors(self.root):
                if fault := record.check(final):
                    self._discard(kind, final, fault)
                    need_space(self.root, needs_bytes, f"making {kind}")
                    self._build(kind, final, inputs, build)
        with _guard:
            _used[final] = _Use(self, kind, final, record.id_of(final))
        return final

    def _build(
        self, kind: str, final: Path, inputs: Mapping[str, Any], build: Callable[[Path], None]
    ) -> None:
        part = final.with_suffix(PART)
        self._sweep(kind, final.name)
        part.mkdir(parents=True)
        try:
            with disk_errors(self.root):  # here, for once the rest is removed the disk is not full any more
                build(part)
                text = json.dumps(inputs, indent=1, sort_keys=True, default=str)
                (part / INPUTS).write_text(f"{text}\n")
                record.write(part)
                sync_tree(part)
            part.rename(final)
            sync(final.parent)
        except InfrastructureError as error:
            if (said := full(self.root)) and "disk full" not in error.what:
                told = f"{said}; {error.what}"
                raise InfrastructureError(told, where=error.where, mend=error.mend) from error
            raise
        finally:
            remove(part)

    def _discard(self, kind: str, final: Path, fault: str) -> None:
        """Take away a folder that is not what was published; hold its build's lock."""
        if not final.exists():
            return
        if fault == record.NO_RECORD:  # of an earlier version, or no artifact
            progress.console.print(f"  {kind} {final.name} is made again: {fault}")
            remove(final)
            return
        aside = self._set_aside(kind, final)
        progress.console.print(f"  {kind} {final.name} is damaged: {fault}; set aside in {aside}, made again")

    def _set_aside(self, kind: str, final: Path) -> Path:
        folder = self.root / cache.DAMAGED
        folder.mkdir(exist_ok=True)
        names = (f"{kind}-{final.name}{f'-{number}' if number else ''}" for number in itertools.count())
        aside = next(folder / name for name in names if not (folder / name).exists())
        final.rename(aside)
        return aside

    def examine_all(self, folder: Path) -> None:
        """Look at each file of an artifact of very many, before long work is built upon them.

        :raises Damaged: a file is not what was published.
        """
        if fault := record.check_all(folder):
            raise record.Damaged(f"is damaged: {fault}", where=folder)

    def work(self, kind: str, name: str) -> Path:
        """A folder that stays between builds (object trees); no artifact, may go when nobody uses it.

        It is not removed until this process ends. Whoever writes to it holds ``lock`` on the same name.
        """
        assert kind in cache.WORKS, f"{kind} is not in ccslab.store.cache.WORKS: lab.clean would leave it"
        cache.make(self.root)
        self.locks.hold(use_of(cache.WORK, f"{kind}-{name}"))
        folder = self.root / cache.WORK / kind / name
        with disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def ccache(self) -> Path:
        """The folder of compilers' results, which are not removed until this process ends."""
        cache.make(self.root)
        self.locks.hold(use_of(cache.CCACHE, ""))
        return self.root / cache.CCACHE

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of this name; waits for another holder, who loses it when it dies.

        :raises InfrastructureError: the other holder did not end.
        """
        cache.make(self.root)
        with self.locks.exclusive(name):
            yield

    def _sweep(self, kind: str, mine: str) -> None:
        """Remove what killed builds and removals of this kind left behind; their locks are free.

        :param mine: the key whose lock is held.
        """
        for left in (self.root / kind).glob("*"):
            if not (key := cache.key_in(left.name)) or left.name == key:
                continue
            with contextlib.ExitStack() as stack:
                if key == mine or stack.enter_context(self.locks.attempt(build_of(kind, key))):
                    shutil.rmtree(left, ignore_errors=True)  # another process may be doing the same


def artifacts(store: Store) -> dict[str, list[int]]:
    """Kind -> the recorded sizes of its artifacts, bytes on the disk."""
    found: dict[str, list[int]] = {}
    for path in sorted(store.root.glob(f"*/*/{record.RECORD}")):
        if path.parent.parent.name in cache.KINDS and cache.key_in(path.parent.name) == path.parent.name:
            found.setdefault(path.parent.parent.name, []).append(record.bytes_of(path.parent))
    return found


def examine_used(*, also_many: bool = True) -> list[str]:
    """Hash all that this process used, and set aside what is damaged; returns what was, in a line each.

    For when something failed: what failed may be that, and another try makes it again.

    :param also_many: also artifacts of very many files, which takes seconds.
    """
    with _guard:
        uses = list(_used.values())
    told = []
    for use in uses:
        if record.many(use.folder) and not also_many:
            continue
        with use.store.lock(build_of(use.kind, use.folder.name)), disk_errors(use.store.root):
            fault = record.verify(use.folder)
            if fault and use.folder.exists():
                told.append(f"{use.kind} {use.folder.name} is damaged: {fault}; set aside in ")
                told[-1] += str(use.store._set_aside(use.kind, use.folder))
            elif fault or record.id_of(use.folder) != use.id:
                told.append(f"{use.kind} {use.folder.name} was damaged, and taken away by another run")
        if fault or record.id_of(use.folder) != use.id:
            with _guard:
                _used.pop(use.folder, None)
    return told


def forget_used() -> None:
    """Let go of all that this process used, for one that goes on and needs none of it (tests)."""
    with _guard:
        _used.clear()
    Locks.release_all()


def use_of(kind: str, name: str) -> str:
    """The lock that users of an artifact or a folder share."""
    return f"use-{kind}-{name}"


def build_of(kind: str, key: str) -> str:
    """The lock of whoever builds an artifact."""
    return f"{kind}-{key}"


def _gone(folder: Path) -> None:
    raise InfrastructureError("was taken away this instant", where=folder, mend="start the command again")
