# SPDX-License-Identifier: GPL-2.0-only
"""Bad weather in the middle of a run: killed, stopped, a guest that dies, two runs at once."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from ccslab.runs.folder import State, listed
from tests.checkout import ROOT, Checkout

pytestmark = [pytest.mark.guest, pytest.mark.slow]

ATTACKS = """
[[attack]]
name = "none"
title = "None comes to be tried"
steps = [{ http = "GET /" }]
gained = { body = "." }
enforcing = { record = "." }
"""
# The run stays in this step until something happens to it.
BUSY = "touch /run/busy; tail -f /dev/null"
# A process that waits for a frozen file system for longer than a second is what the kernel calls a hung task.
HANG = """
mount /dev/vdb /mnt && fsfreeze -f /mnt && echo 1 >/proc/sys/kernel/hung_task_timeout_secs
touch /mnt/in-vain &
timeout 30 sh -c "until dmesg | grep -q 'blocked for more than'; do sleep 0.2; done"
echo 0 >/proc/sys/kernel/hung_task_timeout_secs; fsfreeze -u /mnt; wait; umount /mnt
echo the hang is over; exit 1
"""
START_S = 600.0  # the first run of all boots, on a host that does other things too
SOON_S = 30.0


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, kernel: Path, server_image: Path) -> Checkout:
    """A checkout whose labs have the server of apache-cgi and little to do; kernel and image are built."""
    return Checkout(tmp_path_factory.mktemp("weather") / "checkout")


@pytest.fixture
def lab(checkout: Checkout, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Make a lab of one command; returns its name."""

    def make(command: str, *, services: str = "") -> str:
        name = request.node.name.replace("_", "-")
        folder = checkout.root / "labs" / name
        folder.mkdir()
        main = (ROOT / "labs/apache-cgi/lab.toml").read_text() + services  # [services] is its last table
        main = re.sub(r"^phases = .*$", 'phases = ["disabled", "attacked"]', main, flags=re.MULTILINE)
        (folder / "lab.toml").write_text(main)
        (folder / "workload.toml").write_text(f"[[step]]\nname = 'trouble'\nroot = '''{command}'''\n")
        (folder / "attacks.toml").write_text(ATTACKS)
        (folder / "generalise.toml").touch()
        return name

    return make


def until(condition: Callable[[], object], what: str, timeout_s: float = SOON_S) -> None:
    """Wait for what gives no event."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain until {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def running(checkout: Checkout, name: str) -> Iterator[subprocess.Popen[str]]:
    """A scenario that has begun its first phase."""
    child = checkout.start("lab.scenario", name)
    said = ""
    try:
        assert child.stdout
        deadline = time.monotonic() + START_S
        while not said.startswith("  boot "):
            said = child.stdout.readline()
            assert said, f"the run ended: {child.communicate()[1]}"
            assert time.monotonic() < deadline, said
        yield child
    finally:
        child.kill()
        child.communicate()


def guest_of(checkout: Checkout, child: subprocess.Popen[str]) -> tuple[Path, int]:
    """A run's folder and the process of its QEMU."""
    for machine in checkout.runs.glob("*/machine.json"):
        about = json.loads(machine.read_text())
        if about["harness"] == child.pid:
            return machine.parent, about["pid"]
    raise AssertionError(f"no run of process {child.pid}")


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_one_of_two_runs_is_killed_and_the_other_stopped(checkout: Checkout, lab: Callable[..., str]) -> None:
    name = lab(BUSY)
    with running(checkout, name) as one, running(checkout, name) as other:
        (killed, qemu), (stopped, neighbour) = guest_of(checkout, one), guest_of(checkout, other)
        assert killed != stopped

        one.kill()
        one.wait(SOON_S)
        until(lambda: not exists(qemu), "the killed run's guest is gone")
        assert other.poll() is None
        assert exists(neighbour)
        said = checkout.lab("lab.status")
        assert said.returncode == 0, said.stderr
        state = {
            line.split()[0]: line for line in said.stdout.splitlines() if line.strip().startswith("runs/")
        }
        assert "broken off, 1 of 3" in state[f"runs/{killed.name}"]
        assert "running" in state[f"runs/{stopped.name}"]

        os.killpg(other.pid, signal.SIGINT)
        out, err = other.communicate(timeout=SOON_S)
    assert other.returncode == 130
    assert err == "stopped; start the same command again, it goes on from what is built\n"
    assert "Traceback" not in out
    assert not exists(neighbour)
    assert results(stopped)["verdict"] == "error"
    assert results(stopped)["error"] == "stopped by the user"
    assert [run.state for run in listed(checkout.runs, name)] == [State.BROKEN, State.FINISHED]
    assert not list(stopped.glob("*.qcow2"))


