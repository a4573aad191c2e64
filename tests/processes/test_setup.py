# SPDX-License-Identifier: GPL-2.0-only
"""What a lab's machine is given, by the kernel it gets: its loader, and room and time for a debug kernel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ccslab.errors import UserError
from ccslab.labs import definition, setup
from ccslab.settings import ROOT, Settings
from ccslab.vm.accel import TCG
from ccslab.vm.machine import Machine

LAB = definition.find("apache-cgi", ROOT)


def machine(folder: Path, *, loader: str = setup.LOADER, parameter: str = "", debug: bool = False) -> Machine:
    """The lab's machine on a kernel of some patchset; nothing of it is started."""
    kernel, image = folder / "kernel", folder / "image"
    for path in (kernel / "bzImage", image / "rootfs.img"):
        path.parent.mkdir()
        path.touch()
    patchset = {"name": "mine", "loader": loader, "loader_parameter": parameter, "interface": "/proc/mine"}
    (kernel / "manifest.json").write_text(
        json.dumps({"release": "6.12.1-mine", "patchset": patchset, "debug": debug})
    )
    settings = Settings(cache=str(folder / "cache"))
    return setup.machine(settings, LAB, setup.Parts(kernel, image, TCG), folder / "run")


def test_a_kernel_that_calls_the_images_loader_is_told_nothing(tmp_path: Path) -> None:
    assert machine(tmp_path, parameter="MINE_loader").what.append == ()


def test_a_kernel_that_calls_another_loader_is_told_of_the_images(tmp_path: Path) -> None:
    assert machine(tmp_path, loader="/sbin/my-init", parameter="MINE_loader").what.append == (
        "MINE_loader=/sbin/ccs-init",
    )


def test_a_kernel_that_cannot_be_told_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        machine(tmp_path, loader="/sbin/my-init")
    assert str(refused.value) == (
        "patchset mine calls /sbin/my-init, and the images have /sbin/ccs-init"
        " - say in its manifest which loader_parameter names another loader"
    )


def test_a_debug_kernel_gets_more_memory_and_time_than_an_ordinary_one(tmp_path: Path) -> None:
    for folder in ("debug", "ordinary"):
        (tmp_path / folder).mkdir()
    debug, ordinary = machine(tmp_path / "debug", debug=True), machine(tmp_path / "ordinary")
    assert ordinary.hardware.memory_mib == LAB.machine.memory_mib
    assert ordinary.watch.patience == 1.0
    assert debug.hardware.memory_mib == setup.DEBUG_MEMORY_MIB > LAB.machine.memory_mib
    assert debug.watch.patience == setup.DEBUG_PATIENCE
    assert "systemd.default_timeout_start_sec=600" in debug.what.append
