# SPDX-License-Identifier: GPL-2.0-only
"""What tests with a guest share: a kernel, and an initramfs with busybox in it.

``CCSLAB_KERNEL=6.1`` in the environment has them try another kernel of the catalogue than the usual one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from series import typed_into
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from ccslab.kernel import command
from ccslab.labs import setup
from ccslab.rootfs.initramfs import Entry, File, pack
from ccslab.settings import Settings
from ccslab.vm.machine import Machine

KERNEL = os.environ.get("CCSLAB_KERNEL") or Settings().kernel

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


BESIDE = (
    "test_rootfs",
    "test_series_controls",
    "test_series_policy",
    "test_series_respects",
    "test_pathnames",
)
"""What needs no quiet: it builds images, or counts nothing of what its guest of one CPU does."""


class OneWithGuests(LoadScopeScheduling):
    """One worker for the tests that share kernels and guests, or drive a server; the other for the rest.

    Not ``--dist loadgroup``: xdist 3.8 does not group with pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder, _, name = file.rpartition("/")
        return "guests" if folder == "tests/integration" and not name.startswith(BESIDE) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneWithGuests:
    """Ask who runs which test; called only with ``-n``."""
    return OneWithGuests(config, log)


@pytest.fixture(scope="session")
def kernel() -> Path:
    """The bzImage of the patched kernel; built if its inputs changed."""
    return command.build(Settings(kernel=KERNEL)) / "bzImage"


@pytest.fixture(scope="session")
def stock_kernel() -> Path:
    """The bzImage of the same tree without our series."""
    return command.build(Settings(kernel=f"stock-{KERNEL}")) / "bzImage"


@pytest.fixture(scope="session")
def kernels_built(kernel: Path, stock_kernel: Path) -> None:
    """These and i386's are there: a command under test measures, and a build has a deadline of its own."""
    command.build(Settings(kernel=KERNEL, arch="i386"))


@pytest.fixture(scope="module")
def extra() -> dict[str, Entry]:
    """What a test's module lays into its guest; nothing, if it says nothing."""
    return {}


@pytest.fixture(scope="module")
def patched_guest(
    kernel: Path, extra: dict[str, Entry], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """A shell's prompt on the patched kernel; ``extra`` is what the test's module lays into the guest."""
    with typed_into(kernel, tmp_path_factory.mktemp("patched") / "guest", extra, "sbin/ccs-init") as guest:
        yield guest


@pytest.fixture(scope="module")
def stock_guest(
    stock_kernel: Path, extra: dict[str, Entry], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """The same on the stock kernel, with the loader that one calls."""
    folder = tmp_path_factory.mktemp("stock") / "guest"
    with typed_into(stock_kernel, folder, extra, "sbin/tomoyo-init") as guest:
        yield guest


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
    """The raw root filesystem of the Debian server; built if its inputs changed."""
    return setup.build_image(Settings(), "webserver") / "rootfs.img"
