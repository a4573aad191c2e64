# SPDX-License-Identifier: GPL-2.0-only
"""Invalid input of every kind through the command line ends in one line, and never in a traceback.

Cases are made of the tasks and flags there are, and of the data files there are, each changed in some way. A
short form is part of ``./inv test``; ``CCSLAB_DRILL=5000`` runs so many cases.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.drill.cases import DEEP, ENVIRONMENT, RUN, command_lines, damaged_files
from tests.drill.forks import Ended, Forks
from tests.unit.evidence_sample import failed, fill

CASES = int(os.environ.get("CCSLAB_DRILL", "120"))
CPU_S = 2.0
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# The mend comes behind a dash, if it is not what the sentence itself says.
MEND = re.compile(r" - | (must|may) be | needs | takes ")
# --- where cases run ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """The server, its folders filled with files to name."""
    with Forks(tmp_path_factory.mktemp("forks")) as server:
        leave_files(server.work)
        leave_run(server.checkout.runs)
        shutil.copytree(server.checkout.root, server.folder / "kept", symlinks=True)
        yield server


def leave_files(work: Path) -> None:
    (work / "loop").symlink_to("loop")
    (work / "dangling").symlink_to("nowhere")
    (work / "unreadable").symlink_to("/proc/self/mem")
    (work / "folder").mkdir()
    (work / "binary").write_bytes(bytes(range(256)) * 8)
    (work / "empty").touch()
    (work / "file").write_text("text\n")
    (work / "deep.toml").write_text(f"a = {DEEP}\n")
    (work / "deep.conf").write_text("0-CONFIG=" + "{ " * 100_000 + "\n")
    (work / "good.conf").write_text("<kernel>\nuse_profile 1\nfile read /etc/passwd\n")
    (work / "old.conf").write_bytes(
        b"<kernel>\nuse_profile 1\n4 /etc/\xff\xfe\nallow_read /a\x1b[2J\n1-COMMENT=\xe9\n"
    )
    (work / "patchset.toml").write_text('name = "mine"\n')
    configuration = {"mode": "disabled", "kind": "", "count": 0, "figures": {}}
    subject = {"kernel": "6.12", "arch": "x86_64", "key": "k", "release": "6.12.1", "programs": "p"}
    document = {"schema": 1, "subject": subject, "plan": "short", "unit": "", "measured": [configuration]}
    (work / "measured.json").write_text(json.dumps(document))


def leave_run(runs: Path) -> None:
    from ccslab.evidence.results import write_results

    folder = runs / RUN
    folder.mkdir(parents=True)
    results = failed()
    results.lab = "apache-cgi"
    fill(folder)
    write_results(results, folder)
    mark = {
        "lab": "apache-cgi",
        "arch": "x86_64",
        "kernel": "6.12",
        "started": "2026-11-27T12:00:00+00:00",
        "pid": 1,
    }
    (folder / ".run").write_text(json.dumps(mark))
    manifest = {
        "schema": 1,
        "started": "2026-11-27T12:00:00+00:00",
        "ended": None,
        "seconds": 1.5,
        "command_line": "x",
        "accel": {"used": "tcg"},
        "host": {"cores": 2},
        "config": {},
        "inputs": {
            "kernel": {"key": "k", "manifest": {"patches": [{"name": "p"}]}},
            "harness": {"commit": None},
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (runs / "latest").mkdir()
    (runs / "latest" / "apache-cgi").symlink_to(f"../{RUN}")


def restore(forks: Forks) -> None:
    """What the last case left, taken away again."""
    runs = forks.checkout.runs
    shutil.rmtree(runs, ignore_errors=True)
    shutil.copytree(forks.folder / "kept" / "runs", runs, symlinks=True)
    for folder in (forks.folder / "cache", forks.home, forks.work):
        shutil.rmtree(folder, ignore_errors=True)
    forks.home.mkdir()
    forks.work.mkdir()
    leave_files(forks.work)


def fault(ended: Ended) -> str:
    """What is wrong with how a case ended; "" if it ended as invalid input may."""
    said = ended.out + ended.err
    if bug := re.search(r"error: (\S+): a fault in ccs-lab: (\w+)", said):
        return f"{bug[2]} at {bug[1]}"
    if "Traceback" in said:
        return said.splitlines()[-1]
    if ended.code not in (0, 1, 2, 3):
        return f"exit {ended.code}"
    if CONTROLS.search(said):
        return "a control character reaches the terminal"
    if ended.cpu_s > CPU_S:
        return f"takes more than {CPU_S} s"
    if ended.code == 2 and not ended.err.startswith("error: "):
        return "exit 2 without a line"
    if ended.code == 2 and not MEND.search(ended.err):
        return f"no mend: {ended.err}"
    if len(ended.err.splitlines()) > 1 or len(ended.err) > 4000:
        return "more than one line of error"
    return ""


# --- the drill ------------------------------------------------------------------------------------


def drill(forks: Forks, count: int) -> tuple[Counter[int], dict[str, object]]:
    """Run so many cases: how many ended with which exit code, and the first example of each fault."""
    codes: Counter[int] = Counter()
    faults: dict[str, object] = {}
    slowest: tuple[float, object] = (0.0, "")

    # Every fault is told, not the first one shrunk.
    @seed(16)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def cases(data: st.DataObject) -> None:
        nonlocal slowest
        told, ended = case(forks, data.draw)
        codes[ended.code] += 1
        slowest = max(slowest, (ended.cpu_s, repr(told)))
        if wrong := fault(ended):
            faults.setdefault(wrong, (told, ended))
        restore(forks)

    restore(forks)
    cases()
    print(f"{codes.total()} cases, by exit code {dict(codes)}; slowest {slowest[0]:.2f} s: {slowest[1]:.200}")
    return codes, faults


def case(forks: Forks, draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[object, Ended]:
    """Run one case: what it was, and how it ended."""
    if draw(st.booleans()):
        words, environment = draw(command_lines()), draw(ENVIRONMENT)
        return (words, environment), forks.run(*words, environment=environment)
    name, damage, words = draw(damaged_files())
    path = forks.checkout.root / name
    content = path.read_bytes() if path.exists() else b"{}"
    wrong = damage(content)
    path.write_bytes(wrong)
    try:
        return (words, name, wrong[:1000]), forks.run(*words)
    finally:
        path.write_bytes(content)


def test_invalid_input_is_one_line_and_no_traceback(forks: Forks) -> None:
    codes, faults = drill(forks, CASES)
    assert not faults, "\n".join(f"{wrong}: {example!r:.1500}" for wrong, example in faults.items())
    assert codes[2] > CASES / 4
