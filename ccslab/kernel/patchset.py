# SPDX-License-Identifier: GPL-2.0-only
"""A patchset: what its manifest, ``patchset.toml``, lays over a tree, patches into it and configures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ccslab import progress
from ccslab.datafile import read_toml
from ccslab.errors import UserError, unknown
from ccslab.kernel.series import Overlaid, Series, inside, load_patches, load_series
from ccslab.settings import path_of, resolved
from ccslab.sources import archive
from ccslab.store import Store

MANIFEST = "patchset.toml"
ANY = "*"
_KEYS = {
    "name", "description", "loader", "loader_parameter", "interface", "fragment", "archive", "sha256",
    "overlay", "patches",
}  # fmt: skip
HOW = "docs/patchsets.md shows how to write one"
_REQUIRED = ("name", "loader", "interface")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_SERIES = re.compile(r"(?:^|/)series[^/]*$")


@dataclass(frozen=True)
class Patchset:
    """One patchset, read from its manifest; what it names is there."""

    name: str
    manifest: Path
    folder: Path
    """What the manifest's paths are relative to."""
    loader: str
    """The policy loader that its kernels call by themselves."""
    loader_parameter: str
    """The kernel parameter that names another loader; "" if there is none."""
    interface: str
    """The folder of the policy interface in a guest."""
    fragment: Path | None
    overlay: tuple[tuple[str, str], ...]
    """Folders of the patchset and where in the tree they are laid."""
    patches: Mapping[str, str | tuple[str, ...]]
    """Kernel version (``6.12``, ``6.12.117``, ``*``) -> a quilt series, one patch, or ordered patches."""

    def versions(self) -> list[str]:
        """The kernel versions it has patches for."""
        return sorted(self.patches, key=_sorting)

    def series(self, version: str) -> Series:
        """What it does to a tree of this version.

        :raises UserError: it has nothing for that version, or a patch is missing or malformed.
        """
        fitting = [one for one in self.patches if _fits(one, version)]
        if not fitting:
            raise UserError(
                f"patchset {self.name} has no patches for {version}",
                where=self.manifest,
                mend=f"it has: {', '.join(self.versions())}; kernel.port brings a series to another tree",
            )
        chosen = self.patches[max(fitting, key=_sorting)]
        overlaid = tuple(self._overlaid())
        if isinstance(chosen, tuple):
            return Series(self.folder, load_patches(self.folder, chosen, self.manifest), overlaid)
        listing = self.folder / chosen
        if _SERIES.search(chosen):
            return Series(listing.parent, load_series(listing.parent, listing.name).patches, overlaid)
        return Series(self.folder, load_patches(self.folder, (chosen,), self.manifest), overlaid)

    def identity(self) -> dict[str, str]:
        """What a kernel's manifest says of it."""
        return {
            "name": self.name,
            "loader": self.loader,
            "loader_parameter": self.loader_parameter,
            "interface": self.interface,
        }

    def _overlaid(self) -> Iterator[Overlaid]:
        for source, place in self.overlay:
            for path in sorted((self.folder / source).rglob("*")):
                if path.is_symlink():
                    raise UserError(
                        "an overlay holds files only", where=path, mend="put the file in the link's place"
                    )
                if path.is_file():
                    below = PurePosixPath(place) / path.relative_to(self.folder / source).as_posix()
                    yield Overlaid(path, below.as_posix())


def shipped(root: Path) -> dict[str, Path]:
    """Our own patchsets: name -> folder below ``kernel-patches``."""
    return {path.parent.name: path.parent for path in (root / "kernel-patches").glob(f"*/{MANIFEST}")}


def find(named: str, root: Path, store: Store) -> Patchset:
    """The patchset of this name, folder, manifest or archive.

    :param named: one of ours (``ccs``, ``none``), else a path: a folder or archive with ``patchset.toml`` at
        its top, or such a manifest itself.
    :raises UserError: there is none, or what its manifest names is not there.
    """
    ours = shipped(root)
    if named in ours:
        return load(ours[named] / MANIFEST, store)
    path = path_of(named, "patchset")
    if archive.is_archive(path):
        return load(_unpacked(path, "", store) / MANIFEST, store)
    if path.is_dir():
        return load(path / MANIFEST, store)
    if path.is_file():
        return load(path, store)
    if "/" in named or archive.is_archive(path):
        raise UserError("there is no such patchset", where=named, mend="./inv kernel.list shows ours")
    raise unknown("patchset", named, ours)


