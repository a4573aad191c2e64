# SPDX-License-Identifier: GPL-2.0-only
"""auditread prints the records of some domains until now, and waits for the auditor to have written them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import until

SOURCES = Path(__file__).parents[2] / "rootfs" / "src"
HEAD = "#2026/11/22 22:19:18# profile=3 mode=enforcing granted=no (global-pid=2) task={ pid=2 }"
APACHE = "<kernel> /usr/sbin/apache2"


def record(domain: str, request: str) -> str:
    return f"{HEAD}\n{domain}\n{request}\n\n"


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("auditread")
    made = folder / "auditread"
    subprocess.run(["make", "-s", "-C", str(SOURCES), f"O={folder}", str(made)], check=True, timeout=120)
    return made


@pytest.fixture
def start(program: Path, tmp_path: Path) -> Iterator[Start]:
    """Start it on the two logs of the folder, to wait so many seconds."""
    started: list[subprocess.Popen[str]] = []

    def begin(seconds: int, *domains: str, most: int = 0) -> subprocess.Popen[str]:
        logs = [tmp_path / "reject_003.log", tmp_path / "reject_002.log"]
        child = subprocess.Popen(
            [
                program,
                *(["-n", str(most)] if most else []),
                str(seconds),
                tmp_path / "mark",
                *logs,
                "--",
                *domains,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def called(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments], cwd=cwd, check=False, capture_output=True, text=True, timeout=20
    )


def watches(pid: int) -> bool:
    """Whether a process has all its watches and sleeps (the mark is made and gone by then)."""
    try:
        told = "".join(one.read_text() for one in Path(f"/proc/{pid}/fdinfo").iterdir())
    except FileNotFoundError:  # one it has closed meanwhile
        return False
    return "inotify wd:" in told and Path(f"/proc/{pid}/stat").read_text().split()[2] == "S"


def test_records_of_the_domains_and_the_mark(start: Start, tmp_path: Path) -> None:
    mark = f"file create {tmp_path}/mark 0600"
    (tmp_path / "reject_003.log").write_text(record(APACHE, "file read /etc/shadow"))
    (tmp_path / "reject_002.log").write_text(record("<kernel> /usr/bin/login", "file read /etc/passwd"))
    child = start(20, APACHE, "<kernel> /usr/sbin/cron")
    until(lambda: watches(child.pid), "it waits")
    assert child.poll() is None
    with (tmp_path / "reject_002.log").open("a") as log:
        log.write(record("<kernel> /usr/sbin/cron /bin/sh", "file read /etc/crontab"))
        log.write(record("<kernel> /usr/bin/login /bin/bash", mark))
    said, errors = child.communicate(timeout=20)
    assert (child.returncode, errors) == (0, "")
    assert said == (
        record(APACHE, "file read /etc/shadow")
        + record("<kernel> /usr/sbin/cron /bin/sh", "file read /etc/crontab")
        + record("<kernel> /usr/bin/login /bin/bash", mark)
    )
    assert not (tmp_path / "mark").exists()


def test_a_log_that_comes_only_now(start: Start, tmp_path: Path) -> None:
    child = start(20, APACHE)
    until(lambda: watches(child.pid), "it waits")
    text = record("<kernel> /bin/bash", f"file create {tmp_path}/mark 0600")
    (tmp_path / "new").write_text("\n\n" + text)
    (tmp_path / "new").rename(tmp_path / "reject_002.log")
    assert child.communicate(timeout=20) == (text, "")


def test_the_record_of_its_own_execution_is_not_the_marks(start: Start, tmp_path: Path) -> None:
    (tmp_path / "reject_002.log").write_text(
        f'{HEAD} exec={{ argv[]={{ "{tmp_path}/mark" }} }}\n<kernel> /bin/bash\nfile execute x\n\n'
    )
    child = start(1, APACHE)
    said, errors = child.communicate(timeout=20)
    assert (child.returncode, said) == (1, "")
    assert errors == f"auditread: no record of {tmp_path}/mark within 1 s\n"


def test_no_more_than_asked_for_and_no_mark_then(start: Start, tmp_path: Path) -> None:
    denied = [record(APACHE, f"file rename /a /{number}") for number in range(3)]
    (tmp_path / "reject_003.log").write_text("".join(denied))
    child = start(20, APACHE, most=2)
    assert child.communicate(timeout=20) == ("".join(denied[:2]), "")


def test_fewer_than_asked_for_are_waited_for(start: Start, tmp_path: Path) -> None:
    (tmp_path / "reject_003.log").write_text(record(APACHE, "file rename /a /b"))
    assert start(1, APACHE, most=2).wait(20) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-n", "0", "1", "mark", "log", "--", "<kernel>"],
        ["1", "mark", "--", "<kernel>"],
        ["1", "mark", "log", "<kernel>"],
    ],
)
def test_usage(program: Path, arguments: list[str], tmp_path: Path) -> None:
    done = called(program, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: auditread [-n COUNT] SECONDS")


def test_a_folder_that_is_not_there_is_named(program: Path, tmp_path: Path) -> None:
    log = tmp_path / "none" / "log"
    done = called(program, "1", str(tmp_path / "mark"), str(log), "--", "x", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, f"auditread: {log}: No such file or directory\n")
