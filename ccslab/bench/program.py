# SPDX-License-Identifier: GPL-2.0-only
"""The guests' programs (``rootfs/bench``), made from their sources for an architecture."""

from __future__ import annotations

from pathlib import Path

from ccslab.kernel.build import toolchain
from ccslab.process import need, run
from ccslab.settings import Settings
from ccslab.store import hash_file, hash_tree

MAKE_TIMEOUT_S = 120.0
SOURCES = Path("rootfs/bench")
MAKEFILE = Path("rootfs/src/Makefile")


def made(settings: Settings) -> Path:
    """The folder of all; built if their inputs changed.

    :raises InfrastructureError: make or the compiler fails or is missing.
    """
    make = need("make", "make")
    sources, makefile = settings.root / SOURCES, settings.root / MAKEFILE

    def build(folder: Path) -> None:
        arch = f"ARCH={settings.arch}"
        argv: list[str | Path] = [make, "-s", "-C", sources, arch, f"O={folder.resolve()}"]
        run(argv, timeout_s=MAKE_TIMEOUT_S)

    inputs = {
        "arch": settings.arch,
        "sources": hash_tree(sources),
        "makefile": hash_file(makefile),
        "compiler": toolchain()["gcc"],
    }
    return settings.store.get("bench", inputs, build)
