# SPDX-License-Identifier: GPL-2.0-only
"""The command line from outside: exit codes, one line on stderr, no traceback."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import pytest
from invoke import Context, Exit

import tasks
from ccslab.__main__ import fault
from ccslab.errors import InfrastructureError, UserError
from ccslab.settings import Settings
from ccslab.tasking import settings_task
from tests.waiting import WAIT_S, until

ROOT = Path(__file__).resolve().parents[2]
WANTED = """
    lab.build lab.scenario lab.list lab.status lab.clean lab.doctor lab.compare lab.parity
    kernel.fetch kernel.list kernel.patch kernel.config kernel.build kernel.port rootfs.build
    vm.boot vm.ssh policy.check policy.diff policy.convert test lint
    bench.run bench.compare bench.equal bench.update bench.peers bench.lab
"""


def lab(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ccslab", *words],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m ccslab --list | true"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("kernel.build --kernel nosuch", "error: unknown kernel 'nosuch' - there are: 5.10, 6.1, 6.12"),
        ("kernel.build --arch x86-64", "error: unknown architecture 'x86-64' - did you mean x86_64"),
        ("bench.run --plan shrt", "error: unknown plan 'shrt' - did you mean short?"),
        (
            "bench.compare nosuch 6.12",
            "error: nosuch was not measured on x86_64 - ./inv bench.run",
        ),
        ("bench.equal stock-6.12 nosuch", "error: unknown kernel 'nosuch' - there are: "),
        (
            "bench.equal stock-6.12 6.12 --policies 0",
            "error: --policies must be a whole number from 1 to 20000, not '0'",
        ),
        (
            "kernel.build --fragment a.config --fragment b.config",
            "error: a.config: there is no such fragment",
        ),
        ("kernel.build --jobs many", "error: --jobs must be a whole number from 0 to 4096, not 'many'"),
        ("lab.scenario apache", "error: unknown lab 'apache' - did you mean apache-cgi, interface?"),
        ("lab.scenario", "error: 'lab.scenario' did not receive required positional arguments: 'name'"),
        ("kernel.biuld", "error: unknown task 'kernel.biuld' - did you mean kernel.build"),
        ("--help kernel.biuld", "error: unknown task 'kernel.biuld'"),
        ("kernel.build --krenel x", "error: unknown option '--krenel' - ./inv --help TASK lists a task's"),
        ("--nosuch", "error: unknown option '--nosuch'"),
        ("--list lba", "error: Sub-collection 'lba' not found!"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_exit_code_2(words: str, said: str) -> None:
    done = lab(*words.split())
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_through_the_launcher_it_is_the_same() -> None:
    words = [ROOT / "inv", "kernel.build", "--kernel", "nosuch"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown kernel 'nosuch' - there are: 5.10, 6.1, 6.12")


def test_plain_invoke_has_the_tasks_too() -> None:
    words = [Path(sys.executable).with_name("invoke"), "kernel.build", "--kernel", "nosuch"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown kernel 'nosuch' - there are: 5.10, 6.1, 6.12")


def test_what_the_world_got_wrong_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = lab("kernel.fetch", CCSLAB_CACHE=str(tmp_path / "file" / "cache"))
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {tmp_path}/file/cache")
    assert "Not a directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("environment", [{"INVOKE_LAB_JOBS": "many"}, {"INVOKE_LAB_ARCH": "z80"}])
def test_a_wrong_setting_of_the_environment(environment: dict[str, str]) -> None:
    done = lab("kernel.build", **environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


@pytest.mark.parametrize(
    ("text", "said"), [("lab: {arhc: x}", "unknown setting lab.arhc"), ("a: [", "malformed configuration")]
)
def test_a_wrong_setting_of_the_user(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / ".invoke.yaml").write_text(text)
    done = lab("kernel.build", HOME=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr


def test_every_task_explains_itself() -> None:
    names = tasks.ns.task_names
    for wanted in WANTED.split():
        assert wanted in names
    assert all((tasks.ns[name].body.__doc__ or "").strip() for name in names)


def test_the_list_of_tasks_is_shown() -> None:
    done = lab("--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "lab.scenario" in done.stdout


# --- what a task's end means --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (UserError("bad", where="file:3", mend="mend it"), 2, "error: file:3: bad - mend it"),
        (InfrastructureError("mirror down"), 3, "error: mirror down"),
        (InfrastructureError("it said \x1b[2Jgone"), 3, r"error: it said \x1b[2Jgone"),
        (OSError(28, "No space left on device", "/runs/x"), 3, "error: /runs/x: No space left on device"),
        (KeyboardInterrupt(), 130, "stopped; start the same command again, it goes on from what is built"),
    ],
)
def test_a_failure_is_a_line_and_a_code(failure: BaseException, code: int, message: str) -> None:
    @tasks.lab_task()
    def one(c: Context) -> None:
        """Fails."""
        raise failure

    with pytest.raises(Exit) as caught:
        one(Context())
    assert (caught.value.code, caught.value.message) == (code, message)


def test_a_kernel_whose_world_fails_does_not_stop_the_others() -> None:
    begun: list[str] = []

    @settings_task({"kernel": ("", "which"), "arch": ("", "which")}, each=True)
    def one(settings: Settings) -> int:
        """Fails on one of three."""
        begun.append(settings.kernel)
        if settings.kernel == "6.1":
            raise InfrastructureError("mirror down")
        return 1

    with pytest.raises(Exit) as caught:
        one(Context(), kernel="5.10,6.1,6.12", arch="x86_64")
    assert begun == ["5.10", "6.1", "6.12"]
    assert (caught.value.code, caught.value.message) == (
        3,
        "error: 1 of 3 came to no end: 6.1 x86_64: mirror down",
    )


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    @tasks.lab_task()
    def one(c: Context) -> None:
        """Has a bug."""
        raise KeyError("x")

    with pytest.raises(KeyError):
        one(Context())


@pytest.mark.parametrize(("given", "code"), [(None, None), (0, None), (1, 1), (3, 3)])
def test_a_verdict_is_the_exit_code(given: int | None, code: int | None) -> None:
    @tasks.lab_task()
    def one(c: Context) -> int | None:
        """Comes to a verdict."""
        return given

    if code is None:
        one(Context())
        return
    with pytest.raises(Exit) as caught:
        one(Context())
    assert caught.value.code == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_one_line_and_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C while apt fetches, and what is like it: the apt, in a session of its own, ends with us."""
    fakes = tmp_path / "bin"
    fakes.mkdir()
    apt = fakes / "apt-get"
    apt.write_text(
        f'#!/bin/sh\n[ $1 = update ] || exec /usr/bin/apt-get "$@"\necho $$ >{tmp_path}/pid\nsleep 60\n'
    )
    apt.chmod(0o755)
    environment = {"CCSLAB_CACHE": str(tmp_path / "cache"), "PATH": f"{fakes}:{os.environ['PATH']}"}
    run = subprocess.Popen(
        [sys.executable, "-m", "ccslab", "kernel.fetch"],
        cwd=ROOT, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text(), "apt-get runs")
        run.send_signal(number)
        _, err = run.communicate(timeout=WAIT_S)
    finally:
        run.kill()
    assert (run.returncode, err) == (
        128 + number,
        "stopped; start the same command again, it goes on from what is built\n",
    )
    # Its guard ends it when we are gone, a moment after us.
    until(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists(), "apt-get has ended")


PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def task_of(tmp_path: Path, body: str, *, terminal: int | None = None) -> subprocess.Popen[str]:
    """A task of a test's own, with this body, that runs.

    :param terminal: the one it is started from.
    """
    (tmp_path / "tasks.py").write_text(
        "import os, signal, time\nfrom ccslab.tasking import lab_task\n@lab_task()\ndef one(c):\n"
        + textwrap.indent(textwrap.dedent(body), "    ")
    )
    code = "import pathlib, sys, ccslab.__main__ as m; m.ROOT = pathlib.Path(sys.argv.pop(1)); m.main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), "one"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        **(dict.fromkeys(("stdin", "stdout", "stderr"), terminal) if terminal else PIPES),
        start_new_session=bool(terminal),
        preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if terminal else None,  # noqa: PLW1509
    )  # fmt: skip


def test_a_second_signal_does_not_disturb_the_ending(tmp_path: Path) -> None:
    ending = """
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(os.getpid(), number)
            print("what was found is written")
    """
    child = task_of(tmp_path, ending)
    out, err = child.communicate(timeout=WAIT_S)
    assert (child.returncode, out) == (128 + signal.SIGTERM, "what was found is written\n"), err
    assert err.count("it is ending") == 3
    assert err.endswith("stopped; start the same command again, it goes on from what is built\n")


def test_what_was_started_with_a_signal_ignored_goes_on(tmp_path: Path) -> None:
    """As nohup does with SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        child = task_of(tmp_path, 'os.kill(os.getpid(), signal.SIGHUP); print("goes on")')
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (child.communicate(timeout=WAIT_S), child.returncode) == (("goes on\n", ""), 0)


def test_a_terminal_that_is_closed_costs_no_results(tmp_path: Path) -> None:
    ending = """
        from pathlib import Path
        Path("begun").touch()
        try:
            time.sleep(20)
        finally:
            print("tables for nobody", flush=True)
            Path("written").touch()
    """
    master, slave = pty.openpty()
    child = task_of(tmp_path, ending, terminal=slave)
    os.close(slave)
    until((tmp_path / "begun").exists, "it runs")
    os.close(master)
    assert child.wait(20) == 128 + signal.SIGHUP
    assert (tmp_path / "written").exists()


def test_a_bug_of_ours_is_one_line_with_its_traceback_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        {}["x\x1b[2J"]
    except KeyError as error:
        failure = fault(error)
    (file,) = tmp_path.iterdir()
    assert failure.exit_code == 3
    assert "a fault in ccs-lab: KeyError: " in str(failure)
    assert "\x1b" not in str(failure)
    assert str(failure).endswith(f"report it with {file}")
    assert "Traceback (most recent call last)" in file.read_text()
