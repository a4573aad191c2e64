# SPDX-License-Identifier: GPL-2.0-only
"""``./inv`` on a machine of shell scripts: fake apt, dpkg, sudo, python; nothing of the host is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [
    "sh",
    "dirname",
    "cat",
    "sed",
    "tr",
    "cmp",
    "cp",
    "rm",
    "mktemp",
    "grep",
    "tail",
    "flock",
    "env",
    "mkdir",
    "touch",
]
PYTHON = """
[ "$1" = -m ] || exit 0
echo "venv" >>"$CALLS"
mkdir -p "$3/bin"
cp "$FAKES/pip" "$3/bin/pip"
cp "$FAKES/lab" "$3/bin/python"
"""


class Machine:
    """A checkout and a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "a checkout"
        self.bin = folder / "bin"
        self.fakes = folder / "fakes"
        self.calls = folder / "calls"
        for path in (self.checkout / "ci", self.bin, self.fakes):
            path.mkdir(parents=True)
        shutil.copy(ROOT / "inv", self.checkout)
        (self.checkout / "ci/packages.txt").write_text("# a comment\nqemu flex # why\nbison\n")
        (self.checkout / "requirements.txt").write_text("invoke==1\n")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        self.put("id", '[ "$1" = -u ] && echo 1000 || echo somebody')
        self.put("dpkg-query", '[ "$3" != flex ] || printf installed')
        self.put("apt-get", 'echo "apt-get $*" >>"$CALLS"')
        self.put("python3", PYTHON)
        self.put("pip", 'echo "pip $*" >>"$CALLS"', self.fakes)
        self.put("lab", 'echo "$PWD|$PYTHONPATH"; for word; do echo "<$word>"; done', self.fakes)

    def put(self, name: str, body: str, folder: Path | None = None) -> None:
        path = (folder or self.bin) / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def start(self, *words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.checkout / "inv", *words],
            env={
                "PATH": str(self.bin),
                "CALLS": str(self.calls),
                "FAKES": str(self.fakes),
                "TMPDIR": str(self.fakes),
            },
            cwd=cwd or self.checkout,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def inv(self, *words: str, cwd: Path | None = None) -> tuple[int, str, str]:
        """Exit status, stdout, stderr."""
        run = self.start(*words, cwd=cwd)
        out, err = run.communicate(timeout=30)
        return run.returncode, out, err

    def called(self) -> list[str]:
        """What was called since the last time, by its first two words."""
        said = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return said


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def root(machine: Machine) -> Machine:
    machine.put("id", "echo 0")
    return machine


INSTALL = ["apt-get -q update", "apt-get -q -y --no-install-recommends install qemu bison"]


def test_an_ordinary_user_gets_the_one_command_and_nothing_is_done(machine: Machine) -> None:
    machine.put("sudo", "exit 1")
    status, out, err = machine.inv("lab.list")
    assert (status, out) == (3, "")
    assert "cannot install packages as somebody; run this once, then ./inv again" in err
    assert "\n  sudo apt-get update && sudo apt-get install --no-install-recommends qemu bison \n" in err
    assert machine.called() == []
    assert not (machine.checkout / ".venv").exists()


def test_without_sudo_at_all_it_is_the_same(machine: Machine) -> None:
    status, _, err = machine.inv("lab.list")
    assert status == 3
    assert "sudo apt-get install --no-install-recommends qemu bison" in err
    assert machine.called() == []


def test_a_user_whose_sudo_asks_nothing(machine: Machine) -> None:
    machine.put("sudo", '[ "$1" = -n ] || { echo sudo >>"$CALLS"; exec "$@"; }')
    assert machine.inv("lab.list")[0] == 0
    assert machine.called()[:4] == ["sudo", INSTALL[0], "sudo", INSTALL[1]]


def test_root_installs_makes_the_venv_and_runs(root: Machine) -> None:
    status, out, err = root.inv("lab.scenario", "a b", "--x=*")
    assert status == 0, err
    calls = root.called()
    assert calls[:3] == [*INSTALL, "venv"]
    assert "--require-hashes" in calls[3]
    assert out.splitlines()[1:] == ["<-m>", "<ccslab>", "<lab.scenario>", "<a b>", "<--x=*>"]


