# SPDX-License-Identifier: GPL-2.0-only
"""A Debian package as an artifact: its suite is asked once, the answer kept until a newer one is wanted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ccslab import progress
from ccslab.sources.apt import Package, PrivateApt
from ccslab.store import Store, disk_errors


@dataclass(frozen=True)
class Wanted:
    """A package of a suite.

    :param arch: Debian's name of the architecture; ``amd64``'s index is right for packages of all.
    """

    name: str
    suite: str
    arch: str = "amd64"

    def known(self, store: Store, kind: str) -> Package | None:
        """What the suite said last, if its artifact is there."""
        pinned = self._pinned(store)
        return pinned if pinned and store.has(kind, inputs(pinned)) else None

    def get(
        self,
        store: Store,
        kind: str,
        unpack: Callable[[Path, Path], None],
        *,
        update: bool = False,
        needs_bytes: int = 0,
    ) -> tuple[Package, Path]:
        """The package, and the artifact that was made of it.

        :param kind: of artifact.
        :param unpack: makes the artifact of the .deb, in a folder.
        :param update: ask the suite, also if an answer is known.
        :param needs_bytes: how much of the disk that takes.
        :raises InfrastructureError: no network, a wrong hash, or a full disk.
        :raises UserError: the suite has no such package.
        """
        with store.lock(f"fetch-{self._told(self.name)}"):
            pinned = None if update else self._pinned(store)
            if pinned and (made := store.find(kind, inputs(pinned))):
                return pinned, made
            apt = PrivateApt(store.work("apt", self._told(self.suite)), self.suite, arch=self.arch)
            with progress.step(f"Reading the index of {self.suite}"):
                apt.update()
            package = apt.newest(self.name)

            def fetch(part: Path) -> None:
                with progress.step(f"Fetching {package.name} {package.version}"):
                    deb = apt.download(package, part)
                unpack(deb, part)
                deb.unlink()

            made = store.get(kind, inputs(package), fetch, needs_bytes=needs_bytes)
            pin = self._pin(store)
            with disk_errors(pin):
                pin.parent.mkdir(parents=True, exist_ok=True)
                aside = pin.with_suffix(".new")
                aside.write_text(json.dumps(vars(package)) + "\n")
                aside.replace(pin)
        return package, made

    def _pinned(self, store: Store) -> Package | None:
        """What the suite said last; None if it was never asked, or what it said is damaged: ask it again."""
        try:
            said = json.loads(self._pin(store).read_text())
            return Package(**said) if all(isinstance(value, str) for value in said.values()) else None
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def _pin(self, store: Store) -> Path:
        return store.root / "pins" / f"{self._told(self.name)}.json"

    def _told(self, of: str) -> str:
        return of if self.arch == "amd64" else f"{of}-{self.arch}"


def inputs(package: Package) -> dict[str, str]:
    """What an artifact of a package depends on."""
    return {"package": package.name, "version": package.version, "sha256": package.sha256}
