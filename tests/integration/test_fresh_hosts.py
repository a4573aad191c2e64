# SPDX-License-Identifier: GPL-2.0-only
"""A stranger's machine, each supported release from nothing: what ``./inv`` installs, and what works then.

A chroot of the smallest Debian and git, whose apt knows one suite, with namespaces of its own. Takes an hour
each on two cores, root and 8 GiB of disk: for the night.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from ccslab.process import need
from ccslab.settings import ROOT
from ccslab.sources import mirrors

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

HOSTS = ("bookworm", "trixie")
BOOTSTRAP_TIMEOUT_S = 1800.0
INSTALL_TIMEOUT_S = 3600.0
TESTS_TIMEOUT_S = 7200.0
OBJECTS_TIMEOUT_S = 7200.0
# As a container has it: processes and mounts are the chroot's own, and end with it.
ENTER = r"""
mount --bind "$0" "$0"
mount -t proc proc "$0/proc"
mount -t sysfs -o ro sysfs "$0/sys"
mount -t tmpfs -o mode=755 tmpfs "$0/dev"
for node in null zero full random urandom tty; do
    touch "$0/dev/$node"; mount --bind "/dev/$node" "$0/dev/$node"
done
ln -s /proc/self/fd "$0/dev/fd"
ln -s fd/0 "$0/dev/stdin"; ln -s fd/1 "$0/dev/stdout"; ln -s fd/2 "$0/dev/stderr"
mkdir "$0/dev/pts" "$0/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$0/dev/pts"
ln -s pts/ptmx "$0/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm"
cd "$0"
pivot_root . mnt
umount -l /mnt
exec "$@"
"""


class Host:
    """The chroot, and a checkout in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def start(self, command: str) -> pexpect.spawn[str]:
        """A shell command in the checkout, on a terminal; dies with everything it started."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        passed = [f"{name}={value}" for name, value in os.environ.items() if _of_the_network(name)]
        words = [
            "/usr/bin/env",
            "-i",
            "HOME=/root",
            f"PATH={path}",
            "LANG=C.UTF-8",
            "TERM=dumb",
            *passed,
            "sh",
            "-ec",
        ]
        enclosed = ["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        return pexpect.spawn(
            need("unshare", "util-linux"),
            [*enclosed, "sh", "-euc", ENTER, str(self.root), *words, f"cd /root/ccs-lab; {command}"],
            encoding="utf-8",
            codec_errors="replace",
            dimensions=(24, 200),
        )

    def passed(self, command: str, timeout_s: float) -> str:
        """What a command prints, which must end with status 0."""
        child = self.start(command)
        child.expect(pexpect.EOF, timeout=timeout_s)
        said = str(child.before)
        child.close()
        assert child.exitstatus == 0, f"{command}: exit {child.exitstatus}\n{said[-4000:]}"
        return said


def _of_the_network(name: str) -> bool:
    """Whether a variable is about how this machine's network is reached."""
    return name.lower().endswith("_proxy") or name == "PIP_CERT"


@pytest.fixture(scope="module", params=HOSTS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A release, bootstrapped, with this checkout's last commit."""
    assert os.geteuid() == 0, "a chroot needs root"
    root = tmp_path_factory.mktemp(request.param) / "root"
    url = mirrors.url(request.param)
    subprocess.run(
        [need("mmdebstrap", "mmdebstrap"), "--variant=minbase", "--include=git", "--quiet",
         f"--keyring={mirrors.keyring()}", request.param, root, f"deb {url} {request.param} main"],
        check=True, timeout=BOOTSTRAP_TIMEOUT_S,
    )  # fmt: skip
    try:
        subprocess.run(
            ["git", "clone", "--quiet", "--no-hardlinks", ROOT, root / "root/ccs-lab"],
            check=True,
            timeout=300,
        )
        for name in filter(None, ("/etc/resolv.conf", "/etc/hosts", os.environ.get("PIP_CERT"))):
            (root / name.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, root / name.lstrip("/"))
        yield Host(root)
    finally:
        shutil.rmtree(root)


def test_the_doctor_is_content_and_nothing_but_the_core_was_installed(host: Host) -> None:
    said = host.passed("./inv lab.doctor", INSTALL_TIMEOUT_S)
    assert "this machine is ready" in said
    assert said.count("inv: installing what ") == 1
    assert not (host.root / "usr/bin/chromium").exists()
    assert not list((host.root / "root/ccs-lab/.venv").glob("lib/*/site-packages/matplotlib"))


def test_the_tests_without_guests_pass(host: Host) -> None:
    said = host.passed("./inv test --quick", TESTS_TIMEOUT_S)
    assert " passed" in said


def test_a_kernel_compiles(host: Host) -> None:
    """Its first hundred objects, with this release's compiler; the whole takes a quarter of an hour."""
    child = host.start("./inv kernel.build | cat")  # lines, not a bar
    try:
        child.expect(r"Building kernel 6\.12 \(x86_64\): *([1-9]\d{2,}) of", timeout=OBJECTS_TIMEOUT_S)
        assert int(child.match[1]) >= 100
    finally:
        child.close(force=True)
