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
    "cmp",
    "cp",
    "rm",
    "mktemp",
    "grep",
    "tail",
    "flock",
    "env",
    "ln",
    "mkdir",
    "touch",
    "readlink",
]
PYTHON = """
[ "$1" = -m ] || exit 0
echo "venv" >>"$CALLS"
mkdir -p "$3/bin" "$3/lib/python3.12"
cp "$FAKES/lab" "$3/bin/python3.12"
ln -sf python3.12 "$3/bin/python"
"""
# The interpreter of the venv: pip, or the lab.
LAB = """
[ "$2" != pip ] || exec "$FAKES/pip" "$@"
echo "$PWD|$PYTHONPATH"; for word; do echo "<$word>"; done
"""


PIP = 'for list; do :; done; echo "pip ${list##*/}" >>"$CALLS"; echo "$*" >"$FAKES/pip-words"'


PYTHON_PACKAGES = "Python packages of requirements/"


class Machine:
    """A checkout and a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "a checkout"
        self.bin = folder / "bin"
        self.fakes = folder / "fakes"
        self.calls = folder / "calls"
        self.venv = self.checkout / ".venv"
        for path in (self.checkout / "ci/packages", self.checkout / "requirements", self.bin, self.fakes):
            path.mkdir(parents=True)
        shutil.copy(ROOT / "inv", self.checkout)
        self.packages("core", "# a comment\nqemu flex # why\nbison\n")
        self.requirements("core", "invoke==1\n")
        self.packages("test", "checker\n")
        self.requirements("test", "linter==1\n")
        self.packages("peers", "parser\n")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        self.put("id", '[ "$1" = -u ] && echo 1000 || echo somebody')
        self.put("dpkg-query", '[ "$3" != flex ] || printf installed')
        self.put("apt-get", 'echo "apt-get $*" >>"$CALLS"')
        self.put("python3", PYTHON)
        self.put("pip", PIP, self.fakes)
        self.put("lab", LAB, self.fakes)

    def packages(self, name: str, text: str) -> None:
        (self.checkout / f"ci/packages/{name}.txt").write_text(text)

    def requirements(self, name: str, text: str) -> None:
        (self.checkout / f"requirements/{name}.txt").write_text(text)

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
    assert "\n  sudo apt-get update && sudo apt-get install --no-install-recommends qemu bison\n" in err
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
    assert calls == [*INSTALL, "venv", "pip core.txt"]
    assert "--require-hashes" in (root.fakes / "pip-words").read_text()
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
    root.packages("core", "newone\n")
    assert root.inv("x")[0] == 0
    assert root.called() == [INSTALL[0], "apt-get -q -y --no-install-recommends install newone"]


def test_other_requirements_make_another_venv(root: Machine) -> None:
    root.put("dpkg-query", "printf installed")
    root.inv("x")
    root.called()
    (root.checkout / ".venv/stale").touch()
    root.requirements("core", "invoke==2\n")
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
    root.put(
        "pip", "echo noise; echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES' >&2; exit 1", root.fakes
    )
    status, out, err = root.inv("x")
    assert (status, out) == (3, "")
    assert err.splitlines()[-1].startswith("inv: pip could not install requirements/core.txt (log: ")
    assert err.splitlines()[-2] == "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"
    root.put("pip", PIP, root.fakes)
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


# --- sets ---------------------------------------------------------------------------------------------


@pytest.fixture
def ready(root: Machine) -> Machine:
    """A machine that has the core."""
    root.put("dpkg-query", "[ $3 = checker ] || [ $3 = parser ] || printf installed")
    assert root.inv("lab.list")[0] == 0
    assert root.called() == ["venv", "pip core.txt"]
    return root


def test_a_scenario_gets_the_core_and_nothing_else(root: Machine) -> None:
    _, _, err = root.inv("lab.scenario")
    assert err == f"inv: installing what core needs: Debian packages qemu bison; {PYTHON_PACKAGES}core.txt\n"


def test_a_set_is_installed_once_and_said_in_a_line(ready: Machine) -> None:
    status, out, err = ready.inv("--prepare", "test")
    assert (status, out) == (0, "")
    assert err == (
        "inv: installing what test needs: Debian packages checker; Python packages of requirements/test.txt\n"
    )
    assert ready.called() == [
        INSTALL[0],
        "apt-get -q -y --no-install-recommends install checker",
        "pip test.txt",
    ]
    ready.put("dpkg-query", "printf installed")
    assert ready.inv("--prepare", "test") == (0, "", "")
    assert ready.called() == []


def test_a_set_of_packages_only(ready: Machine) -> None:
    status, _, err = ready.inv("--prepare", "peers")
    assert (status, err) == (0, "inv: installing what peers needs: Debian packages parser;\n")
    assert [call.split()[0] for call in ready.called()] == ["apt-get", "apt-get"]


def test_a_set_that_is_not(ready: Machine) -> None:
    status, _, err = ready.inv("--prepare", "tests")
    assert (status, err) == (3, "inv: there is no set tests in ci/packages or requirements\n")


def test_another_list_of_a_set_makes_another_venv(ready: Machine) -> None:
    ready.put("dpkg-query", "printf installed")
    ready.inv("--prepare", "test")
    ready.called()
    ready.requirements("test", "linter==2\n")
    assert ready.inv("lab.list")[2] == ""
    assert ready.called() == []  # it needs no set
    assert ready.inv("--prepare", "test")[0] == 0
    assert ready.called() == ["venv", "pip core.txt", "pip test.txt"]


# --- what may fail on the way -------------------------------------------------------------------------


def test_an_environment_of_before_there_were_sets_is_made_anew(root: Machine) -> None:
    root.put("dpkg-query", "printf installed")
    (root.venv / "bin").mkdir(parents=True)
    for name in (".installed", ".prepared", "stale"):
        (root.venv / name).write_text("invoke==1\n")
    assert root.inv("x")[0] == 0
    assert root.called() == ["venv", "pip core.txt"]
    assert not (root.venv / "stale").exists()


def test_an_environment_that_is_a_link_is_not_followed(root: Machine, tmp_path: Path) -> None:
    """Somebody's of another checkout: the link goes, what it leads to stays."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/precious").touch()
    root.venv.symlink_to(tmp_path / "theirs")
    assert root.inv("x")[0] == 0
    assert (tmp_path / "theirs/precious").exists()
    assert not root.venv.is_symlink()


