# SPDX-License-Identifier: GPL-2.0-only
"""A root filesystem of busybox: what is in it, and what is said of a host without one."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError
from ccslab.rootfs import busybox
from ccslab.rootfs.initramfs import CharacterDevice, File, Symlink
from ccslab.store import Store


def test_a_tree_of_the_host_s(tmp_path: Path) -> None:
    own = busybox.of(platform.machine(), Store(tmp_path))
    tree = busybox.busybox(init="exec sh")
    assert tree["bin/busybox"] == File(own, 0o755)
    assert own.startswith(b"\x7fELF")
    assert tree["bin/sh"] == tree["bin/mount"] == Symlink("busybox")
    assert tree["dev/console"] == CharacterDevice(5, 1)
    assert tree["sbin/init"] == File(b"#!/bin/sh\nexec sh\n", 0o755)
    assert list(tmp_path.iterdir()) == []  # nothing was fetched


def test_another_architecture_s_has_the_same_applets() -> None:
    assert busybox.busybox(program=b"other") == busybox.busybox() | {"bin/busybox": File(b"other", 0o755)}


@pytest.mark.parametrize(("there", "said"), [(False, "is not installed"), (True, "is not static")])
def test_a_host_without_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, said: str
) -> None:
    if there:
        (tmp_path / "busybox").symlink_to("/bin/ls")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError, match=f"busybox {said}") as caught:
        busybox.busybox()
    assert caught.value.mend == "apt-get install busybox-static"