def load(manifest: Path, store: Store) -> Patchset:
    """Read a manifest.

    :raises UserError: it is missing or malformed, or names what is not there; names file and key.
    """
    entry = _read(manifest)
    for key in entry:
        if key not in _KEYS:
            error = unknown("key", key, _KEYS)
            raise UserError(error.what, where=manifest, mend=error.mend)
    for key in _REQUIRED:
        if key not in entry:
            raise UserError(f"lacks the key {key!r}", where=manifest, mend=HOW)
    text = {key: _text(entry, key, manifest) for key in sorted(_KEYS - {"overlay", "patches"})}
    if not _NAME.fullmatch(text["name"]):
        raise UserError("name must be a word: letters, digits and . _ + -", where=manifest)
    for key in ("loader", "interface"):
        if not text[key].startswith("/"):
            raise UserError(f"{key} must be a path in the guest, from /", where=manifest)
    folder = manifest.parent
    if text["archive"]:
        packed = _existing(folder, text["archive"], "archive", manifest, folder=False)
        folder = _unpacked(packed, text["sha256"], store)
    fragment = text["fragment"]
    return Patchset(
        name=text["name"],
        manifest=manifest,
        folder=folder,
        loader=text["loader"],
        loader_parameter=text["loader_parameter"],
        interface=text["interface"],
        fragment=_existing(folder, fragment, "fragment", manifest, folder=False) if fragment else None,
        overlay=tuple(_overlay(entry.get("overlay", {}), folder, manifest)),
        patches=_patches(entry.get("patches", {ANY: []}), folder, manifest),
    )


def _read(manifest: Path) -> dict[str, Any]:
    if manifest.parent.is_dir() and not manifest.exists():
        raise UserError(f"has no {MANIFEST}", where=manifest.parent, mend=HOW)
    return read_toml(manifest, HOW)


def _text(entry: Mapping[str, Any], key: str, where: Path) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str) or (key in entry and not value.strip()):
        raise UserError(f"{key} must be a text", where=where)
    return value


def _existing(base: Path, name: str, key: str, where: Path, *, folder: bool) -> Path:
    """A path that the manifest names, there and inside its folder, links followed."""
    inside(name, f"{where} {key}")
    path = base / name
    if not (path.is_dir() if folder else path.is_file()):
        kind = "folder" if folder else "file"
        raise UserError(f"{key} names {name}, and there is no such {kind}", where=where, mend=HOW)
    if not resolved(path).is_relative_to(resolved(base)):
        raise UserError(
            f"{key} names {name}, a link that leads outside", where=where, mend="put the file itself there"
        )
    return path


def _overlay(entry: Any, base: Path, where: Path) -> Iterator[tuple[str, str]]:
    if not isinstance(entry, dict) or not all(isinstance(place, str) for place in entry.values()):
        raise UserError('overlay must be a table: "folder" = "where in the tree"', where=where)
    for source, place in entry.items():
        _existing(base, source, "overlay", where, folder=True)
        inside(place, f"{where} overlay")
        yield source, place


def _patches(entry: Any, base: Path, where: Path) -> dict[str, str | tuple[str, ...]]:
    if not isinstance(entry, dict) or not entry:
        raise UserError('patches must be a table: "kernel version" = "series"', where=where)
    found: dict[str, str | tuple[str, ...]] = {}
    for version, value in entry.items():
        if version != ANY and not re.fullmatch(r"\d+(\.\d+)*", version):
            raise UserError(f"{version!r} is no kernel version", where=where, mend='write "6.12", or "*"')
        files: Sequence[Any] = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in files):
            raise UserError(f"patches of {version} must be a text or a list of texts", where=where)
        for one in files:
            _existing(base, one, f"patches of {version}", where, folder=False)
        found[version] = tuple(value) if isinstance(value, list) else str(value)
    return found


def _unpacked(path: Path, sha256: str, store: Store) -> Path:
    """The folder of an unpacked archive, from the store if it is there."""
    identity = {"archive": archive.verify(path, sha256)}

    def unpack(part: Path) -> None:
        with progress.step(f"Unpacking {path.name}"):
            (part / "unpacked").mkdir()
            archive.unpack(path, part / "unpacked")

    unpacked = store.get("patchset", identity, unpack) / "unpacked"
    if (unpacked / MANIFEST).is_file():
        return unpacked
    inner = list(unpacked.iterdir())
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else unpacked


def _fits(wanted: str, version: str) -> bool:
    return wanted == ANY or f"{version}.".startswith(f"{wanted}.")


def _sorting(version: str) -> tuple[int, ...]:
    """Numbers as numbers; the more exact version last, ``*`` first."""
    return () if version == ANY else tuple(int(part) for part in version.split("."))
