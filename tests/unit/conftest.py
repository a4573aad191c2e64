# SPDX-License-Identifier: GPL-2.0-only
"""Unit tests are pure: they start no program. That is held here, so that the folder stays quick."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from phase_world import World

from ccslab.labs import attackers
from ccslab.store import forget_used

STARTS = frozenset(
    {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
)
_pure = False


def _refuse(event: str, _: object) -> None:
    if _pure and event in STARTS:
        # Not an Exception: the code under test handles programs that fail, and would take it for one.
        pytest.fail(f"a unit test starts a program ({event}): it belongs to tests/processes")


sys.addaudithook(_refuse)  # for good; there is no way to remove one


@pytest.fixture(autouse=True)
def pure() -> Iterator[None]:
    """Each test starts no program, and begins as a process does that used no artifact."""
    global _pure  # noqa: PLW0603
    _pure = True
    yield
    _pure = False
    forget_used()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A run that goes well unless something is changed."""
    monkeypatch.setattr(attackers, "Guest", lambda machine, lab, folder: machine.guest)
    made = World(tmp_path)
    made.serve()
    return made
