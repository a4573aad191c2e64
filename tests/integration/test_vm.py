# SPDX-License-Identifier: GPL-2.0-only
"""The machine stage against real guests: an initramfs with busybox, under whatever accelerator works."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.store import Store
from ccslab.vm import accel, emulator
from ccslab.vm.accel import TCG
from ccslab.vm.checkpoint import ensure
from ccslab.vm.console import SHELL
from ccslab.vm.death import GuestDied
from ccslab.vm.disks import sweep
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware

pytestmark = pytest.mark.guest

MakeMachine = Callable[..., Machine]


@pytest.fixture
def make(kernel: Path, initramfs: Path, tmp_path: Path) -> MakeMachine:
    def machine(folder: Path | None = None, **changes: object) -> Machine:
        settings: dict[str, object] = {
            "initrd": initramfs,
            "hardware": Hardware(cpus=1, memory_mib=128),
            "forwards": {},
            "append": ("quiet",),
        }
        return Machine(kernel, None, folder or tmp_path / "guest", **{**settings, **changes})  # type: ignore[arg-type]

    return machine


def up(machine: Machine) -> float:
    """Boot the busybox guest to the prompt that run() reads."""
    seconds = machine.boot(60, until=SHELL)
    machine.console.prepare()
    return seconds


def running(pid: int) -> bool:
    """Whether a process runs (a zombie nobody collected does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_console_runs_commands(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        assert guest.console.run("echo one; echo two") == (0, "one\ntwo\n")
        assert guest.console.run("false").status == 1
        assert guest.console.run("sh -c 'exit 42'").status == 42
        long = "x" * 900
        assert guest.console.run(f"echo {long}").output == long + "\n"
        assert (
            guest.console.run("echo begin; echo '<3>in between' > /dev/kmsg; echo end").output
            == "begin\nend\n"
        )
        shown = guest.console.run("echo '<3>kept' > /dev/kmsg", keep_kernel=True)
        assert "kept" in shown.output
        guest.console.type("""printf 'really''? '; read answer; echo "got $answer" """)
        guest.console.expect(r"really\? ", 10)
        guest.console.type("y")
        guest.console.expect("got y", 10)
        assert guest.console.finish(10).status == 0
    folder = guest.folder
    assert b"got y" in (folder / "console.log").read_bytes()
    header, *events = [json.loads(line) for line in (folder / "console.cast").read_text().splitlines()]
    assert header["version"] == 2
    recorded = "".join(text for _, _, text in events)
    assert "got y" in recorded
    assert "PS1=" not in recorded, "the preparation of the prompt is not to be seen"
    assert not list(folder.glob("*.qcow2"))


def test_a_command_that_hangs_is_interrupted(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        with pytest.raises(InfrastructureError, match="did not come within"):
            guest.console.run("sleep 1000", 2)
        assert guest.console.run("echo again") == (0, "again\n")


def test_a_panic_ends_a_wait_at_once(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        begun = time.monotonic()
        with pytest.raises(GuestDied, match=r"Kernel panic - not syncing") as died:
            guest.console.run("echo c > /proc/sysrq-trigger", 120)
        assert time.monotonic() - begun < 15
        assert any("Kernel panic" in line for line in died.value.last)
        guest.qmp.events.wait("GUEST_PANICKED", timeout_s=10)  # QEMU was told, too; the console says so first
        assert not guest.alive()


def test_a_kernel_without_root_is_reported(make: MakeMachine) -> None:
    with make(initrd=None, append=("root=/dev/none",)) as guest, pytest.raises(GuestDied, match=r"(?i)root"):
        guest.boot(60)


def test_early_exit_of_qemu_is_reported(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        os.kill(guest.process.pid, signal.SIGKILL)
        begun = time.monotonic()
        with pytest.raises(GuestDied, match="QEMU ended early with status -9"):
            guest.console.expect("never", 60)
        assert time.monotonic() - begun < 10


def test_a_qemu_that_does_not_start_says_why(make: MakeMachine) -> None:
    with pytest.raises(InfrastructureError, match=r"(?i)QEMU did not start: .*unsupported machine type"):
        make(hardware=Hardware(machine="nosuchmachine")).__enter__()


def test_a_guest_that_ends_by_itself_is_reported(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        with pytest.raises(GuestDied, match="ended"):
            guest.console.run("reboot -f", 60)
        assert [event.name for event in guest.events if event.name == "SHUTDOWN"]


def test_an_expected_exit_is_none(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        guest.watch.expected = True
        guest.console.type("poweroff -f")
        assert guest.wait_exit(60).startswith("guest-")


def test_silence_is_reported(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        begun = time.monotonic()
        with pytest.raises(GuestDied, match="silent for 2 s"):
            guest.console.expect("never", 60, silence_s=2)
        assert time.monotonic() - begun < 10


def test_save_and_load(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        guest.console.run("echo saved > /tmp/state", check=True)
        guest.save("one")
        guest.console.run("echo changed > /tmp/state", check=True)
        guest.load("one")
        assert guest.console.run("cat /tmp/state") == (0, "saved\n")
        with pytest.raises(InfrastructureError, match="nosuch"):
            guest.load("nosuch")
        with pytest.raises(UserError):
            guest.save("a b")


def test_the_time_of_a_guest_goes_on_where_it_was_saved(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        guest.save("one")
        saved = uptime_s(guest)
        guest.console.run("sleep 8", check=True)
        assert uptime_s(guest) > saved + 8
        guest.load("one")
        assert saved - 1 < uptime_s(guest) < saved + 4, "it leapt by what passed since it was saved"
        said = guest.console.run("dmesg", keep_kernel=True).output
        assert "clocksource: Switched to clocksource tsc" in said
        assert not re.search(r"stalls on CPUs|self-detected stall|unstable|lockup|blocked for more", said)
        stamps = [float(stamp) for stamp in re.findall(r"(?m)^\[ *(\d+\.\d+)\]", said)]
        assert max(stamps) < saved + 4


def uptime_s(guest: Machine) -> float:
    """Seconds of the guest's monotonic clock."""
    return float(guest.console.run("cat /proc/uptime", check=True).output.split()[0])


def test_kernel_messages_in_the_middle_of_everything(make: MakeMachine) -> None:
    with make() as guest:
        up(guest)
        # The kernel limits what a program has it print, unless it is told not to.
        guest.console.run("echo on > /proc/sys/kernel/printk_devkmsg", check=True)
        guest.console.type(
            "(while :; do echo '<1>a message of the kernel' > /dev/kmsg; done) & echo $! > /tmp/pid"
        )
        guest.console.finish(30)
        for number in range(40):
            told = guest.console.run(f"seq {number} {number + 9}; (exit {number})")
            assert told == (number, "".join(f"{one}\n" for one in range(number, number + 10)))
        guest.console.run("kill $(cat /tmp/pid)", check=True)
    assert (guest.folder / "console.log").read_bytes().count(b"a message of the kernel") > 200


def test_a_qemu_that_stands_still_is_named(make: MakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "PULSE_TIMEOUT_S", 2.0)
    with make() as guest:
        up(guest)
        os.kill(guest.process.pid, signal.SIGSTOP)
        with pytest.raises(
            GuestDied, match="QEMU gives no sign of life: no answer to query-status within 2 s"
        ):
            guest.console.run("true", 2)


def test_a_qemu_that_ends_while_it_saves_or_loads_is_named(make: MakeMachine) -> None:
    for work in (lambda guest: guest.save("one"), lambda guest: guest.load("one")):
        with make() as guest:
            up(guest)
            os.kill(guest.process.pid, signal.SIGKILL)
            with pytest.raises(GuestDied, match="QEMU ended early with status -9"):
                work(guest)


def test_nobody_on_the_host_reaches_a_forward(make: MakeMachine) -> None:
    with make(forwards={"ssh": 22}) as guest:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", guest.port("ssh")), 5)
        guest.connect("ssh", 5).close()  # QEMU takes it, though nobody answers in the guest


def test_two_clones_of_one_checkpoint_at_once(make: MakeMachine, tmp_path: Path) -> None:
    forwards = {"ssh": 22, "http": 80}

    def prepare(machine: Machine) -> None:
        up(machine)
        machine.console.run("echo common > /tmp/state", check=True)

    store = Store(tmp_path / "cache")
    saved = ensure(lambda folder: make(folder, forwards=forwards), prepare, store=store)
    assert ensure(lambda folder: make(folder, forwards=forwards), pytest.fail, store=store) == saved
    one = make(tmp_path / "one", checkpoint=saved, forwards=forwards)
    two = make(tmp_path / "two", checkpoint=saved, forwards=forwards)
    with one, two:
        assert one.boot() < 20
        two.boot()
        one.console.run("echo mine > /tmp/state", check=True)
        assert two.console.run("cat /tmp/state") == (0, "common\n")
        assert one.console.run("cat /tmp/state") == (0, "mine\n")
        assert one.port("ssh") != two.port("ssh")
        assert abs(int(one.console.run("date +%s").output) - time.time()) < 5


def test_a_clone_of_a_running_guest(make: MakeMachine, tmp_path: Path) -> None:
    with make() as guest:
        up(guest)
        guest.console.run("echo common > /tmp/state; sleep 1000 & echo $! > /tmp/pid", check=True)
        twin = guest.clone("there", tmp_path / "twin")
        guest.console.run("echo original > /tmp/state", check=True)
        assert sweep(tmp_path) == 0, "its disks are held before it is started"
        with twin:
            assert twin.boot() < 20
            assert twin.console.run("cat /tmp/state; kill -0 $(cat /tmp/pid)") == (0, "common\n")
            twin.console.run("echo twin > /tmp/state", check=True)
            assert guest.console.run("cat /tmp/state") == (0, "original\n")
            twin.load("there")
            assert twin.console.run("cat /tmp/state") == (0, "common\n"), "and its console knows the prompt"
        guest.load("there")
        assert guest.console.run("cat /tmp/state") == (0, "common\n")
        unused = guest.clone("again", tmp_path / "unused")
        assert list((tmp_path / "unused").glob("*.qcow2"))
        unused.stop()
        assert guest.console.run("true").status == 0
    assert not list(tmp_path.glob("*/*.qcow2"))


def test_one_folder_holds_one_guest(make: MakeMachine) -> None:
    with make(), pytest.raises(InfrastructureError, match="another guest runs"):
        make().__enter__()


HARNESS = """
import sys, threading
from pathlib import Path
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware
def run():
    machine = Machine(Path(sys.argv[1]), None, Path(sys.argv[3]), initrd=Path(sys.argv[2]),
                      hardware=Hardware(cpus=1, memory_mib=128), forwards={}).__enter__()
    print(machine.process.pid, flush=True)
thread = threading.Thread(target=run)   # QEMU must outlive the thread that asked for it ...
thread.start()
thread.join()
threading.Event().wait()                # ... but not the harness
"""


def test_no_qemu_outlives_a_killed_harness(kernel: Path, initramfs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "killed"
    argv = [sys.executable, "-c", HARNESS, kernel, initramfs, folder]
    harness = subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    pid = int(harness.stdout.readline())
    time.sleep(0.5)  # nothing is to happen: the asking thread has ended, and QEMU must not mind
    assert running(pid)
    harness.kill()
    harness.wait()
    deadline = time.monotonic() + 10
    while running(pid):
        assert time.monotonic() < deadline, "QEMU outlived its harness"
        time.sleep(0.05)
    assert list(folder.glob("*.qcow2"))
    assert sweep(tmp_path / "runs") == 1
    assert not list(folder.glob("*.qcow2"))


def test_the_accelerator_chosen_runs_a_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    chosen = accel.choose("auto", store)
    assert accel.probe(chosen.name, 30) == ""
    monkeypatch.setattr(accel, "probe", lambda name: pytest.fail("the outcome was not kept"))
    assert accel.choose("auto", store) == chosen
    assert accel.choose("tcg", store) == TCG


def test_kvm_that_does_not_work_is_a_user_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    if accel.choose("auto", store).name == "kvm":
        assert accel.choose("kvm", store).name == "kvm"
    else:
        with pytest.raises(UserError, match="KVM does not work here"):
            accel.choose("kvm", store)