def test_the_second_time_nothing_is_done_in_under_a_second(root: Machine) -> None:
    root.inv("lab.list")
    root.called()
    started = time.monotonic()
    status, out, err = root.inv()
    assert time.monotonic() - started < 1
    assert (status, err) == (0, "")
    assert root.called() == []
    assert out.splitlines()[1:] == ["<-m>", "<ccslab>", "<--list>"]


def test_from_another_folder_paths_stay_what_they_are(root: Machine, tmp_path: Path) -> None:
    out = root.inv("policy.check", "file", cwd=tmp_path)[1]
    assert out.splitlines()[0] == f"{tmp_path}|{root.checkout}"


def test_what_is_installed_already_is_not_installed_again(root: Machine) -> None:
    root.put("dpkg-query", "printf installed")
    assert root.inv("x")[0] == 0
    assert root.called()[0] == "venv"


def test_another_package_list_leaves_the_venv_alone(root: Machine) -> None:
    root.inv("x")
    root.called()
    (root.checkout / "ci/packages.txt").write_text("newone\n")
    assert root.inv("x")[0] == 0
    assert root.called() == [INSTALL[0], "apt-get -q -y --no-install-recommends install newone"]


def test_other_requirements_make_another_venv(root: Machine) -> None:
    root.put("dpkg-query", "printf installed")
    root.inv("x")
    root.called()
    (root.checkout / ".venv/stale").touch()
    (root.checkout / "requirements.txt").write_text("invoke==2\n")
    assert root.inv("x")[0] == 0
    assert [call.split()[0] for call in root.called()] == ["venv", "pip"]
    assert not (root.checkout / ".venv/stale").exists()


def test_a_failing_apt_is_said_and_tried_again_the_next_time(root: Machine) -> None:
    root.put("apt-get", "echo noise; echo 'E: Unable to fetch some archives' >&2; exit 100")
    status, out, err = root.inv("x")
    assert (status, out) == (3, "")
    assert "E: Unable to fetch some archives" in err
    assert "noise" not in err
    assert err.splitlines()[-1].endswith("mend apt or the network, then run ./inv again")
    root.put("apt-get", 'echo "apt-get $*" >>"$CALLS"')
    assert root.inv("x")[0] == 0
    assert root.called()[:2] == INSTALL


def test_a_failing_pip_is_said_and_tried_again_the_next_time(root: Machine) -> None:
    root.put("pip", "echo 'THESE PACKAGES DO NOT MATCH THE HASHES' >&2; exit 1", root.fakes)
    status, out, err = root.inv("x")
    assert (status, out) == (3, "")
    assert err.splitlines()[-1].startswith("inv: pip could not install requirements.txt; mend the network")
    root.put("pip", 'echo "pip $*" >>"$CALLS"', root.fakes)
    root.called()
    assert root.inv("x")[0] == 0
    assert [call.split()[0] for call in root.called()][-2:] == ["venv", "pip"]


def test_a_machine_that_is_no_debian(root: Machine) -> None:
    (root.bin / "apt-get").unlink()
    status, _, err = root.inv("x")
    assert status == 3
    assert "needs a Debian machine: apt-get is not here; wanted packages: qemu bison" in err


def test_two_first_uses_at_once_prepare_once(root: Machine) -> None:
    root.put("apt-get", 'echo "apt-get $*" >>"$CALLS"; env sleep 0.5')
    (root.bin / "sleep").symlink_to(shutil.which("sleep") or "")
    both = [root.start("x"), root.start("y")]
    for run in both:
        _, err = run.communicate(timeout=30)
        assert run.returncode == 0, err
    assert [call.split()[0] for call in root.called()] == ["apt-get", "apt-get", "venv", "pip"]


def test_shellcheck_is_content() -> None:
    checker = shutil.which("shellcheck")
    assert checker, "apt-get install shellcheck"
    done = subprocess.run([checker, ROOT / "inv"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_real_lists_are_there() -> None:
    assert os.access(ROOT / "inv", os.X_OK)
    assert "--hash=sha256:" in (ROOT / "requirements.txt").read_text()
    assert "python3-venv" in (ROOT / "ci/packages.txt").read_text().split()
