# SPDX-License-Identifier: GPL-2.0-only
"""The guests' programs (``rootfs/bench``), made from their sources for an architecture."""

from __future__ import annotations

from pathlib import Path

from ccslab.rootfs import programs
from ccslab.settings import Settings

SOURCES = Path("rootfs/bench")


def made(settings: Settings) -> Path:
    """The folder of all; built if their inputs changed.

    :raises InfrastructureError: make or the compiler fails or is missing.
    """
    sources, shared = settings.root / SOURCES, settings.root / programs.SHARED
    return programs.made(settings.store, "bench", sources, settings.arch, shared=shared)