@pytest.mark.parametrize("harm", ["gone", "another version"])
def test_an_upgraded_host_gets_another_environment(ready: Machine, harm: str) -> None:
    """Debian 12's Python 3.11 is 3.13 after an upgrade to Debian 13."""
    if harm == "gone":
        (ready.venv / "bin/python3.12").unlink()
    else:
        shutil.copy(ready.venv / "bin/python3.12", ready.venv / "bin/python3.13")
        (ready.venv / "bin/python").unlink()
        (ready.venv / "bin/python").symlink_to("python3.13")
    status, out, err = ready.inv("x")
    assert (status, "<x>" in out) == (0, True), err
    assert ready.called() == ["venv", "pip core.txt"]


def test_an_environment_that_cannot_be_made(root: Machine) -> None:
    root.put(
        "python3", '[ "$1" = -m ] || exit 0; echo "Error: [Errno 28] No space left on device" >&2; exit 1'
    )
    status, out, err = root.inv("x")
    assert (status, out) == (3, "")
    assert err.splitlines()[-1] == (
        f"inv: cannot make the virtual environment {root.venv} (Error: [Errno 28] No space left on device);"
        " mend that, then run ./inv again"
    )


def test_an_old_environment_that_cannot_be_removed(root: Machine) -> None:
    root.venv.mkdir()
    (root.bin / "rm").unlink()
    root.put("rm", '[ "$1" = -f ] || { echo "rm: cannot remove \'x\': Permission denied" >&2; exit 1; }')
    status, out, err = root.inv("x")
    assert (status, out) == (3, "")
    assert err.splitlines()[-1] == (
        f"inv: cannot remove the old virtual environment {root.venv}"
        " (rm: cannot remove 'x': Permission denied); remove it, then run ./inv again"
    )


@pytest.mark.parametrize("tool", ["mktemp", "cp", "sed"])
def test_whatever_else_fails_is_said_in_a_line_and_exits_3(root: Machine, tool: str) -> None:
    real = (root.bin / tool).readlink()
    (root.bin / tool).unlink()
    # The machine's own Python copies, too.
    root.put(
        tool,
        f'[ "$1" != $FAKES/lab ] || exec {real} "$@"; echo \'{tool}: No space left on device\' >&2; exit 1',
    )
    status, out, err = root.inv("x")
    assert (status, out) == (3, "")
    assert err.splitlines()[-1].startswith("inv: could not ")
    assert err.splitlines()[-1].endswith(f"in {root.checkout}; mend what is said above, then run ./inv again")


def test_the_real_lists_are_there() -> None:
    assert os.access(ROOT / "inv", os.X_OK)
    for wanted in sorted((ROOT / "requirements").glob("*.in")):
        assert "--hash=sha256:" in wanted.with_suffix(".txt").read_text(), wanted
    assert "python3-venv" in (ROOT / "ci/packages/core.txt").read_text().split()


def test_who_wants_a_scenario_is_spared_the_rest() -> None:
    core = (ROOT / "ci/packages/core.txt").read_text() + (ROOT / "requirements/core.txt").read_text()
    for name in (
        "chromium",
        "selenium",
        "matplotlib",
        "mypy",
        "ruff",
        "shellcheck",
        "apparmor",
        "hypothesis",
    ):
        assert f"\n{name}" not in core.replace(" ", "\n"), name
