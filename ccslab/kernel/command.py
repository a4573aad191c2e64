# SPDX-License-Identifier: GPL-2.0-only
"""What the ``kernel.*`` tasks do."""

from __future__ import annotations

from pathlib import Path

from ccslab.kernel import build as building
from ccslab.kernel import catalog, source
from ccslab.progress import console
from ccslab.settings import Settings


def _chosen(settings: Settings, *, update: bool = False) -> tuple[building.KernelSpec, source.Tree]:
    """The kernel that was asked for, and its tree."""
    spec = catalog.find(settings.kernel, settings.arch, settings.root)
    return spec, source.fetch(spec.source, settings.store, update=update)


def fetch(settings: Settings, *, update: bool = False) -> source.Tree:
    """Fetch and unpack the tree; returns it."""
    _, tree = _chosen(settings, update=update)
    console.print(f"{tree.package} {tree.version}: {tree.folder}")
    return tree


def patch(settings: Settings) -> Path:
    """Bring the work tree to the series; returns the tree."""
    spec, pristine = _chosen(settings)
    tree, changed = building.patch(spec, pristine, settings.store)
    console.print(f"{len(spec.series.patches)} patches, {len(changed)} files changed: {tree}")
    return tree


def configure(settings: Settings) -> Path:
    """Patch and configure; returns the .config."""
    spec, tree = _chosen(settings)
    config = building.configure(spec, tree, settings.store, jobs=settings.jobs)
    console.print(f"{config}")
    return config


def build(settings: Settings) -> Path:
    """Build the kernel if it is not built; returns its artifact folder."""
    spec, tree = _chosen(settings)
    folder = building.build(spec, tree, settings.store, jobs=settings.jobs)
    console.print(f"kernel {spec.name} ({spec.arch}): {folder}")
    return folder
