# SPDX-License-Identifier: GPL-2.0-only
"""Temporary folders of killed processes are swept; those of living ones, and other people's, are not."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab.store import temporary

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_it_is_gone_with_its_block() -> None:
    with temporary.folder("port") as folder:
        assert temporary.sweep() == 0
        (folder / "file").touch()
    assert not folder.exists()


def test_a_killed_process_leaves_one_that_is_swept(place: Path, other_run: Start) -> None:
    user = other_run("""
        import time
        from ccslab.store import temporary
        with temporary.folder("port") as folder:
            (folder / "file").touch()
            print(folder, flush=True)
            time.sleep(100)
    """)
    assert user.stdout is not None
    folder = Path(user.stdout.readline().strip())
    assert folder.parent == place
    temporary.sweep()
    assert (folder / "file").is_file()
    user.kill()
    user.wait(10)
    temporary.sweep()
    assert not folder.exists()


def test_what_is_not_ours_is_not_swept(place: Path) -> None:
    (place / "ccslab-port-link").symlink_to(place)
    for name in ("ccslab-notes", "ccslab-", "mine", "ccslab-port-x.txt"):
        (place / name).mkdir()
    (place / "ccslab-port-file").touch()
    before = sorted(place.iterdir())
    temporary.sweep()
    assert sorted(place.iterdir()) == before
