# SPDX-License-Identifier: GPL-2.0-only
"""What the ``kernel.*`` tasks do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich import box
from rich.table import Table

from ccslab.errors import UserError
from ccslab.kernel import build as building
from ccslab.kernel import catalog, source
from ccslab.progress import console
from ccslab.settings import Settings


def chosen(settings: Settings, *, update: bool = False) -> tuple[building.KernelSpec, source.Tree]:
    """The kernel that was asked for, and its tree.

    :raises LabError: what the user asked for is wrong, or the tree cannot be had.
    """
    choice = catalog.find(settings)
    tree = source.fetch(choice.source, settings.store, update=update)
    return choice.spec(tree), tree


def fetch(settings: Settings, *, update: bool = False) -> source.Tree:
    """Fetch and unpack the tree; returns it."""
    tree = source.fetch(catalog.find(settings).source, settings.store, update=update)
    console.print(f"{tree.label} ({tree.version}): {tree.folder}")
    return tree


def patch(settings: Settings) -> Path:
    """Bring the work tree to the series; returns the tree."""
    spec, pristine = chosen(settings)
    tree, changed = building.patch(spec, pristine, settings.store)
    console.print(f"{len(spec.series.patches)} patches, {len(changed)} files changed: {tree}")
    return tree


def configure(settings: Settings) -> Path:
    """Patch and configure; returns the .config."""
    spec, tree = chosen(settings)
    config = building.configure(spec, tree, settings.store, jobs=settings.jobs)
    console.print(f"{config}")
    return config


def build(settings: Settings) -> Path:
    """Build the kernel if it is not built; returns its artifact folder."""
    spec, tree = chosen(settings)
    folder = building.build(spec, tree, settings.store, jobs=settings.jobs)
    console.print(f"kernel {spec.name} ({spec.arch}): {folder}")
    return folder


def show(settings: Settings) -> None:
    """Say which kernels there are: where their trees are from, how many patches, what is built."""
    table = Table("kernel", "tree", "fetched", "patches", "built", box=box.SIMPLE_HEAD)
    for name in catalog.names(settings.root):
        package = catalog.sources(settings.root, name)
        pinned = source.fetched(package, settings.store)
        named = replace(settings, kernel=name)
        table.add_row(
            name,
            f"{package.package} ({package.suite})",
            pinned or "-",
            _patches(named),
            (", ".join(_built(named)) if pinned else "") or "-",
        )
    console.print(table)
    console.print("build one: ./inv kernel.build --kernel NAME [--arch x86_64|i386|all] [--debug]")


def _patches(settings: Settings) -> str:
    """How many patches a kernel of the catalogue gets; "none yet" where the patchset has no series for it."""
    version = settings.kernel.removeprefix(catalog.STOCK)
    try:
        return str(len(catalog.find(settings).patchset.series(version).patches))
    except UserError:
        return "none yet"


def _built(settings: Settings) -> list[str]:
    """Which kernels of this name a build would find built: ``x86_64``, ``i386 debug``."""
    found = []
    for debug in (False, True):
        for arch in building.MAKE_ARCH:
            try:
                spec, tree = chosen(replace(settings, arch=arch, debug=debug))
            except UserError:  # its patchset has no series for the tree's version
                continue
            if settings.store.has("kernel", spec.inputs(tree)):
                found.append(f"{arch} debug" if debug else arch)
    return found
