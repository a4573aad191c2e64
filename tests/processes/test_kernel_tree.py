# SPDX-License-Identifier: GPL-2.0-only
"""A work tree follows its series: only what changes is written, and never through a hard link."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab.errors import UserError
from ccslab.kernel import tree as work
from ccslab.kernel.series import NO_PATCHES, Series, load_series
from ccslab.kernel.source import Tree
from ccslab.kernel.tree import STATE
from tests.waiting import until

FILES = ["Makefile", "fs/open.c", "security/file.c", "security/mount.c"]


@pytest.fixture
def pristine(tmp_path: Path) -> Path:
    folder = tmp_path / "pristine"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
        os.utime(folder / name, (1_000_000_000, 1_000_000_000))
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "work" / "tree"


def follow(patches: Series, pristine: Path, tree: Path) -> list[str]:
    """Follow a source that never changes."""
    return work.follow(patches, Tree("tiny", "6.12.0", {}, "tiny", pristine), tree)


def series(tmp_path: Path, edits: dict[str, str], name: str = "s") -> Series:
    """A series that replaces each file's one line, or makes a new file."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    text = ""
    for path, line in edits.items():
        if path in FILES:
            text += f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{path}\n+{line}\n"
        else:
            text += f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{line}\n"
    (folder / "one.patch").write_text(text)
    (folder / "series").write_text("one.patch\n")
    return load_series(folder)


def read(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != STATE
    }


def times(folder: Path) -> dict[str, tuple[int, int]]:
    return {name: ((folder / name).stat().st_mtime_ns, (folder / name).stat().st_ino) for name in FILES}


def test_a_tree_without_patches_is_the_pristine_one(pristine: Path, tree: Path) -> None:
    assert follow(NO_PATCHES, pristine, tree) == []
    assert read(tree) == read(pristine)


def test_only_what_the_series_touches_is_written(tmp_path: Path, pristine: Path, tree: Path) -> None:
    before = times(pristine)
    assert follow(series(tmp_path, {"security/file.c": "one"}), pristine, tree) == ["security/file.c"]
    assert (tree / "security/file.c").read_text() == "one\n"
    assert times(pristine) == before
    assert read(pristine)["security/file.c"] == "security/file.c\n"
    now = times(tree)
    assert [name for name in FILES if now[name] != before[name]] == ["security/file.c"]


def test_an_edited_patch_writes_only_what_it_changes(tmp_path: Path, pristine: Path, tree: Path) -> None:
    edits = {"security/file.c": "one", "security/mount.c": "one", "Makefile": "one"}
    follow(series(tmp_path, edits), pristine, tree)
    before = times(tree)
    assert follow(series(tmp_path, {**edits, "security/mount.c": "two"}), pristine, tree) == [
        "security/mount.c"
    ]
    now = times(tree)
    assert [name for name in FILES if now[name] != before[name]] == ["security/mount.c"]
    assert now["security/mount.c"][0] > before["security/mount.c"][0], "make would not rebuild it"


def test_the_same_series_again_writes_nothing(tmp_path: Path, pristine: Path, tree: Path) -> None:
    patches = series(tmp_path, {"security/file.c": "one", "security/new.c": "x"})
    follow(patches, pristine, tree)
    before = times(tree)
    assert follow(patches, pristine, tree) == []
    assert times(tree) == before


def test_back_to_stock_and_forth(tmp_path: Path, pristine: Path, tree: Path) -> None:
    patches = series(tmp_path, {"security/file.c": "one", "security/new.c": "x"})
    follow(patches, pristine, tree)
    patched = read(tree)
    before = times(tree)
    assert follow(NO_PATCHES, pristine, tree) == ["security/file.c", "security/new.c"]
    assert read(tree) == read(pristine)
    # The pristine file's old time would make its object look up to date.
    assert times(tree)["security/file.c"][0] > before["security/file.c"][0]
    assert follow(patches, pristine, tree) == ["security/file.c", "security/new.c"]
    assert read(tree) == patched


def test_a_series_that_fails_leaves_the_tree_as_it_was(tmp_path: Path, pristine: Path, tree: Path) -> None:
    follow(series(tmp_path, {"security/file.c": "one"}), pristine, tree)
    before, contents = times(tree), read(tree)
    bad = series(tmp_path, {"security/file.c": "two", "security/mount.c": "two"}, "bad")
    path = bad.patches[0].path
    path.write_text(path.read_text().replace("-security/mount.c", "-something else"))
    with pytest.raises(UserError, match=r"one.patch: hunk 1 does not apply to security/mount.c at line 1"):
        follow(bad, pristine, tree)
    assert (times(tree), read(tree)) == (before, contents)
    assert [path.name for path in tree.parent.iterdir()] == ["tree"]


def test_a_change_of_mode_is_a_change(tmp_path: Path, pristine: Path, tree: Path) -> None:
    follow(NO_PATCHES, pristine, tree)
    patches = series(tmp_path, {"Makefile": "x"})
    patches.patches[0].path.write_text("diff --git a/Makefile b/Makefile\nold mode 100644\nnew mode 100755\n")
    assert follow(load_series(tmp_path / "s"), pristine, tree) == ["Makefile"]
    assert (tree / "Makefile").stat().st_mode & 0o111
    assert not (pristine / "Makefile").stat().st_mode & 0o111


@pytest.mark.parametrize("state", ["", "{", "5", "\0"])
def test_a_damaged_state_is_made_anew(tmp_path: Path, pristine: Path, tree: Path, state: str) -> None:
    patches = series(tmp_path, {"security/file.c": "one"})
    follow(patches, pristine, tree)
    (tree / STATE).write_text(state)
    (tree / "fs/open.c").unlink()
    follow(patches, pristine, tree)
    assert read(tree)["security/file.c"] == "one\n"
    assert read(tree)["fs/open.c"] == "fs/open.c\n"


@pytest.mark.parametrize("moment", range(1, 9))
def test_killed_at_any_moment_and_started_again(
    tmp_path: Path,
    pristine: Path,
    tree: Path,
    other_run: Callable[[str], subprocess.Popen[str]],
    moment: int,
) -> None:
    """SIGKILL before the n-th rename or removal; the next run makes what an undisturbed one does."""
    follow(series(tmp_path, {"security/file.c": "old", "security/gone.c": "x"}, "first"), pristine, tree)
    patches = series(tmp_path, {"security/file.c": "new", "security/mount.c": "new", "fs/new.c": "x"})
    killed = other_run(f"""
        import os, signal
        from pathlib import Path
        from ccslab.kernel.series import load_series
        from ccslab.kernel.source import Tree
        from ccslab.kernel.tree import follow
        left = [{moment}]
        def counted(real):
            def call(*given, **named):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **named)
            return call
        Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)
        source = Tree("tiny", "6.12.0", {{}}, "tiny", Path("{pristine}"))
        follow(load_series(Path("{tmp_path}/s")), source, Path("{tree}"))
    """)
    until(lambda: killed.poll() is not None, "the run has ended")
    assert killed.returncode == (-9 if moment <= 6 else 0), killed.communicate()[0]
    follow(patches, pristine, tree)
    undisturbed = tmp_path / "other" / "tree"
    follow(patches, pristine, undisturbed)
    assert read(tree) == read(undisturbed)
    assert read(pristine) == {name: f"{name}\n" for name in FILES}
    assert [path.name for path in tree.parent.iterdir()] == ["tree"]
