# SPDX-License-Identifier: GPL-2.0-only
"""A copy of the lab's files that a test may damage; ``./inv`` without its preparations."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("ccslab", "kernel-patches", "rootfs", "labs", "policies")


class Checkout:
    """The checkout and its command line.

    :param cache: where it builds; the user's cache if None.
    """

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self.root = root
        self.runs = root / "runs"
        self.cache = cache
        for part in PARTS:
            # Symbolic links stay links: those of an overlay point into the guest.
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, root / part, ignore=ignored, symlinks=True)
        for name in ("tasks.py", "invoke.yaml"):
            shutil.copy(ROOT / name, root)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a task, leader of a process group of its own, to which SIGINT is what Ctrl-C is."""
        given = {"PYTHONPATH": str(self.root), "COLUMNS": "200", **environment}
        if self.cache:
            given["CCSLAB_CACHE"] = str(self.cache)
        return subprocess.Popen(
            [sys.executable, "-m", "ccslab", *words],
            cwd=self.root, env={**os.environ, **given},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )  # fmt: skip

    def lab(
        self, *words: str, timeout_s: float = 60.0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a task to its end."""
        with self.start(*words, **environment) as child:
            try:
                out, err = child.communicate(timeout=timeout_s)
            finally:
                child.kill()
        return subprocess.CompletedProcess(words, child.returncode, out, err)
