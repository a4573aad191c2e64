# SPDX-License-Identifier: GPL-2.0-only
"""``ccsbench`` and ``benchinit``: made from their sources for the guest's architecture."""

from __future__ import annotations

from pathlib import Path

from ccslab.process import need, run
from ccslab.settings import Settings
from ccslab.store import hash_file, hash_tree

MAKE_TIMEOUT_S = 120.0
SOURCES = Path("rootfs/bench")
MAKEFILE = Path("rootfs/src/Makefile")


def compiler() -> str:
    """What the compiler says of itself."""
    _, said = run([need("gcc", "gcc-multilib"), "--version"], timeout_s=20)
    return said.splitlines()[0]


def made(settings: Settings) -> Path:
    """The folder of both; built if their inputs changed.

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
        "compiler": compiler(),
    }
    return settings.store.get("bench", inputs, build)
