# SPDX-License-Identifier: GPL-2.0-only
"""What decides a checkpoint: a saved guest comes back only to the very machine it was saved on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.store import disk, key_of
from ccslab.vm.checkpoint import Checkpoint, inputs_of, make_private
from ccslab.vm.disks import Disks
from ccslab.vm.emulator import Emulator
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import CommandLine, Hardware


def inputs(folder: Path, **changes: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    kernel = folder / "bzImage"
    kernel.write_text("a kernel")
    return inputs_of(Machine(kernel, None, folder / "guest", **changes))


def test_the_same_machine_has_the_same_key_wherever_its_files_are(tmp_path: Path) -> None:
    assert key_of(inputs(tmp_path / "a")) == key_of(inputs(tmp_path / "b"))


def test_another_machine_has_another_key(tmp_path: Path) -> None:
    keys = {
        key_of(inputs(tmp_path, **changes))
        for changes in (
            {},
            {"append": ("quiet",)},
            {"hardware": Hardware(memory_mib=512)},
            {"hardware": Hardware(cpus=1, icount=True)},
            {"forwards": {}},
        )
    }
    assert len(keys) == 5


def test_a_harness_that_calls_qemu_otherwise_has_other_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_of(inputs(tmp_path))
    called = CommandLine.argv
    monkeypatch.setattr(CommandLine, "argv", lambda self: [*called(self), "-device", "virtio-balloon-pci"])
    assert key_of(inputs(tmp_path)) != before


def test_a_guest_s_folder_is_its_owner_s_alone(tmp_path: Path) -> None:
    """Its memory is in there; also in a copy, and where an earlier guest left the folder open."""
    folders = [tmp_path / name for name in ("guest", "copy", "earlier")]
    folders[2].mkdir(mode=0o755)
    disks = Disks(folders[0], None, [])
    disks.hold()
    disks.state = None  # nothing to copy
    disks.copy(folders[1])
    make_private(folders[2])
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700] * 3
    disks.release()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"name": 3}', b"\xff"])
def test_a_damaged_manifest_is_said_to_be_that(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.json").write_bytes(content)
    with pytest.raises(UserError, match="the checkpoint is damaged"):
        Checkpoint.read(tmp_path)


class FakeEmulator(Emulator):
    """A QEMU whose monitor says the same to whatever it is asked."""

    def __init__(self, said: str) -> None:
        self.said = said

    def ask(self, line: str) -> str:
        return self.said


def test_a_full_disk_is_told_of_a_guest_that_cannot_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bzImage").touch()
    machine = Machine(tmp_path / "bzImage", None, tmp_path / "guest")
    said = "Error: Error while writing VM state: Input/output error"
    monkeypatch.setattr(machine, "_emulator", FakeEmulator(said))
    with pytest.raises(InfrastructureError, match=r"^QEMU: savevm ready: Error"):
        machine.save("ready")
    monkeypatch.setattr(disk, "free", lambda path: 12 << 10)
    with pytest.raises(InfrastructureError, match=r"disk full: 12.0 KiB free at .*guest: savevm ready"):
        machine.save("ready")
