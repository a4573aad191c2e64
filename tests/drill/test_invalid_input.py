# SPDX-License-Identifier: GPL-2.0-only
"""Invalid input of every kind through the command line ends in one line, and never in a traceback.

Cases are made of the tasks and flags there are, and of the data files there are, each changed in some way. A
short form is part of ``./inv test``; ``CCSLAB_DRILL=5000`` runs so many cases.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from invoke.parser.argument import Argument

import tasks
from tests.drill.forks import Ended, Forks
from tests.unit.evidence_sample import failed, fill

CASES = int(os.environ.get("CCSLAB_DRILL", "120"))
CPU_S = 2.0
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
RUN = "apache-cgi-x86_64-6.12-20261127T120000Z"
DEEP = "[" * 5000 + "]" * 5000
NAMES = {
    "name": ["apache-cgi", "controls", "nosuch"],
    "lab": ["apache-cgi", "nosuch"],
    "run": ["apache-cgi", RUN, "../checkout/runs/" + RUN],
    "runs": [f"../checkout/runs/{RUN},../checkout/runs/{RUN}", ",", "good.conf,good.conf"],
    "kernel": ["6.12", "stock-6.12", "6.12,7.2", "all", ",", "9.9"],
    "before": ["6.12", "measured.json"],
    "after": ["7.2", "measured.json"],
    "from": ["6.12", "9.9"],
    "to": ["7.2", "folder", "good.conf"],
    "arch": ["x86_64", "i386", "all", "z80", ","],
    "accel": ["tcg", "kvm", "auto", "x"],
    "plan": ["short", "tiny", "kinds", "x"],
    "recipe": ["webserver", "x", "../recipes/webserver"],
    "patchset": ["none", "ccs", "folder", "patchset.toml"],
}
ODD = [
    "",
    " ",
    "-",
    "--",
    "=",
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e400",
    "1.5",
    "9" * 5000,
    "1_000",
    "²",
    "0x10",
    "None",
    "true",
    "~",
    "~nouser",
    "~nouser/x",
    "loop",
    "loop/x",
    "dangling",
    "folder",
    "file",
    "file/below",
    "binary",
    "empty",
    "deep.toml",
    "deep.conf",
    "good.conf",
    "old.conf",
    "unreadable",
    "x" * 300,
    "a/" * 3000,
    "/dev/null",
    "/dev/null/x",
    "/proc/self/mem",
    "\x1b[31mred",
    "\u202egnp.exe",
    "\udcff\udcfe",
    "a\nb",
    "a,b,,c",
    "'; true",
    "%s%n",
    "{}",
    "../" * 50 + "nonexistent",
    "日本",
    "*",
    "--help",
    "-x",
    "a=b",
]


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
    if len(ended.err.splitlines()) > 1 or len(ended.err) > 4000:
        return "more than one line of error"
    return ""


# --- tasks and their flags ------------------------------------------------------------------------

# Neither an absolute path nor one that climbs: what a task writes stays in the copy.
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(codec="utf-8", exclude_characters="\0/"), max_size=30),
    st.binary(max_size=12).map(lambda data: os.fsdecode(data.replace(b"\0", b"").replace(b"/", b""))),
)


def words_of(argument: Argument) -> st.SearchStrategy[list[str]]:
    """A flag as it may be given."""
    flag = f"--{argument.name}"
    if not argument.takes_value:
        return st.just([flag])
    values = st.one_of(st.sampled_from(NAMES.get(argument.name, ["1"])), TEXTS)
    return st.one_of(values.map(lambda value: [f"{flag}={value}"]), values.map(lambda value: [flag, value]))


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A task with some of its flags, and what invoke itself takes."""
    task = draw(st.sampled_from(sorted(tasks.ns.task_names)))
    arguments = tasks.ns[task].get_arguments()
    words = [task]
    for one in arguments:
        if one.positional:
            if draw(st.integers(0, 9)):
                words.append(draw(st.one_of(st.sampled_from(NAMES.get(one.name, ODD)), TEXTS)))
        elif draw(st.integers(0, 2)) == 0:
            words += draw(words_of(one))
    if draw(st.integers(0, 19)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(TEXTS))
    core = [
        "--echo",
        "--list-depth=x",
        "--command-timeout=x",
        "--config=binary",
        "--config=deep.toml",
        "--search-root=x",
    ]
    return [draw(st.sampled_from(core)), *words] if draw(st.integers(0, 19)) == 0 else words


ENVIRONMENT = st.dictionaries(
    st.sampled_from(
        [
            "INVOKE_LAB_JOBS",
            "INVOKE_LAB_ARCH",
            "INVOKE_LAB_CACHE",
            "INVOKE_RUN_ECHO",
            "INVOKE_TASKS_DEDUPE",
            "INVOKE_TIMEOUTS_COMMAND",
            "INVOKE_RUNTIME_CONFIG",
            "INVOKE_LAB_TREE",
            "INVOKE_RUN_WATCHERS",
        ]
    ),
    st.sampled_from([one for one in ODD if one.isprintable() and len(one) < 400]),
    max_size=2,
)


# --- data files -----------------------------------------------------------------------------------

