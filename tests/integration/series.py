# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of the kernel series share: a loader that is a shell script, and a guest to type into.

The loader knows nothing of our tools, so that a test that is red here blames the kernel.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ccslab.labs.setup import DEBUG_MEMORY_MIB, DEBUG_PATIENCE
from ccslab.rootfs.busybox import busybox
from ccslab.rootfs.initramfs import Entry, File, pack
from ccslab.vm.console import SHELL
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "rootfs" / "src"
BOOT_S = 60.0
PROC = "/proc/ccs"
SECURITYFS = "/sys/kernel/security/tomoyo"
MANAGER = "/bin/busybox"
STRANGER = "/bin/busybox.stranger"
"""A program that policy can be for: busybox by another name."""
DENIED = "Operation not permitted"

PROFILES = "\n".join(
    [
        "PROFILE_VERSION=20150505",
        "0-CONFIG={ mode=disabled grant_log=no reject_log=no }",
        *(
            f"{number}-CONFIG::file::mount={{ mode={mode} grant_log=yes reject_log=yes }}"
            for number, mode in enumerate(("learning", "permissive", "enforcing"), start=1)
        ),
    ]
)
EXCEPTIONS = "initialize_domain /bin/mountcalls from any\nkeep_domain any from <kernel> /sbin/init\n"

LOADER = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs securityfs /sys/kernel/security
cd /proc/ccs 2>/dev/null || cd /sys/kernel/security/tomoyo
for name in manager exception_policy profile; do
    cat /etc/series/$name >$name
done
echo "LOADER CALLED AS $0" >/dev/console
cd /
umount /sys/kernel/security /sys /proc
"""

# The first program of a guest that is typed into.
SHELL_INIT = """\
export PATH=/bin HOME=/root TERM=vt220
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs securityfs /sys/kernel/security
mount -t devtmpfs dev /dev
cd /root
while :; do setsid cttyhack sh; done
"""


def compiled(folder: Path) -> dict[str, File]:
    """The programs the tests run in a guest, as /bin/mountcalls and /bin/ccsprobe."""
    make = ["make", "-s", "-C", str(SOURCES), "ARCH=x86_64", f"O={folder}", str(folder / "mountcalls")]
    subprocess.run(make, check=True, timeout=120)
    probe = ["gcc", "-static", "-Os", "-Wall", "-Werror", "-o", folder / "ccsprobe", HERE / "ccsprobe.c"]
    subprocess.run(probe, check=True, timeout=120)
    return {f"bin/{name}": File((folder / name).read_bytes(), 0o755) for name in ("mountcalls", "ccsprobe")}


def policy(manager: str = f"{MANAGER}\n/bin/ccsprobe\n") -> dict[str, Entry]:
    """What the loader loads."""
    texts = {"manager": manager, "exception_policy": EXCEPTIONS, "profile": PROFILES + "\n"}
    return {f"etc/series/{name}": text for name, text in texts.items()}


def program(text: str) -> File:
    return File(text.encode(), 0o755)


def machine(
    kernel: Path, folder: Path, tree: Mapping[str, Entry], *append: str, cpus: int = 1, debug: bool = False
) -> Machine:
    """A guest of an initramfs alone; ``rdinit=`` is among the words if it is not /sbin/init."""
    folder.mkdir(parents=True)
    initrd = folder / "initramfs"
    initrd.write_bytes(pack(tree))
    words = append if any(word.startswith("rdinit=") for word in append) else ("rdinit=/sbin/init", *append)
    hardware = Hardware(cpus=cpus, memory_mib=DEBUG_MEMORY_MIB if debug else 192)
    patience = DEBUG_PATIENCE if debug else 1.0
    return Machine(
        kernel, None, folder,
        initrd=initrd, append=words, forwards={}, hardware=hardware, patience=patience,
    )  # fmt: skip


@contextmanager
def typed_into(kernel: Path, folder: Path, extra: Mapping[str, Entry], loader: str) -> Iterator[Machine]:
    """A guest at a shell's prompt, policy loaded by ``loader``; the shell is in ``<kernel> /sbin/init``."""
    tree = {**busybox(init=SHELL_INIT), **policy(), **extra, loader: program(LOADER)}
    tree[STRANGER[1:]] = tree["bin/busybox"]
    with machine(kernel, folder, tree) as guest:
        guest.boot(BOOT_S, until=SHELL)
        guest.console.prepare()
        yield guest


def say(guest: Machine, command: str) -> str:
    """What a command typed on the console prints; it must end with status 0."""
    return guest.console.run(command, check=True).output.rstrip("\n")


def write(guest: Machine, file: str, *lines: str) -> None:
    """Write lines of policy to a file of the interface, at once."""
    text = "\\n".join(lines)
    say(guest, f"printf '{text}\\n' >{SECURITYFS}/{file}")
