# SPDX-License-Identifier: GPL-2.0-only
"""AppArmor's profiles, compiled on the host: the guest needs nothing of AppArmor's own to load them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ccslab.bench.plan import CONFINED, Configuration
from ccslab.process import need, run
from ccslab.store import Store

FEATURES = Path("/etc/apparmor.d/abi/kernel-5.4-vanilla")
"""What the parser is to believe the kernel can do; it comes with the parser."""
TIMEOUT_S = 600.0  # ten thousand patterns take 46 s on an idle machine
BLOB = "profile.bin"


def compiled(store: Store, configurations: Iterable[Configuration]) -> dict[str, bytes]:
    """Name of each configuration that confines → what to write to the kernel.

    :raises InfrastructureError: the parser is missing, or fails.
    """
    return {one.name: _blob(store, one) for one in configurations if one.mode == CONFINED}


def _blob(store: Store, configuration: Configuration) -> bytes:
    parser = need("apparmor_parser", "apparmor")
    _, said = run([parser, "--version"], timeout_s=TIMEOUT_S)

    def compile_into(folder: Path) -> None:
        source = folder / "profile"
        source.write_text(configuration.confinement)
        argv: list[str | Path] = [
            parser, "--skip-cache", "--skip-kernel-load", "--features-file", FEATURES,
            "--ofile", folder / BLOB, source,
        ]  # fmt: skip
        run(argv, timeout_s=TIMEOUT_S)

    inputs = {
        "profile": configuration.confinement,
        "parser": said.splitlines()[0],
        "features": FEATURES.read_text(),
    }
    return (store.get("apparmor", inputs, compile_into) / BLOB).read_bytes()
