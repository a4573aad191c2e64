# SPDX-License-Identifier: GPL-2.0-only
"""A command that failed on a damaged artifact makes it again and tries once more; no other does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from invoke import Context, Exit

from ccslab.errors import InfrastructureError, UserError
from ccslab.store import Store
from ccslab.tasking import lab_task

INPUTS = {"version": 1}
GOOD, BAD = b"good", b"evil"

# How a command that uses a damaged artifact may end.
ENDS: dict[str, Callable[[], object]] = {
    "environment": lambda: _raise(InfrastructureError("the guest died")),
    "invalid input": lambda: _raise(UserError("the patch does not apply")),
    "a bug": lambda: _raise(KeyError("release")),
    "a verdict": lambda: 1,
}


def _raise(error: Exception) -> None:
    raise error


def build(folder: Path) -> None:
    (folder / "file").write_bytes(GOOD)


def damage(path: Path) -> None:
    """As a disk does: neither size nor time tells."""
    about = path.stat()
    path.write_bytes(BAD)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def command(store: Store, end: Callable[[], object], tried: list[bytes]) -> object:
    def body(c: Context) -> object:
        tried.append((store.get("programs", INPUTS, build) / "file").read_bytes())
        return end() if tried[-1] == BAD else 0

    return lab_task()(body)


@pytest.mark.parametrize("end", ENDS)
def test_what_failed_on_a_damaged_artifact_passes_by_itself(
    store: Store, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store.get("programs", INPUTS, build)
    damage(folder / "file")
    tried: list[bytes] = []
    command(store, ENDS[end], tried)(Context())  # type: ignore[operator]
    assert tried == [BAD, GOOD]
    said = capsys.readouterr().out
    assert f"programs {folder.name} is damaged: file has other bytes than were published" in said
    assert "trying once more" in said


@pytest.mark.parametrize("end", ENDS)
def test_what_failed_for_another_reason_is_not_tried_again(store: Store, end: str) -> None:
    tried: list[bytes] = []

    def body(c: Context) -> object:
        tried.append((store.get("programs", INPUTS, build) / "file").read_bytes())
        return ENDS[end]()

    with pytest.raises((Exit, KeyError)):
        lab_task()(body)(Context())
    assert tried == [GOOD]


def test_it_is_tried_once_more_and_not_again(store: Store) -> None:
    tried: list[bytes] = []

    def body(c: Context) -> object:
        folder = store.get("programs", INPUTS, build)
        damage(folder / "file")
        tried.append(BAD)
        raise InfrastructureError("the guest died")

    with pytest.raises(Exit) as caught:
        lab_task()(body)(Context())
    assert caught.value.code == 3
    assert len(tried) == 2
