# SPDX-License-Identifier: GPL-2.0-only
"""Where a kernel's tree comes from: a Debian package, an archive of the user's, or a folder of the user's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ccslab import progress
from ccslab.datafile import Meta, Record
from ccslab.errors import InfrastructureError, UserError
from ccslab.process import run
from ccslab.sources import archive, folder
from ccslab.sources.apt import Package
from ccslab.sources.folder import Snapshot
from ccslab.sources.package import Wanted, inputs
from ccslab.store import Store, disk_errors, remove

UNPACK_TIMEOUT_S = 600.0
TREE_BYTES = 2 << 30  # 6.12's tree is 1.6 GiB; its package lies beside it while it is unpacked
NO_TREE = "give the top folder of a kernel's source"
# What the kernel's own Makefile refuses to build out of tree from (Makefile, "outputmakefile").
BUILT_IN = (".config", "include/config", "arch/x86/include/generated")
_VERSION = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL)\s*=\s*(\d+)\s*$", re.MULTILINE)


class Source(Record, frozen=True):
    """A Debian package that carries a tree, and the suite it is in."""

    package: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9+.-]+\Z", description="a package name")]
    suite: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9/-]*\Z", description="a suite name")]

    @property
    def name(self) -> str:
        """What it is called where nobody named it."""
        return self.package


@dataclass(frozen=True)
class Archive:
    """A tar archive of the user's, with the SHA-256 it must have."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """What it is called where nobody named it: its file's name without the suffixes."""
        return self.path.name.split(".tar")[0]


@dataclass(frozen=True)
class Folder:
    """A git work tree or unpacked source of the user's; only ever read."""

    path: Path

    @property
    def name(self) -> str:
        """What it is called where nobody named it."""
        return self.path.resolve().name


@dataclass(frozen=True)
class Tree:
    """A kernel's source; only ever read."""

    label: str
    """What a person knows it by."""
    version: str
    """The kernel's own, ``6.12.117``, from its Makefile."""
    identity: Mapping[str, str]
    """What an artifact's key needs to know of it."""
    place: str
    """A word for the folders of work that follow this source."""
    folder: Path
    snapshot: Snapshot | None = None
    """The files of a folder that others may change; None for one that stays as it is."""
    artifact: Path | None = None
    """The artifact it is in; None if it is none of the store's."""


def fetch(source: Source | Archive | Folder, store: Store, *, update: bool = False) -> Tree:
    """The source's tree; a package's and an archive's from the store if it is there.

    The version of a package first fetched is kept until ``update`` asks the mirror again, so that a warm
    run needs no network and builds the same kernel as yesterday.

    :raises UserError: what the user gave is no kernel's source.
    :raises InfrastructureError: mirror down, index or package not what was signed, disk full.
    """
    match source:
        case Source():
            return _package(source, store, update)
        case Archive():
            return _archive(source, store)
        case Folder():
            return _folder(source, store)


def fetched(source: Source, store: Store) -> str:
    """The version of a package's tree that is in the store; "" if none is."""
    pinned = _wanted(source).known(store, "tree")
    return pinned.version if pinned else ""


def version_of(tree: Path, where: object = "") -> str:
    """The version that a tree's Makefile says.

    :raises UserError: there is no Makefile, or it is no kernel's.
    """
    makefile = tree / "Makefile"
    if not makefile.is_file():
        raise UserError("is no kernel tree: it has no Makefile", where=where or tree, mend=NO_TREE)
    with disk_errors(makefile):
        found = dict(_VERSION.findall(makefile.read_text(errors="replace")))
    if len(found) != 3:
        raise UserError("is no kernel tree: its Makefile says no version", where=where or tree, mend=NO_TREE)
    return f"{found['VERSION']}.{found['PATCHLEVEL']}.{found['SUBLEVEL']}"


# --- a folder and an archive of the user's ------------------------------------------------------------


def _folder(source: Folder, store: Store) -> Tree:
    path = source.path.resolve()
    if not path.is_dir():
        raise UserError(
            "there is no such folder", where=source.path, mend="--tree takes a kernel's source folder"
        )
    version = version_of(path, source.path)
    if not (path / ".git").exists():
        built = [name for name in BUILT_IN if (path / name).exists()]
        if built:
            raise UserError(
                f"has been built in: there is {built[0]}",
                where=source.path,
                mend="run make mrproper in it, or give a git work tree",
            )
    place = f"at-{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    with store.lock(f"snapshot-{place}"), progress.step(f"Reading {source.path}"):
        snapshot = folder.take(path, store.work("snapshot", place) / "digests.json")
    label = f"{source.name} {folder.describe(path) or version}"
    return Tree(label, version, {"folder": snapshot.sha256}, place, path, snapshot)


def _archive(source: Archive, store: Store) -> Tree:
    sha256 = archive.verify(source.path, source.sha256)

    def unpack(part: Path) -> None:
        with progress.step(f"Unpacking {source.path.name}"):
            aside = part / "unpacked"
            aside.mkdir()
            top = archive.unpack(source.path, aside)
            version_of(top, source.path)
            top.rename(part / "tree")
            remove(aside)  # empty, or holding what lies beside the tree

    identity = {"archive": sha256}
    made = store.get("tree", identity, unpack, needs_bytes=TREE_BYTES)
    version = version_of(made / "tree")
    label = f"{source.name} {version}"
    return Tree(label, version, identity, sha256[:12], made / "tree", artifact=made)


# --- a Debian package ---------------------------------------------------------------------------------


def _package(source: Source, store: Store, update: bool) -> Tree:
    return _tree(*_wanted(source).get(store, "tree", _unpack, update=update, needs_bytes=TREE_BYTES))


def _wanted(source: Source) -> Wanted:
    return Wanted(source.package, source.suite)


def _tree(package: Package, unpacked: Path) -> Tree:
    tree = unpacked / "tree"
    label = f"{package.name} {package.version}"
    version = version_of(tree, package.name)
    return Tree(label, version, inputs(package), package.sha256[:12], tree, artifact=unpacked)


def _unpack(deb: Path, part: Path) -> None:
    with progress.step("Unpacking the kernel tree"):
        run(["dpkg-deb", "-x", deb, part / "deb"], timeout_s=UNPACK_TIMEOUT_S)
        archives = sorted((part / "deb/usr/src").glob("linux-source-*.tar.*"))
        if len(archives) != 1:
            raise InfrastructureError(f"has {len(archives)} source archives, expected one", where=deb.name)
        tree = part / "tree"
        tree.mkdir()
        run(
            ["tar", "-xf", archives[0], "-C", tree, "--strip-components=1", "--no-same-owner"],
            timeout_s=UNPACK_TIMEOUT_S,
        )
    remove(part / "deb")
