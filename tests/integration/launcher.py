# SPDX-License-Identifier: GPL-2.0-only
"""The harness as a user starts it."""

from __future__ import annotations

import subprocess

from ccslab.settings import ROOT


def inv(*words: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """``./inv WORDS``, to its end."""
    return subprocess.run(
        ["./inv", *words], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def passed(*words: str, timeout_s: float) -> str:
    """What ``./inv WORDS`` prints; its exit code must be 0."""
    done = inv(*words, timeout_s=timeout_s)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
