# SPDX-License-Identifier: GPL-2.0-only
"""Invalid input: command lines made of the tasks and flags there are, and data files changed in some way."""

from __future__ import annotations

import copy
import json
import os
import random
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from invoke.parser.argument import Argument

import tasks

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
    "labs/controls/trials.toml": [["lab.scenario", "controls"]],
    "labs/interface/lab.toml": [["lab.list"], ["lab.scenario", "interface", "--set=cycles=5"]],
    "labs/controls/lab.toml": [["lab.list"]],
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


def changed(chance: random.Random, document: Any) -> Any:
    """A document with one to three changes of types, keys and depth."""
    document = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        places = list(spots(document))
        if not places:
            return document
        holder, key = chance.choice(places)
        match chance.randint(0, 3):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[chance.choice(["x", "", "schema", "naem"])] = chance.choice(SCALARS)
            case 2:
                holder[key] = [holder[key]]
            case _:
                holder[key] = copy.deepcopy(chance.choice(SCALARS))
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


def bytes_of(chance: random.Random, content: bytes) -> bytes:
    """A file's bytes damaged."""
    place = chance.randint(0, len(content))
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
    match chance.randint(0, 4):
        case 0:
            return content[:place]
        case 1:
            return DEEP.encode() if chance.randint(0, 1) else b"a = " + DEEP.encode()
        case 2:
            return chance.randbytes(chance.randint(0, 60))
        case _:
            return content[:place] + chance.choice(pieces) + content[place:]


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, Callable[[bytes], bytes], list[str]]:
    """A file's name, what is done to it, and the command line that reads it."""
    name = draw(st.sampled_from(sorted(READERS)))
    words = draw(st.sampled_from(READERS[name]))
    # What a file has decides what can be changed in it; what is drawn here must not hang on that.
    chance = random.Random(draw(st.integers(0, 2**64)))
    form = FORMATS.get(Path(name).suffix or Path(name).name)
    if form and chance.randint(0, 3):
        reads, writes = form
        return name, lambda content: writes(changed(chance, reads(content.decode()))), words
    return name, lambda content: bytes_of(chance, content), words
