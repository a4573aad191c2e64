# SPDX-License-Identifier: GPL-2.0-only
"""Each patch of the series builds and boots, with none of the later ones.

For the night, for a kernel is built for every patch; ``CCSLAB_KERNEL=6.1`` before the command for another.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import KERNEL
from series import BOOT_S, LOADER, machine, policy, program

from ccslab.kernel import catalog, command
from ccslab.rootfs.busybox import busybox
from ccslab.settings import Settings

pytestmark = [pytest.mark.guest, pytest.mark.nightly]
MANIFEST = """\
name = "ccs-first"
loader = "/sbin/ccs-init"
interface = "/proc/ccs"
[patches]
"*" = {names}
"""
# What each boot must say: the patched kernel activates TOMOYO, whichever loader it calls by then.
ACTIVATED = "Mandatory Access Control activated"
COMPLAINTS = (": warning: ", "modpost: ")
INIT = f"""\
mount -t proc proc /proc
echo "UP $(uname -r)"
dmesg | grep -F "{ACTIVATED}" || echo "NOT ACTIVATED"
echo DONE
exec sleep 600
"""


def series_length() -> int:
    settings = Settings(kernel=KERNEL)
    return len(catalog.find(settings).patchset.series(KERNEL).patches)


@pytest.mark.parametrize("count", range(1, series_length() + 1))
def test_the_tree_builds_and_boots_after_patch(count: int, tmp_path: Path) -> None:
    patches = catalog.find(Settings(kernel=KERNEL)).patchset.series(KERNEL).patches[:count]
    first = tmp_path / "patchset"
    first.mkdir()
    for patch in patches:
        shutil.copyfile(patch.path, first / patch.name)
    (first / "patchset.toml").write_text(MANIFEST.format(names=[patch.name for patch in patches]))
    built = command.build(Settings(kernel=KERNEL, patchset=str(first)))
    log = (built / "build.log").read_text()
    assert not [line for line in log.splitlines() if any(word in line for word in COMPLAINTS)]
    loaders = {name: program(LOADER) for name in ("sbin/ccs-init", "sbin/tomoyo-init")}
    tree = {**busybox(init=INIT), **policy(), **loaders}
    with machine(built / "bzImage", tmp_path / "guest", tree) as guest:
        guest.boot(BOOT_S, until="UP .*-ccs-first")
        guest.console.expect("DONE", BOOT_S)
        said = (tmp_path / "guest/console.log").read_text()
    assert ACTIVATED in said, said[-2000:]