READERS: dict[str, list[list[str]]] = {
    "ccslab/bench/plan.toml": [["bench.run", "--plan", "tiny"]],
    "ccslab/bench/peers.toml": [["bench.peers"]],
    "labs/apache-cgi/lab.toml": [["lab.list"], ["lab.scenario", "apache-cgi"]],
    "labs/apache-cgi/workload.toml": [["lab.list"]],
    "labs/apache-cgi/attacks.toml": [["lab.list"]],
    "labs/apache-cgi/cost.toml": [["bench.lab", "apache-cgi"]],
    "labs/apache-cgi/generalise.toml": [["lab.scenario", "apache-cgi"], ["lab.mutate", "apache-cgi"]],
    "labs/controls/trials.toml": [["lab.controls"]],
    "policies/architectures.toml": [["lab.parity", "apache-cgi"]],
    "policies/apache-cgi/unproven.toml": [["lab.mutate", "apache-cgi"]],
    "policies/apache-cgi/domain_policy.conf": [["bench.lab", "apache-cgi"], ["lab.mutate", "apache-cgi"]],
    "kernel-patches/kernels.toml": [["kernel.list"], ["kernel.fetch"]],
    "kernel-patches/ccs/patchset.toml": [["kernel.list"], ["kernel.patch"]],
    "rootfs/recipes/webserver.toml": [["rootfs.build"], ["lab.build"]],
    "invoke.yaml": [["kernel.list"]],
    f"runs/{RUN}/results.json": [
        ["lab.show", "apache-cgi", "--timings"],
        ["lab.report", "apache-cgi"],
        ["lab.status"],
    ],
    f"runs/{RUN}/manifest.json": [
        ["lab.show", "apache-cgi"],
        ["lab.report", "apache-cgi"],
        ["lab.replay", RUN],
        ["lab.status"],
    ],
    f"runs/{RUN}/.run": [
        ["lab.status"],
        ["vm.console", RUN],
        ["lab.replay", RUN],
        ["lab.show", "apache-cgi"],
        ["lab.clean"],
        ["lab.compare", "apache-cgi", "--runs", f"../checkout/runs/{RUN},../checkout/runs/{RUN}"],
    ],
    f"runs/{RUN}/console.cast": [["lab.report", "apache-cgi"]],
    f"runs/{RUN}/policy/enforcing/domain_policy.conf": [["lab.report", "apache-cgi"]],
    f"runs/{RUN}/audit.log": [["policy.explain", f"../checkout/runs/{RUN}"]],
    "../work/measured.json": [["bench.compare", "measured.json", "measured.json"]],
    "../work/good.conf": [["policy.check", "good.conf"], ["policy.diff", "good.conf", "good.conf"]],
    "../work/old.conf": [["policy.convert", "old.conf"], ["policy.convert", "old.conf", "--out", "new"]],
    "../home/.invoke.yaml": [["kernel.list"]],
}
SCALARS: list[Any] = [
    0,
    -1,
    5,
    10**30,
    1.5,
    float("inf"),
    True,
    "",
    " ",
    "x",
    "x\u202ey",
    "a\0b",
    "\x1b[2J",
    [],
    [1],
    [""],
    ["x", ["y"]],
    {},
    {"x": 1},
    "../../x",
    "9" * 400,
]
YAML = {
    "lab": {"arch": "x86_64", "jobs": "2"},
    "run": {"echo": False, "env": {}},
    "tasks": {"dedupe": True},
    "timeouts": {"command": 5},
}


def spots(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: what holds it, and its key there."""
    keys = (
        document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    )
    for key in keys:
        yield document, key
        yield from spots(document[key])


def changed(draw: st.DrawFn, document: Any) -> Any:
    """A document with one to three changes of types, keys and depth."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(spots(document))
        if not places:
            return document
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.integers(0, 3)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw(st.sampled_from(["x", "", "schema", "naem"]))] = draw(st.sampled_from(SCALARS))
            case 2:
                holder[key] = [holder[key]]
            case _:
                holder[key] = copy.deepcopy(draw(st.sampled_from(SCALARS)))
    return document


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value).replace("\x7f", "\\u007f")


def toml_file(document: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in document.items()).encode()


FORMATS: dict[str, tuple[Callable[[str], Any], Callable[[Any], bytes]]] = {
    ".toml": (tomllib.loads, toml_file),
    ".json": (json.loads, lambda document: json.dumps(document).encode()),
    ".run": (json.loads, lambda document: json.dumps(document).encode()),
    ".yaml": (lambda _: YAML, lambda document: json.dumps(document).encode()),
}


def bytes_of(draw: st.DrawFn, content: bytes) -> bytes:
    """A file's bytes damaged."""
    place = draw(st.integers(0, len(content)))
    pieces = [
        b"\xff\xfe",
        b"\0",
        b"\x1b]0;x\x07",
        "\u202e".encode(),
        b"\n" * 3,
        b"[",
        b"{",
        b'"',
        b" " * 200,
        b"\r\n",
        b"9" * 5000,
        DEEP.encode(),
        b'{"a":' * 5000,
        b"<kernel> ",
        b"\xc2\x9b31m",
    ]
    match draw(st.integers(0, 4)):
        case 0:
            return content[:place]
        case 1:
            return DEEP.encode() if draw(st.booleans()) else b"a = " + DEEP.encode()
        case 2:
            return draw(st.binary(max_size=60))
        case _:
            return content[:place] + draw(st.sampled_from(pieces)) + content[place:]


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, Callable[[bytes], bytes], list[str]]:
    """A file's name, what is done to it, and the command line that reads it."""
    name = draw(st.sampled_from(sorted(READERS)))
    words = draw(st.sampled_from(READERS[name]))
    form = FORMATS.get(Path(name).suffix or Path(name).name)
    if form and draw(st.integers(0, 3)):
        reads, writes = form
        return name, lambda content: writes(changed(draw, reads(content.decode()))), words
    return name, lambda content: bytes_of(draw, content), words


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
        if ended.code not in (2, 3):  # it did something, and may have left something
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
