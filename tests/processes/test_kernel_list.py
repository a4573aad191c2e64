# SPDX-License-Identifier: GPL-2.0-only
"""``kernel.list``: what it calls built is what a build would find, not what was once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ccslab.kernel import command
from ccslab.settings import ROOT, Settings

PACKAGE = {"name": "linux-source-6.12", "version": "6.12.7-1", "sha256": "0" * 64}
MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 7\nEXTRAVERSION =\n"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A checkout whose definitions can be changed, and a store with a fetched tree of 6.12 in it."""
    monkeypatch.setenv("COLUMNS", "140")
    for name in ("kernel-patches", "rootfs"):
        shutil.copytree(ROOT / name, tmp_path / "checkout" / name, symlinks=True)
    made = Settings(root=tmp_path / "checkout", cache=str(tmp_path / "cache"))

    def unpack(folder: Path) -> None:
        (folder / "tree").mkdir()
        (folder / "tree/Makefile").write_text(MAKEFILE)

    inputs = {key: PACKAGE[key] for key in ("version", "sha256")} | {"package": PACKAGE["name"]}
    made.store.get("tree", inputs, unpack)
    pins = made.store.root / "pins"
    pins.mkdir()
    (pins / "linux-source-6.12.json").write_text(json.dumps(PACKAGE))
    return made


def row(settings: Settings, capsys: pytest.CaptureFixture[str], kernel: str) -> list[str]:
    command.show(settings)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == [kernel]]
    return line.split()


def built(settings: Settings, **changes: object) -> None:
    """An artifact of what is asked for now."""
    spec, tree = command.chosen(replace(settings, **changes))  # type: ignore[arg-type]
    settings.store.get("kernel", spec.inputs(tree), lambda folder: (folder / "bzImage").touch())


def patches(settings: Settings, version: str) -> str:
    """How many patches a kernel's series has."""
    return str(len((settings.root / "kernel-patches/ccs" / version / "series").read_text().split()))


def test_a_kernel_is_built_until_what_it_is_made_of_changes(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    count = patches(settings, "6.12")
    assert row(settings, capsys, "6.12")[-1] == "-"
    built(settings, kernel="6.12", arch="i386")
    assert row(settings, capsys, "6.12")[-2:] == [count, "i386"]
    assert row(settings, capsys, "stock-6.12")[-1] == "-"
    built(settings, kernel="6.12", arch="x86_64", debug=True)
    assert row(settings, capsys, "6.12")[-4:] == [count, "i386,", "x86_64", "debug"]
    with (settings.root / "kernel-patches/config/i386.config").open("a") as fragment:
        fragment.write("CONFIG_FRAME_WARN=1024\n")
    assert row(settings, capsys, "6.12")[-3:] == [count, "x86_64", "debug"]


def test_a_tree_that_is_not_fetched_is_built_for_nobody(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert row(settings, capsys, "6.1")[-3:] == ["-", patches(settings, "6.1"), "-"]
