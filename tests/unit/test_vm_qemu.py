# SPDX-License-Identifier: GPL-2.0-only
"""What the machine stage decides without a guest: QEMU's arguments, events, recordings, the probe, keys."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.labs.setup import tidy
from ccslab.settings import Settings
from ccslab.store import Store
from ccslab.vm import accel
from ccslab.vm.accel import TCG, Accel
from ccslab.vm.cast import Cast
from ccslab.vm.checkpoint import KIND, ensure
from ccslab.vm.death import Watch
from ccslab.vm.disks import LOCK, locked, sweep
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import EMULATED_CPUS, Boot, Channels, CommandLine, Hardware, ports
from ccslab.vm.qmp import EventLog
from ccslab.vm.ssh import Keys, Ssh


def command_line(**changes: object) -> list[str]:
    settings: dict[str, object] = {
        "hardware": Hardware(),
        "boot": Boot(Path("/k/bzImage"), append=("quiet", "CCS=disabled")),
        "accel": TCG,
        "channels": Channels(10, 11),
        "disks": [(Path("/r/a,b/disk0.qcow2"), ""), (Path("/r/disk1.qcow2"), "BACKUP")],
        "forwards": {"ssh": 22, "http": 80},
    }
    return CommandLine(**{**settings, **changes}).argv()  # type: ignore[arg-type]


def after(argv: list[str], option: str) -> list[str]:
    """The values of an option, in order."""
    return [argv[at + 1] for at, word in enumerate(argv) if word == option]


def test_the_network_is_restricted_and_local() -> None:
    (netdev,) = after(command_line(), "-netdev")
    assert netdev.startswith("user,id=net0,restrict=on,")
    assert netdev.count("hostfwd=tcp:127.0.0.1:0-:") == netdev.count("hostfwd=") == 2


def test_the_guest_starts_stopped_and_never_loops() -> None:
    argv = command_line()
    assert "-S" in argv
    assert "-no-reboot" in argv
    assert after(argv, "-action") == ["panic=none"]


def test_the_command_line_of_the_kernel() -> None:
    (append,) = after(command_line(), "-append")
    assert append == (
        "console=ttyS0 printk.time=1 panic=-1 tsc=reliable no_timer_check rcupdate.rcu_cpu_stall_timeout=60"
        " root=/dev/vda rw quiet CCS=disabled norandmaps"
    )
    (append,) = after(command_line(boot=Boot(Path("k"), root=False)), "-append")
    assert "root=" not in append


def test_disks_in_order_with_their_commas() -> None:
    drives = after(command_line(), "-drive")
    assert "file=/r/a,,b/disk0.qcow2," in drives[0]
    devices = [device for device in after(command_line(), "-device") if "virtio-blk" in device]
    assert devices == ["virtio-blk-pci,drive=disk0", "virtio-blk-pci,drive=disk1,serial=BACKUP"]


@pytest.mark.parametrize(
    ("arch", "program"), [("x86_64", "qemu-system-x86_64"), ("i386", "qemu-system-i386")]
)
def test_each_architecture_has_its_qemu(arch: str, program: str) -> None:
    assert command_line(hardware=Hardware(arch=arch))[0] == program


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown architecture 'x86-64'.*x86_64"):
        command_line(hardware=Hardware(arch="x86-64"))


def test_the_cpu_model_follows_the_accelerator() -> None:
    assert after(command_line(), "-cpu") == ["max"]
    assert after(command_line(accel=Accel("kvm", "")), "-cpu") == ["host"]
    assert after(command_line(hardware=Hardware(arch="i386"), accel=Accel("kvm", "")), "-cpu") == ["host"]
    assert after(command_line(hardware=Hardware(arch="i386")), "-cpu") == [EMULATED_CPUS["i386"]]
    assert after(command_line(hardware=Hardware(arch="i386", cpu="Nehalem")), "-cpu") == ["Nehalem"]
    assert after(command_line(hardware=Hardware(cpus=1, icount=True)), "-icount") == ["shift=0,sleep=off"]


USERNET = """Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  10       127.0.0.1 34023       10.0.2.15    22     0     0
  TCP[HOST_FORWARD]   3       127.0.0.1 40769       10.0.2.15    80     0     0
