# SPDX-License-Identifier: GPL-2.0-only
"""From what a user says (``--kernel``, ``--tree``, ``--patchset`` ...) to what is to be built."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ccslab.datafile import Text, read_toml
from ccslab.errors import UserError, unknown
from ccslab.kernel import patchset
from ccslab.kernel.build import MAKE_ARCH, KernelSpec
from ccslab.kernel.patchset import Patchset
from ccslab.kernel.source import Archive, Folder, Source, Tree
from ccslab.settings import ALL, Settings, path_of
from ccslab.sources import archive

STOCK = "stock-"
CATALOGUE = "kernels.toml"


@dataclass(frozen=True)
class Choice:
    """A kernel as it was asked for; what its tree's version decides is not known yet."""

    settings: Settings
    source: Source | Archive | Folder
    patchset: Patchset

    def spec(self, tree: Tree) -> KernelSpec:
        """What the kernel is made of, now that its tree is there.

        :raises UserError: the patchset has nothing for the tree's version, or that is not what was asked for.
        """
        settings = self.settings
        asked = settings.kernel.removeprefix(STOCK)
        if settings.tree and asked and not f"{tree.version}.".startswith(f"{asked}."):
            raise UserError(
                f"is {tree.version}, and {asked} was asked for",
                where=settings.tree,
                mend="leave out --kernel",
            )
        series = self.patchset.series(tree.version)
        config = settings.root / "kernel-patches" / "config"
        mine = [self.patchset.fragment] if self.patchset.fragment else []
        users = [path_of(name, "fragment") for name in settings.fragment]
        return KernelSpec(
            name=self.name,
            arch=settings.arch,
            patchset=self.patchset.identity(),
            series=series,
            fragments=(*fragments(config, tree.version, settings.arch, settings.debug), *mine, *users),
            debug=settings.debug,
        )

    @property
    def name(self) -> str:
        """As a person calls it: ``6.12``, ``stock-6.12``, ``6.12-debug``, or after its tree and patchset."""
        base = self.settings.kernel.removeprefix(STOCK) or self.source.name
        before = {"ccs": "", "stock": STOCK}.get(self.patchset.name, f"{self.patchset.name}-")
        return f"{before}{base}{'-debug' if self.settings.debug else ''}"


def names(root: Path) -> list[str]:
    """All names ``--kernel`` takes, but ``all``."""
    listed = list(_read(root))
    return [*listed, *(STOCK + name for name in listed)]


def expand(settings: Settings) -> list[Settings]:
    """One for each kernel and architecture of ``--kernel all``, ``--arch all`` or lists with commas.

    ``all`` kernels are those of the catalogue with our patchset.

    :raises UserError: a name that nobody knows, or ``all`` with a tree of the user's.
    """
    if settings.tree:
        kernels = [settings.kernel]
    else:
        kernels = _listed("kernel", settings.kernel, names(settings.root), list(_read(settings.root)))
    arches = _listed("architecture", settings.arch, MAKE_ARCH, MAKE_ARCH)
    return [dataclasses.replace(settings, kernel=kernel, arch=arch) for kernel in kernels for arch in arches]


def _listed(kind: str, given: str, known: Iterable[str], every: Iterable[str]) -> list[str]:
    words = [word.strip() for word in given.split(",") if word.strip()]
    if not words:
        raise UserError(f"no {kind} was named", mend="./inv kernel.list shows them")
    found: dict[str, None] = {}
    for word in words:
        if word != ALL and word not in known:
            raise unknown(kind, word, known)
        found.update(dict.fromkeys(every if word == ALL else [word]))
    return list(found)


def find(settings: Settings) -> Choice:
    """The kernel that was asked for.

    :raises UserError: unknown name, architecture or patchset, or the data behind it is malformed.
    """
    if settings.arch not in MAKE_ARCH:
        raise unknown("architecture", settings.arch, MAKE_ARCH)
    stock = settings.kernel.startswith(STOCK)
    if stock and settings.patchset not in ("", "none"):
        raise UserError(
            f"{settings.kernel} is the kernel without patches, and --patchset names {settings.patchset}",
            mend=f"say --kernel {settings.kernel.removeprefix(STOCK)}",
        )
    for name in settings.fragment:
        if not path_of(name, "fragment").is_file():
            raise UserError(
                "there is no such fragment", where=name, mend="--fragment takes a file of CONFIG_ lines"
            )
    chosen = patchset.find(settings.patchset or ("none" if stock else "ccs"), settings.root, settings.store)
    source = _source(settings)
    if not settings.tree:
        # The catalogue's names are versions, so what is wrong is said before the tree is fetched.
        chosen.series(settings.kernel.removeprefix(STOCK))
    return Choice(settings, source, chosen)


def fragments(config: Path, version: str, arch: str, debug: bool) -> tuple[Path, ...]:
    """The fragments of ``kernel-patches/config`` for a build, later ones overriding earlier ones.

    A fragment's name is one or more words joined by ``-``: ``base``, ``tomoyo``, a kernel version, an
    architecture, ``debug``. A build gets those fragments whose words all say something true of it; for a
    version that has no fragments, the next older one's count.
    """
    names = {path.stem for path in config.glob("*.config")}
    versions = sorted({word for name in names for word in name.split("-") if word[0].isdigit()}, key=_number)
    older = [one for one in versions if _number(one) <= _number(version)]
    chosen = (older or versions or [version])[-1 if older else 0]
    ranks = ["base", "tomoyo", chosen, arch, *(["debug"] if debug else [])]
    fitting = [name for name in names if all(word in ranks for word in name.split("-"))]
    fitting.sort(key=lambda name: (name.count("-"), max(ranks.index(word) for word in name.split("-"))))
    return tuple(config / f"{name}.config" for name in fitting)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _source(settings: Settings) -> Source | Archive | Folder:
    if not settings.tree:
        if settings.sha256:
            raise UserError("--sha256 is an archive's, and --tree names none", mend="say --tree FILE, too")
        return sources(settings.root, settings.kernel)
    path = path_of(settings.tree, "tree")
    if archive.is_archive(path):
        if not settings.sha256:
            raise UserError("an archive's hash is missing", where=path, mend="say --sha256 HASH")
        return Archive(path, settings.sha256)
    if settings.sha256:
        raise UserError("--sha256 is an archive's, and this is none", where=path, mend="leave --sha256 out")
    if not path.is_dir():
        raise UserError(
            "there is no such folder, nor archive",
            where=path,
            mend="--tree takes a kernel's source folder, or .tar.xz, .tar.gz ...",
        )
    return Folder(path)


def sources(root: Path, name: str) -> Source:
    """The Debian package that carries the tree of a kernel of this name.

    :raises UserError: unknown name, or the catalogue is malformed.
    """
    listed = _read(root)
    plain = name.removeprefix(STOCK)
    if plain not in listed:
        raise unknown("kernel", name, [ALL, *names(root)])
    return listed[plain]


def _read(root: Path) -> dict[Text, Source]:
    return read_toml(root / "kernel-patches" / CATALOGUE, dict[Text, Source])
