# SPDX-License-Identifier: GPL-2.0-only
"""kernel.port under random edits: what is said to apply does, and gives what git merges."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from port_trees import CHANGED, OLD, put, trees

from ccslab.kernel.port import folder, walk
from ccslab.kernel.port.file import Outcome
from ccslab.kernel.series import load_series

EDITS = st.lists(
    st.tuples(st.integers(0, 29), st.sampled_from(["change", "delete", "insert", "swap"]), st.integers(0, 3)),
    max_size=4,
)
LINES = [f"line {number}" if number % 5 else "}" for number in range(30)]


def edited(lines: list[str], edits: list[tuple[int, str, int]]) -> list[str]:
    out = list(lines)
    for at, how, which in edits:
        place = at % max(1, len(out))
        match how:
            case "change":
                out[place : place + 1] = [f"changed {which}"]
            case "delete":
                del out[place : place + 1 + which]
            case "insert":
                out[place:place] = [f"new {which}", "}"][: 1 + which % 2]
            case "swap":
                out[place : place + 3] = reversed(out[place : place + 3])
    return out


counter = itertools.count()


@settings(max_examples=25)
@given(mine=EDITS, second=EDITS, upstream=EDITS)
def test_what_is_said_to_apply_does_and_gives_the_merge(
    tmp_path_factory: pytest.TempPathFactory, mine: list, second: list, upstream: list
) -> None:
    root = tmp_path_factory.mktemp(f"edits{next(counter)}")
    states = [LINES, edited(LINES, mine)]
    states.append(edited(states[1], second))
    texts = ["\n".join([*lines, "end"]) + "\n" for lines in states]
    changes = [{"a.c": text} for before, text in itertools.pairwise(texts) if text != before]
    new = "\n".join([*edited(LINES, upstream), "end"]) + "\n"
    made = trees(root, {"a.c": texts[0]}, {"a.c": new}, *changes)
    ported = made.port()
    now = new
    base = texts[0]
    for patch, change in zip(ported, changes, strict=True):
        theirs = change["a.c"]
        if patch.outcome is Outcome.CONFLICT:
            break
        merged, conflicts = merge(root, now, base, theirs)
        after = patch.after["a.c"].content.decode()
        if not conflicts:
            assert after == merged
        if patch.new:
            put(root / "check", {"a.c": now})
            argv = ["patch", "-p1", "--fuzz=0", "--batch", "--forward", "--verbose"]
            done = subprocess.run(
                argv, cwd=root / "check", input=patch.new, text=True, capture_output=True, check=True
            )
            assert "offset" not in done.stdout
            assert (root / "check/a.c").read_text() == after
        else:
            assert after == now
        now, base = after, theirs
    settled = [patch for patch in ported if patch.settled and patch.new]
    assert folder.verify(ported, made.series, made.new.folder) == len(settled)


def merge(root: Path, ours: str, base: str, theirs: str) -> tuple[str, int]:
    put(root / "merge", {"ours": ours, "base": base, "theirs": theirs})
    argv = ["git", "merge-file", "-p", "-q", "ours", "base", "theirs"]
    done = subprocess.run(argv, cwd=root / "merge", capture_output=True, text=True, check=False)
    return done.stdout, done.returncode


def test_the_series_is_read_as_it_was_made(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": OLD}, {"a.c": CHANGED}, {"b.c": "b\n"})
    assert [patch.files for patch in load_series(tmp_path / "series").patches] == [("a.c",), ("b.c",)]
    assert isinstance(made.old, walk.Tree)
