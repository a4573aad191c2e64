# SPDX-License-Identifier: GPL-2.0-only
"""Programs for a guest, made by a folder's Makefile for its architecture, once for a content."""

from __future__ import annotations

from pathlib import Path

from ccslab.process import need, run
from ccslab.store import Store, hash_file, hash_tree

SHARED = Path("rootfs/src/Makefile")
"""What the Makefiles of other folders include."""
MAKE_S = 300.0


def made(store: Store, kind: str, sources: Path, arch: str, *, shared: Path | None = None) -> Path:
    """The artifact folder of all that ``make -C SOURCES ARCH=ARCH O=FOLDER`` makes.

    :param kind: of artifact, e.g. ``programs``.
    :param arch: ``x86_64`` or ``i386``; the folder's Makefile knows both.
    :param shared: a file from elsewhere that the Makefile includes.
    :raises InfrastructureError: make or the compiler fails or is missing; names the log.
    """
    make, compiler = need("make", "make"), need("gcc", "gcc-multilib")
    _, version = run([compiler, "--version"], timeout_s=20)
    inputs = {"arch": arch, "sources": hash_tree(sources), "compiler": version.splitlines()[0]}
    if shared:
        inputs["makefile"] = hash_file(shared)

    def build(folder: Path) -> None:
        run([make, "-s", "-C", sources, f"ARCH={arch}", f"O={folder.resolve()}"], timeout_s=MAKE_S)

    return store.get(kind, inputs, build)
