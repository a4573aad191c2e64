# SPDX-License-Identifier: GPL-2.0-only
"""What the machine stage has other programs do, without a guest: as, ld, ssh-keygen, ssh, QEMU's version."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError
from ccslab.labs.setup import tidy
from ccslab.settings import Settings
from ccslab.store import Store
from ccslab.vm import accel
from ccslab.vm.checkpoint import KIND, ensure
from ccslab.vm.death import Watch
from ccslab.vm.disks import LOCK
from ccslab.vm.machine import Machine
from ccslab.vm.ssh import Keys, Ssh


def test_the_probe_is_its_source_assembled(tmp_path: Path) -> None:
    source = accel.PROBE_HEX.with_name("probe.S")
    built = tmp_path / "probe.o"
    flat = tmp_path / "probe.bin"
    subprocess.run(["as", "--32", "-o", built, source], check=True)
    link = ["ld", "-m", "elf_i386", "-Ttext=0x100000", "--oformat", "binary", "-o", flat, built]
    subprocess.run(link, check=True)
    assert flat.read_bytes() == bytes.fromhex(accel.PROBE_HEX.read_text())


@pytest.mark.parametrize("place", ["plain", "é ü", 'two words, a "quote" and 100 %C', "x" * 200])
def test_keys_are_the_runs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Wherever the run's folder is, and the place for temporary files."""
    (tmp_path / place).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / place))
    keys = Keys(tmp_path / place / "ssh")
    keys.make()
    made = keys.public
    keys.make()
    assert keys.public == made
    assert keys.identity.stat().st_mode & 0o077 == 0
    keys.write(
        {"HostName": "127.0.0.1", "Port": 4022},
        f"ssh-ed25519 AAAAC3host root@server\nnoise\n{made.replace('ccs-lab', 'x')}\n",
    )
    assert keys.known_hosts.read_text().startswith("server ssh-ed25519 AAAAC3host\n")
    config = Ssh(keys, pytest.fail, Watch(tmp_path)).testinfra[1].partition("=")[2]
    assert config.isascii(), "testinfra recurses for ever else"
    shown = subprocess.run(
        ["ssh", "-F", config, "-G", "server"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    settings = dict(line.partition(" ")[::2] for line in shown.stdout.splitlines())
    assert (settings["hostname"], settings["port"], settings["user"]) == ("127.0.0.1", "4022", "root")
    assert settings["stricthostkeychecking"] == "true"
    assert Path(settings["userknownhostsfile"]).samefile(keys.known_hosts)
    assert Path(settings["identityfile"]).samefile(keys.identity)
    assert len(settings["controlpath"]) + len(".0123456789abcdef") < 108  # unix(7); mux.c makes such names
    control = keys.control
    assert control
    assert control.stat().st_mode & 0o777 == 0o700
    keys.close()
    assert not control.exists()
    assert not keys.identity.exists(), "it opens a guest that is no more"


def test_a_checkpoint_is_made_where_the_next_run_sweeps(tmp_path: Path) -> None:
    """Elsewhere a run killed meanwhile would leave a guest's disks for ever; a failed one leaves its log."""
    kernel = tmp_path / "bzImage"
    kernel.write_bytes(b"no kernel")
    store = Store(tmp_path / "cache")
    folders: list[Path] = []

    def make(folder: Path) -> Machine:
        folders.append(folder)
        if len(folders) == 2:  # the one that would be started
            folder.mkdir()
            for name in (LOCK, "disk0.qcow2", "console.log"):
                (folder / name).touch()
            raise InfrastructureError("killed")
        return Machine(kernel, None, folder)

    with pytest.raises(InfrastructureError, match="killed"):
        ensure(make, lambda machine: pytest.fail("started"), store=store)
    tidy(Settings(cache=str(store.root), root=tmp_path))
    assert [path.name for path in folders[1].iterdir()] == ["console.log"]
    assert not list((store.root / KIND).iterdir())
