# SPDX-License-Identifier: GPL-2.0-only
"""Who runs the lab's own tests; and that a unit test cannot start a program unseen."""

from __future__ import annotations

import os
import subprocess

import pytest

from ccslab import quality


@pytest.mark.parametrize(
    ("only", "quick", "count"),
    [
        ("", False, "8"),
        ("", True, "8"),
        ("tests/unit", False, "8"),
        ("tests/processes/", False, "8"),
        ("tests/unit/test_quality.py", False, ""),
        ("tests/integration", False, ""),
    ],
)
def test_there_are_as_many_workers_as_cores(
    monkeypatch: pytest.MonkeyPatch, only: str, quick: bool, count: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else (64 << 30) // 4096)
    assert quality.workers(only, quick=quick)[:2] == (("-n", count) if count else ())


@pytest.mark.parametrize(("gib", "count"), [(1, "1"), (5, "2"), (64, "8")])
def test_workers_whose_guests_would_not_fit_are_not_begun(
    monkeypatch: pytest.MonkeyPatch, gib: int, count: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else (gib << 30) // 4096)
    assert quality.workers("", quick=False) == ("-n", count, "--dist", "loadscope")


def test_a_unit_test_that_starts_a_program_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="belongs to tests/processes"):
        subprocess.run(["true"], check=False)
