# SPDX-License-Identifier: GPL-2.0-only
"""Where a kernel's tree comes from: a Debian ``linux-source`` package, fetched once, verified, unpacked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ccslab import progress
from ccslab.errors import InfrastructureError
from ccslab.process import run
from ccslab.sources.apt import Package, PrivateApt
from ccslab.store import Store, disk_errors

UNPACK_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Source:
    """The package that carries a tree, and the suite it is in."""

    package: str
    suite: str


@dataclass(frozen=True)
class Tree:
    """An unpacked tree; only ever read."""

    package: str
    version: str
    sha256: str
    folder: Path


def fetch(source: Source, store: Store, *, update: bool = False) -> Tree:
    """The source's tree, from the store if it is there.

    The version first fetched is kept until ``update`` asks the mirror again, so that a warm run
    needs no network and builds the same kernel as yesterday.

    :raises InfrastructureError: mirror down, index or package not what was signed, disk full.
    """
    pin = store.root / "pins" / f"{source.package}.json"
    with store.lock(f"fetch-{source.package}"):
        pinned = None if update else _read_pin(pin)
        if pinned and store.has("tree", _inputs(pinned)):
            return _tree(pinned, store.path("tree", _inputs(pinned)))
        apt = PrivateApt(store.work("apt", source.suite), source.suite)
        with progress.step(f"Reading the index of {source.suite}"):
            apt.update()
        package = apt.newest(source.package)
        folder = store.get("tree", _inputs(package), lambda part: _unpack(apt, package, part))
        with disk_errors(pin):
            pin.parent.mkdir(parents=True, exist_ok=True)
            aside = pin.with_suffix(".new")
            aside.write_text(json.dumps(vars(package)) + "\n")
            aside.replace(pin)
    return _tree(package, folder)


def _read_pin(pin: Path) -> Package | None:
    try:
        return Package(**json.loads(pin.read_text()))
    except (OSError, ValueError, TypeError):  # none yet, or half-written by a power cut: ask the mirror
        return None


def _inputs(package: Package) -> dict[str, str]:
    return {"package": package.name, "version": package.version, "sha256": package.sha256}


def _tree(package: Package, folder: Path) -> Tree:
    return Tree(package.name, package.version, package.sha256, folder / "tree")


def _unpack(apt: PrivateApt, package: Package, folder: Path) -> None:
    with progress.step(f"Fetching {package.name} {package.version}"):
        deb = apt.download(package, folder)
    with progress.step("Unpacking the kernel tree"):
        run(["dpkg-deb", "-x", deb, folder / "deb"], timeout_s=UNPACK_TIMEOUT_S)
        archives = sorted((folder / "deb/usr/src").glob("linux-source-*.tar.*"))
        if len(archives) != 1:
            raise InfrastructureError(f"has {len(archives)} source archives, expected one", where=deb.name)
        tree = folder / "tree"
        tree.mkdir()
        run(
            ["tar", "-xf", archives[0], "-C", tree, "--strip-components=1", "--no-same-owner"],
            timeout_s=UNPACK_TIMEOUT_S,
        )
    run(["rm", "-rf", deb, folder / "deb"], timeout_s=UNPACK_TIMEOUT_S)
