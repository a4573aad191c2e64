# SPDX-License-Identifier: GPL-2.0-only
"""Processes side by side: each ends by itself, by its deadline or with us, and says why."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError
from ccslab.runs.children import Child, Children, Ending
from tests.waiting import alive, until


def sh(children: Children, tmp_path: Path, code: str, name: str = "sh", timeout_s: float = 60.0) -> Child:
    return children.start(name, ["/bin/sh", "-c", code], log=tmp_path / f"{name}.log", timeout_s=timeout_s)


def ended(children: Children) -> dict[str, Ending]:
    """How all that run end."""
    found: dict[str, Ending] = {}
    while children.running:
        found |= {child.name: ending for child, ending in children.wait(20.0)}
    return found


@pytest.mark.parametrize(
    ("code", "exit_code", "why"),
    [
        ("echo fine", 0, ""),
        ("echo error: it failed; exit 1", 1, "it failed"),
        ("echo 'error: no such lab'; echo bye; exit 2", 2, "no such lab"),
        ("echo one; echo 'error: a'; echo 'error: b'; exit 3", 3, "b"),
        ("echo Traceback; printf 'ValueError: \\033[31mx'; exit 3", 3, "ValueError: \\x1b[31mx"),
        ("exit 7", 3, "ended with status 7"),
        ("kill -SEGV $$", 3, "was killed by Segmentation fault"),
        ("exec >&- 2>&-; exit 3", 3, "ended with status 3"),
        ("sleep 600 & echo error: left one behind; exit 3", 3, "left one behind"),
    ],
)
def test_how_a_child_ends(tmp_path: Path, code: str, exit_code: int, why: str) -> None:
    with Children() as children:
        sh(children, tmp_path, code)
        (ending,) = ended(children).values()
    assert (ending.code, ending.why) == (exit_code, why)


def test_all_it_says_is_in_its_log(tmp_path: Path) -> None:
    with Children() as children:
        heard: list[str] = []
        log = tmp_path / "log"
        log.write_text("before\n")
        children.start("seq", ["seq", "50000"], log=log, timeout_s=60.0, on_line=heard.append)
        ended(children)
    assert log.read_text() == "before\n" + "".join(f"{n}\n" for n in range(1, 50001))
    assert heard == [str(n) for n in range(1, 50001)]


def test_each_has_its_own_deadline(tmp_path: Path) -> None:
    with Children() as children:
        late = sh(children, tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; wait", "late")
        other = sh(children, tmp_path, f"until [ -e {tmp_path}/go ]; do sleep 0.05; done", "other")
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
        late.timeout_s = 0.0
        (first,) = children.wait(20.0)
        assert first[0] is late
        assert (first[1].code, first[1].why) == (3, "did not end within 0 s")
        until(lambda: not alive(int((tmp_path / "pid").read_text())), "what it started is gone")
        assert children.running == [other]
        (tmp_path / "go").touch()
        assert ended(children)["other"].code == 0


def test_waiting_ends_when_its_time_is_over(tmp_path: Path) -> None:
    with Children() as children:
        sh(children, tmp_path, "exec sleep 600")
        assert children.wait(0.05) == []
        assert len(children.running) == 1


def test_the_context_ends_them_all(tmp_path: Path) -> None:
    with Children() as children:
        mine = [sh(children, tmp_path, "exec sleep 600", name) for name in ("a", "b")]
    assert not any(alive(child.pid) for child in mine)
    assert [child.popen.returncode for child in mine] == [-signal.SIGTERM] * 2


def test_what_cannot_be_started_is_named(tmp_path: Path) -> None:
    with Children() as children:
        with pytest.raises(InfrastructureError, match="nosuch-program is not installed"):
            children.start("x", ["nosuch-program"], log=tmp_path / "log", timeout_s=1.0)
        with pytest.raises(InfrastructureError, match="No such file or directory"):
            children.start("x", ["true"], log=tmp_path / "nosuch" / "log", timeout_s=1.0)
        assert children.running == []


# A run that is told to end writes down what it found, which takes longer than a compiler takes to end.
WRITES = (
    "trap 'sleep 4; echo found > {0}/written; exit 143' TERM; touch {0}/begun; while :; do sleep 0.05; done"
)


@pytest.mark.parametrize("late", [False, True])
def test_a_child_that_is_ended_may_write_down_what_it_found(tmp_path: Path, late: bool) -> None:
    with Children() as children:
        child = sh(children, tmp_path, WRITES.format(tmp_path))
        until((tmp_path / "begun").exists, "it runs")
        if late:
            child.timeout_s = 0.0
            (_, ending) = children.wait(20.0)[0]
            assert ending.code == 3
    assert (tmp_path / "written").read_text() == "found\n"
