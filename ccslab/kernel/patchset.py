# SPDX-License-Identifier: GPL-2.0-only
"""A patchset: what its manifest, ``patchset.toml``, lays over a tree, patches into it and configures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, TypeAlias

from ccslab import progress
from ccslab.datafile import Absolute, Inside, Meta, OneOrList, Record, Text, field, read_toml
from ccslab.errors import UserError, unknown
from ccslab.kernel.series import Overlaid, Series, load_patches, load_series
from ccslab.settings import path_of, resolved
from ccslab.sources import archive
from ccslab.store import Store

MANIFEST = "patchset.toml"
ANY = "*"
_Name: TypeAlias = Annotated[
    str,
    Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.+-]*\Z", description="a word: letters, digits and . _ + -"),
]
_Version: TypeAlias = Annotated[
    str, Meta(pattern=r"\A(\*|[0-9]+(\.[0-9]+)*)\Z", description='a kernel version such as "6.12", or "*"')
]
_Patches: TypeAlias = dict[_Version, OneOrList[Inside]]


class _Manifest(Record, frozen=True, kw_only=True):
    """patchset.toml."""

    name: _Name
    description: Text = ""
    loader: Absolute
    loader_parameter: Text = ""
    interface: Absolute
    fragment: Inside = ""
    archive: Inside = ""
    sha256: Text = ""
    overlay: dict[Inside, Inside] = field(default_factory=dict)
    patches: Annotated[_Patches, Meta(min_length=1)] = field(default_factory=dict)


HOW = "docs/patchsets.md shows how to write one"
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
    if manifest.parent.is_dir() and not manifest.exists():
        raise UserError(f"has no {MANIFEST}", where=manifest.parent, mend=HOW)
    entry = read_toml(manifest, _Manifest, HOW)
    folder = manifest.parent
    if entry.archive:
        folder = _unpacked(_existing(folder, entry.archive, "archive", manifest), entry.sha256, store)
    for source in entry.overlay:
        _existing(folder, source, "overlay", manifest, folder=True)
    for version, files in entry.patches.items():
        for name in files:
            _existing(folder, name, f"patches: {version}", manifest)
    return Patchset(
        name=entry.name,
        manifest=manifest,
        folder=folder,
        loader=entry.loader,
        loader_parameter=entry.loader_parameter,
        interface=entry.interface,
        fragment=_existing(folder, entry.fragment, "fragment", manifest) if entry.fragment else None,
        overlay=tuple(entry.overlay.items()),
        patches={
            version: tuple(files) if files.listed else files[0] for version, files in entry.patches.items()
        }
        or {ANY: ()},
    )


def _existing(base: Path, name: str, key: str, manifest: Path, *, folder: bool = False) -> Path:
    """A path that the manifest names, there and inside its folder, links followed."""
    path, where = base / name, f"{manifest}: {key}"
    if not (path.is_dir() if folder else path.is_file()):
        kind = "folder" if folder else "file"
        raise UserError(f"names {name}, and there is no such {kind}", where=where, mend=HOW)
    if not resolved(path).is_relative_to(resolved(base)):
        raise UserError(
            f"names {name}, a link that leads outside", where=where, mend="put the file itself there"
        )
    return path


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