"""


def test_ports_are_read_from_the_monitor() -> None:
    assert ports(USERNET, {"ssh": 22, "http": 80}) == {"ssh": 34023, "http": 40769}
    with pytest.raises(InfrastructureError, match="no port for smtp"):
        ports(USERNET, {"ssh": 22, "smtp": 25})


def message(name: str, **data: object) -> dict[str, object]:
    return {"event": name, "data": data, "timestamp": {"seconds": 5, "microseconds": 250000}}


def test_events_are_kept_in_order_and_in_a_file(tmp_path: Path) -> None:
    seen: list[str] = []
    log = EventLog(tmp_path / "qmp.jsonl", lambda event: seen.append(event.name))
    names = ["RESUME", "GUEST_PANICKED", "STOP", "RESET", "BLOCK_IO_ERROR", "SHUTDOWN"]
    for name in names:
        log.add(message(name, guest=True))
    assert [event.name for event in log.all()] == names == seen
    assert log.all()[0].time_s == 5.25
    lines = (tmp_path / "qmp.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == names
    log.close()


def test_a_wait_for_an_event_wakes(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "qmp.jsonl")
    log.add(message("STOP"))
    threading.Timer(0.2, log.add, [message("SHUTDOWN", reason="guest-reset")]).start()
    assert log.wait("SHUTDOWN", timeout_s=10).data["reason"] == "guest-reset"
    assert log.wait("STOP", timeout_s=0).name == "STOP"
    begun = time.monotonic()
    with pytest.raises(InfrastructureError, match=r"no event STOP within 0 s.*came: SHUTDOWN"):
        log.wait("STOP", timeout_s=0.1, since=1)
    assert time.monotonic() - begun < 5
    log.close()


def test_a_cast_is_whole_after_every_write(tmp_path: Path) -> None:
    path = tmp_path / "console.cast"
    cast = Cast(path, columns=80, rows=24, title="a test")
    euro = "€".encode()
    for chunk in (b"\x1b[1mbold\r\n", euro[:1], euro[1:], b"\xff", euro[:2]):
        cast.write(chunk)
        assert [json.loads(line) for line in path.read_text().splitlines()]
    cast.close()
    header, *events = [json.loads(line) for line in path.read_text().splitlines()]
    assert (header["version"], header["width"], header["height"]) == (2, 80, 24)
    assert "".join(text for _, _, text in events) == "\x1b[1mbold\r\n€\ufffd\ufffd"
    cast.write(b"late")
    cast.close()


def test_the_probe_is_its_source_assembled(tmp_path: Path) -> None:
    source = accel.PROBE_HEX.with_name("probe.S")
    built = tmp_path / "probe.o"
    flat = tmp_path / "probe.bin"
    subprocess.run(["as", "--32", "-o", built, source], check=True)
    link = ["ld", "-m", "elf_i386", "-Ttext=0x100000", "--oformat", "binary", "-o", flat, built]
    subprocess.run(link, check=True)
    assert flat.read_bytes() == bytes.fromhex(accel.PROBE_HEX.read_text())


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Let the node exist and count how often the probe is run; it ends badly."""
    calls: list[str] = []

    def probe(name: str) -> str:
        calls.append(name)
        return "a tiny guest did not end within 5 s"

    monkeypatch.setattr(accel, "probe", probe)
    monkeypatch.setattr(accel, "KVM_NODE", tmp_path)
    monkeypatch.setattr(accel, "need", lambda program, _: program)
    monkeypatch.setattr(accel, "qemu_version", lambda: "QEMU 0")
    return calls


def test_a_probe_is_made_once(probed: list[str], tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    for _ in range(2):
        chosen = accel.choose("auto", store)
        assert chosen.name == "tcg"
        assert "did not end within 5 s" in chosen.why
    with pytest.raises(UserError, match="KVM does not work here: a tiny guest did not end"):
        accel.choose("kvm", store)
    assert probed == ["kvm"]


def test_a_missing_node_needs_no_probe(
    probed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accel, "KVM_NODE", tmp_path / "none")
    assert accel.choose("auto", Store(tmp_path)).why.startswith("no KVM: there is no ")
    assert accel.choose("tcg", Store(tmp_path)) == TCG
    assert probed == []


def test_an_unknown_accelerator_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean kvm"):
        accel.choose("kvn", Store(tmp_path))


def test_a_missing_qemu_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(InfrastructureError, match="qemu-system-x86"):
        accel.choose("auto", Store(tmp_path))


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


def test_leftovers_of_the_living_stay(tmp_path: Path) -> None:
    for name in ("dead", "alive"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "disk0.qcow2").touch()
        (tmp_path / name / LOCK).touch()
    with locked(tmp_path / "alive"):
        assert sweep(tmp_path) == 1
    assert not (tmp_path / "dead" / "disk0.qcow2").exists()
    assert (tmp_path / "alive" / "disk0.qcow2").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        Machine(tmp_path / "bzImage", None, tmp_path / "run")


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
