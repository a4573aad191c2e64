# SPDX-License-Identifier: GPL-2.0-only
"""The image: base tarball + programs + overlays + hooks, as a raw ext4 file system of fixed bytes.

The quick layer (seconds): editing a page of the server does not install Debian again.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab import process, progress
from ccslab.datafile import Fault, wrong
from ccslab.errors import InfrastructureError
from ccslab.rootfs import base, enclosure, programs
from ccslab.rootfs.recipe import FOLDER, Recipe
from ccslab.store import Store, full, hash_file, hash_tree

KIND = "rootfs"
IMAGE, MANIFEST, LOG = "rootfs.img", "manifest.json", "build.log"
SCRIPT = Path(__file__).with_name("image.sh")
TIDY = Path(__file__).with_name("tidy.sh")
SOURCES = Path("rootfs/src")
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Content:
    """What is laid over a base, in order: programs, then overlays, then hooks."""

    programs: Mapping[Path, str]
    overlays: Sequence[Path]
    hooks: Sequence[Path]

    def arguments(self) -> list[str]:
        """As ``image.sh`` takes it."""
        return [
            *(f"program:{file}:{target}" for file, target in sorted(self.programs.items())),
            *(f"overlay:{folder}" for folder in self.overlays),
            *(f"hook:{file}" for file in self.hooks),
        ]


def version(program: str, package: str) -> str:
    """The version line a tool of e2fsprogs prints; the image's layout is that tool's."""
    _, said = process.run([process.need(program, package), "-V"], timeout_s=10, check=False)
    return said.strip().splitlines()[0] if said.strip() else ""


def inputs(recipe: Recipe, arch: str, made: Path, content: Content, root: Path) -> dict[str, Any]:
    """All that makes an image.

    :param made: artifact folder of the base.
    """
    return {
        "arch": arch,
        "base": json.loads((made / base.MANIFEST).read_text())["base_sha256"],
        "programs": [sorted(content.programs.values()), hash_tree(root / SOURCES)],
        "overlays": [hash_tree(folder) for folder in content.overlays],
        "hooks": [[file.name, hash_file(file)] for file in content.hooks],
        "hostname": recipe.hostname,
        "root_password": recipe.root_password,
        "epoch": recipe.source_date_epoch,
        "image": [recipe.size_mib, recipe.label, recipe.uuid],
        "scripts": hash_tree(SCRIPT, TIDY, base.IDENTITY),
        "mke2fs": version("mke2fs", "e2fsprogs"),
    }


def compile_programs(recipe: Recipe, arch: str, store: Store, root: Path) -> dict[Path, str]:
    """Build ``rootfs/src`` and return built file -> destination for the programs the recipe wants.

    :raises UserError: the recipe wants a program that ``rootfs/src`` does not have.
    :raises InfrastructureError: make or the compiler fails or is missing.
    """
    for name in recipe.programs:
        source = root / SOURCES / name
        if not source.with_suffix(".c").is_file() and not source.is_dir():
            file = FOLDER / f"{recipe.name}.toml"
            fault = Fault(f"{SOURCES} has no source of it", "content", "programs", name)
            mend = f"add {SOURCES / name}.c or correct the name"
            raise wrong(fault, file, mend, text=(root / file).read_text())
    if not recipe.programs:
        return {}
    folder = programs.made(store, "programs", root / SOURCES, arch)
    return {folder / name: target for name, target in recipe.programs.items()}


def build(
    recipe: Recipe, arch: str, store: Store, *, made: Path, content: Content, wanted: Mapping[str, Any]
) -> Path:
    """The artifact folder with ``rootfs.img`` and ``manifest.json``; built if there is none.

    :param made: artifact folder of the base.
    :param wanted: what :func:`inputs` said.
    :raises InfrastructureError: a hook failed, the image is too small, no namespaces, disk full.
    """
    return store.get(
        KIND,
        wanted,
        lambda part: _make(recipe, arch, store, part, made=made, content=content),
        needs_bytes=(made / base.TARBALL).stat().st_size,  # the image has holes where it holds nothing
    )


def _make(recipe: Recipe, arch: str, store: Store, part: Path, *, made: Path, content: Content) -> None:
    process.need("debugfs", "e2fsprogs")
    log = store.work("rootfs", "logs") / f"{recipe.name}-{arch}-image.log"
    log.unlink(missing_ok=True)
    arguments = content.arguments()
    with (
        progress.step(f"Making the image of {recipe.name} ({arch})", total=len(arguments) + 5) as step,
        tempfile.TemporaryDirectory(prefix="tree-", dir=part) as tree,
    ):

        def on_line(line: str) -> None:
            if line.startswith("image: "):
                step.advance(note=line.removeprefix("image: "))

        env = {
            "TREE": tree,
            "BASE": str(made / base.TARBALL),
            "IMAGE": str(part / IMAGE),
            "HERE": str(SCRIPT.parent),
            "EPOCH": str(recipe.source_date_epoch),
            "SIZE_MIB": str(recipe.size_mib),
            "UUID": recipe.uuid,
            "LABEL": recipe.label,
            "GUEST_HOSTNAME": recipe.hostname,
            "GUEST_PASSWORD": recipe.root_password,
        }
        status, said = enclosure.run(
            SCRIPT, arguments, env=env, network=False, timeout_s=TIMEOUT_S, log=log, on_line=on_line
        )
    if status != 0:
        raise failure(said, recipe, log, disk=full(part))
    below = json.loads((made / base.MANIFEST).read_text())
    manifest = {
        **below,
        "recipe": recipe.name,
        "image_sha256": hash_file(part / IMAGE),
        "image_bytes": (part / IMAGE).stat().st_size,
        "overlays": [folder.name for folder in content.overlays],
        "hooks": [file.name for file in content.hooks],
        "programs": sorted(content.programs.values()),
    }
    (part / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    (part / LOG).write_bytes((made / base.LOG).read_bytes() + log.read_bytes())


def failure(said: str, recipe: Recipe, log: Path, *, disk: str = "") -> InfrastructureError:
    """The error for an image that could not be made, from what ``image.sh`` said last.

    :param disk: what there is to say of the host's disk, if that is full.
    """
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("image: ")]
    if disk:
        return InfrastructureError(
            f"{disk}: {' | '.join(lines[-2:])}",
            where=f"recipe {recipe.name}, log {log}",
            mend="free some space, or choose another cache folder with CCSLAB_CACHE=DIR",
        )
    if re.search(r"No space left|Could not allocate|ext2fs_(file_)?write|populating", said):
        return InfrastructureError(
            f"the content does not fit into {recipe.size_mib} MiB: {' | '.join(lines[-2:])}",
            where=f"recipe {recipe.name}, log {log}",
            mend="raise image.size_mib, or free memory: the tree is made on a tmpfs",
        )
    return InfrastructureError(
        f"the image could not be made: {' | '.join(lines[-3:]) or 'no word'}",
        where=f"recipe {recipe.name}, log {log}",
        mend="mend what the last lines name; the log has the rest",
    )
