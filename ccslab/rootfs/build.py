# SPDX-License-Identifier: GPL-2.0-only
"""Recipe -> bootable image, in two layers: packages (slow, :mod:`base`) and content (quick, :mod:`image`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccslab.errors import UserError
from ccslab.rootfs import base, image
from ccslab.rootfs.image import IMAGE, MANIFEST
from ccslab.rootfs.recipe import Recipe, load_recipe, recipes
from ccslab.store import Store

__all__ = ["IMAGE", "MANIFEST", "build", "load_recipe", "recipes"]


def build(
    recipe: Recipe,
    *,
    arch: str,
    overlays: Sequence[Path] = (),
    store: Store,
    root: Path,
    update: bool = False,
) -> Path:
    """The artifact folder of a recipe's image: ``rootfs.img`` (raw ext4), ``manifest.json``, ``build.log``.

    With nothing changed this needs neither network nor root and takes a fraction of a second.

    :param arch: ``x86_64`` or ``i386``.
    :param overlays: folders laid over the recipe's own, before its hooks run.
    :param root: the tree the recipe's paths are relative to.
    :param update: install today's package versions instead of those the store has.
    :raises UserError: unknown architecture, package or program, or an overlay that is not there.
    :raises InfrastructureError: no network, broken mirror, no namespaces, disk full, a hook that fails.
    """
    base.debian_arch(arch)
    for folder in overlays:
        if not folder.is_dir():
            raise UserError("the overlay is no folder", where=folder, mend="name a folder")
    made = base.build(recipe, arch, store, update=update)
    content = image.Content(
        programs=image.compile_programs(recipe, arch, store, root),
        overlays=[*(root / name for name in recipe.overlays), *overlays],
        hooks=[root / name for name in recipe.hooks],
    )
    wanted = image.inputs(recipe, arch, made, content, root)
    return image.build(recipe, arch, store, made=made, content=content, wanted=wanted)
