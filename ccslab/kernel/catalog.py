# SPDX-License-Identifier: GPL-2.0-only
"""The kernels a user can name, read from ``kernel-patches/kernels.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ccslab.errors import UserError, unknown
from ccslab.kernel.build import MAKE_ARCH, KernelSpec
from ccslab.kernel.series import NO_PATCHES, load_series
from ccslab.kernel.source import Source

STOCK = "stock-"


def names(root: Path) -> list[str]:
    """All names ``--kernel`` takes."""
    listed = list(_read(root))
    return [*listed, *(STOCK + name for name in listed)]


def find(name: str, arch: str, root: Path) -> KernelSpec:
    """The kernel of that name for that architecture.

    :param root: the lab's checkout.
    :raises UserError: unknown name or architecture, or the data behind it is malformed.
    """
    if arch not in MAKE_ARCH:
        raise unknown("architecture", arch, MAKE_ARCH)
    listed = _read(root)
    plain = name.removeprefix(STOCK)
    if plain not in listed:
        raise unknown("kernel", name, names(root))
    entry = listed[plain]
    patches = root / "kernel-patches"
    config = patches / "config"
    for key in ("package", "suite", "series"):
        if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
            raise UserError(f"kernel {plain} lacks the text {key!r}", where=patches / "kernels.toml")
    source = Source(entry["package"], entry["suite"])
    return KernelSpec(
        name=name,
        arch=arch,
        source=source,
        series=NO_PATCHES if name.startswith(STOCK) else load_series(patches / entry["series"]),
        fragments=(config / "base.config", config / "tomoyo.config", config / f"{arch}.config"),
    )


def _read(root: Path) -> dict[str, dict[str, Any]]:
    path = root / "kernel-patches" / "kernels.toml"
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", where=path) from error
