# SPDX-License-Identifier: GPL-2.0-only
"""What the machine stage decides without a guest: QEMU's arguments, events, recordings, the probe, keys."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.store import Store
from ccslab.vm import accel
from ccslab.vm.accel import TCG, Accel
from ccslab.vm.cast import Cast
from ccslab.vm.disks import LOCK, locked, sweep
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import EMULATED_CPUS, Boot, Channels, CommandLine, Hardware, ports
from ccslab.vm.qmp import EventLog


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
