# SPDX-License-Identifier: GPL-2.0-only
"""What tests with a guest share: a kernel, and an initramfs with busybox in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from initramfs import File, pack

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /root
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TERM=vt220
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
cd /root
while :; do setsid cttyhack sh; done
"""


@pytest.fixture(scope="session")
def kernel() -> Path:
    """A bzImage with a serial console."""
    named = os.environ.get("CCSLAB_TEST_KERNEL")
    assert named, "CCSLAB_TEST_KERNEL is to name a bzImage"
    return Path(named)


@pytest.fixture(scope="session")
def initramfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root filesystem in memory: busybox, and a shell on the serial console."""
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is not installed: run ./inv once"
    programs = {"init": File(INIT.encode(), 0o755), "bin/busybox": File(Path(busybox).read_bytes(), 0o755)}
    packed = tmp_path_factory.mktemp("initramfs") / "initramfs.cpio"
    packed.write_bytes(pack(programs))
    return packed


@pytest.fixture(scope="session")
def server_image() -> Path:
    """The raw root filesystem of the Debian server."""
    named = os.environ.get("CCSLAB_TEST_IMAGE")
    assert named, "CCSLAB_TEST_IMAGE is to name a raw root filesystem"
    return Path(named)