def test_a_kernel_that_panics_has_failed_and_the_run_is_over_at_once(
    checkout: Checkout, lab: Callable[..., str]
) -> None:
    name = lab("echo c >/proc/sysrq-trigger")
    begun = time.monotonic()
    done = checkout.lab("lab.scenario", name, timeout_s=START_S)
    assert time.monotonic() - begun < START_S / 2
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    (run,) = listed(checkout.runs, name)
    assert "sysrq triggered crash" in (run.folder / "console.log").read_text()
    found = results(run.folder)
    assert (found["verdict"], found["error"]) == ("failed", "")
    (dead,) = [check for check in found["checks"] if check["name"] == "the guest's kernel survives"]
    assert (dead["phase"], dead["passed"]) == ("disabled", False)
    assert "Kernel panic - not syncing: sysrq triggered crash" in dead["detail"]
    assert [phase["name"] for phase in found["phases"]] == ["boot", "disabled"]
    assert "sysrq_handle_crash+0x" in (run.folder / "splats/001.txt").read_text()
    assert (run.folder / "junit.xml").is_file()
    about = json.loads((run.folder / "machine.json").read_text())
    assert not exists(about["pid"])


def test_the_guest_of_what_failed_can_be_entered(checkout: Checkout, lab: Callable[..., str]) -> None:
    name = lab("echo what was left >/root/left; exit 1")
    done = checkout.lab("lab.scenario", name, "--keep", timeout_s=START_S)
    assert done.returncode == 3, done.stdout
    (run,) = listed(checkout.runs, name)
    assert f"kept the guest, where disabled broke off: ./inv vm.console {run.folder.name}\n" in done.stdout
    child = pexpect.spawn(
        sys.executable,
        ["-m", "ccslab", "vm.console", run.folder.name],
        cwd=str(checkout.root),
        env={**os.environ, "PYTHONPATH": str(checkout.root)},
        timeout=START_S,
        encoding="utf-8",
    )
    try:
        child.expect("press Enter for the prompt")
        child.send("\r")
        child.expect("# ", timeout=SOON_S)
        child.send("cat /root/left\r")
        child.expect("what was left", timeout=SOON_S)
        child.send("\x1d")
        child.expect(pexpect.EOF, timeout=SOON_S)
    finally:
        child.close(force=True)
    assert child.exitstatus == 0
    (run.folder / "kept/checkpoint.json").write_text('{"name": "ready", "key": "another"}')
    refused = checkout.lab("vm.console", run.folder.name, timeout_s=START_S)
    assert refused.returncode == 2
    assert "the checkpoint is of another kernel, image or QEMU" in refused.stderr


def test_a_splat_of_the_kernel_is_a_failed_check_that_shows_the_trace(
    checkout: Checkout, lab: Callable[..., str]
) -> None:
    name = lab(HANG)
    done = checkout.lab("lab.scenario", name, timeout_s=START_S)
    assert "the hang is over" in done.stderr, done.stderr
    (run,) = listed(checkout.runs, name)
    failed = [check for check in results(run.folder)["checks"] if not check["passed"]]
    assert [(check["phase"], check["name"]) for check in failed] == [
        ("disabled", "hung task: splats/001.txt")
    ], failed
    assert re.match(r"INFO: task touch:\d+ blocked for more than 1 seconds", failed[0]["detail"])
    trace = (run.folder / "splats/001.txt").read_text()
    assert "percpu_rwsem_wait+0x" in trace
    assert "percpu_rwsem_wait+0x" in (run.folder / "junit.xml").read_text()


def test_a_service_that_does_not_run_is_named(checkout: Checkout, lab: Callable[..., str]) -> None:
    name = lab("true", services='ghost = "cat /run/ghost.pid"\n')
    done = checkout.lab("lab.scenario", name, timeout_s=START_S)
    assert (done.returncode, done.stderr) == (
        3,
        "error: guest: service ghost does not run - see console.log\n",
    )
