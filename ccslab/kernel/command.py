# SPDX-License-Identifier: GPL-2.0-only
"""What the ``kernel.*`` tasks do."""

from __future__ import annotations

from pathlib import Path

from ccslab.kernel import build as building
from ccslab.kernel import catalog, source
from ccslab.progress import console
from ccslab.settings import Settings


def fetch(settings: Settings, *, update: bool = False) -> source.Tree:
    """Fetch and unpack the tree; returns it."""
    spec = catalog.find(settings.kernel, settings.arch, settings.root)
    tree = source.fetch(spec.source, settings.store, update=update)
    console.print(f"{tree.package} {tree.version}: {tree.folder}")
    return tree


def patch(settings: Settings) -> Path:
    """Bring the work tree to the series; returns the tree."""
    spec = catalog.find(settings.kernel, settings.arch, settings.root)
    tree, changed = building.patch(spec, source.fetch(spec.source, settings.store), settings.store)
    console.print(f"{len(spec.series.patches)} patches, {len(changed)} files changed: {tree}")
    return tree


def configure(settings: Settings) -> Path:
    """Patch and configure; returns the .config."""
    spec = catalog.find(settings.kernel, settings.arch, settings.root)
    tree = source.fetch(spec.source, settings.store)
    config = building.configure(spec, tree, settings.store, jobs=settings.jobs)
    console.print(f"{config}")
    return config


def build(settings: Settings) -> Path:
    """Build the kernel if it is not built; returns its artifact folder."""
    spec = catalog.find(settings.kernel, settings.arch, settings.root)
    tree = source.fetch(spec.source, settings.store)
    folder = building.build(spec, tree, settings.store, jobs=settings.jobs)
    console.print(f"kernel {spec.name} ({spec.arch}): {folder}")
    return folder
