# SPDX-License-Identifier: GPL-2.0-only
"""kernel.port of patches that add, delete, rename and change the mode of files, and of files that moved."""

from __future__ import annotations

from pathlib import Path

import pytest
from port_trees import CHANGED, EARLIER, OLD, code, git, only, put, says, trees

from ccslab.kernel.port import folder
from ccslab.kernel.port.file import Outcome


@pytest.mark.parametrize(
    ("old", "new", "change", "outcome", "said"),
    [
        ({}, {}, {"a.c": OLD}, Outcome.CLEAN, ""),
        ({}, {"a.c": OLD}, {"a.c": OLD}, Outcome.UPSTREAM, "the new tree has it"),
        (
            {},
            {"a.c": EARLIER},
            {"a.c": OLD},
            Outcome.CONFLICT,
            "the patch adds it, and the new tree has another",
        ),
        ({"a.c": OLD}, {"a.c": OLD}, {"a.c": None}, Outcome.CLEAN, ""),
        ({"a.c": OLD}, {}, {"a.c": None}, Outcome.UPSTREAM, "the new tree has it"),
        (
            {"a.c": OLD},
            {"a.c": EARLIER},
            {"a.c": None},
            Outcome.CONFLICT,
            "the patch deletes it, and it differs",
        ),
        ({"a.c": OLD}, {}, {"a.c": CHANGED}, Outcome.CONFLICT, "the new tree has no such file"),
        ({"a.c": OLD}, {"a.c": b"\0" + OLD.encode()}, {"a.c": CHANGED}, Outcome.CONFLICT, "a binary file"),
        ({"e.c": ""}, {}, {"e.c": "x\n"}, Outcome.CONFLICT, "the new tree has no such file"),
        (
            {"e.c": ""},
            {"e.c": "x\n"},
            {"e.c": None},
            Outcome.CONFLICT,
            "the patch deletes it, and it differs",
        ),
    ],
)
def test_files_that_come_and_go(
    tmp_path: Path,
    old: dict[str, str],
    new: dict[str, str],
    change: dict[str, str],
    outcome: Outcome,
    said: str,
) -> None:
    made = trees(tmp_path, old, new, change)
    patch = only(made)
    ((_, found, detail),) = says(patch)
    assert (found, detail.startswith(said), bool(detail)) == (outcome, True, bool(said))
    if outcome is Outcome.CLEAN:
        assert folder.verify([patch], made.series, made.new.folder) == 1
    clash = patch.files[0].verdict.clash
    if clash and clash.marked:
        assert all(marker in clash.marked for marker in (b"<<<<<<< ", b"||||||| ", b"=======\n", b">>>>>>> "))


def test_modes_are_kept_and_changed(tmp_path: Path) -> None:
    made = trees(tmp_path, {"run": OLD, "a.c": OLD}, {"run": EARLIER, "a.c": OLD})
    repository = tmp_path / "repository"
    (repository / "run").chmod(0o755)
    (tmp_path / "new/a.c").chmod(0o755)
    put(repository, {"a.c": CHANGED})
    git(repository, "commit", "--quiet", "-a", "-m", "mode")
    git(repository, "format-patch", "-1", "-o", tmp_path / "series")
    (tmp_path / "series/series").write_text("0001-mode.patch\n")
    patch = only(made)
    assert {name: file.executable for name, file in patch.after.items()} == {"run": True, "a.c": True}
    assert "old mode 100644\nnew mode 100755\n" in patch.new
    assert folder.verify([patch], made.series, made.new.folder) == 1


def test_a_renaming_patch_follows_what_changed(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": EARLIER}, {"a.c": None, "b.c": CHANGED})
    patch = only(made)
    assert patch.files[0].name == "b.c"
    assert "rename from a.c\nrename to b.c\n" in patch.new
    assert patch.after["b.c"].content.decode() == EARLIER.replace("two_6();", "two_six();")
    assert patch.after["a.c"] is None
    assert folder.verify([patch], made.series, made.new.folder) == 1


def test_a_renaming_patch_does_not_write_over_another_file(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": OLD, "b.c": "other\n"}, {"a.c": None, "b.c": CHANGED})
    assert says(only(made)) == [("a.c", Outcome.CONFLICT, "becomes b.c, which is there already")]


def test_a_patch_that_only_renames_has_something_to_do(tmp_path: Path) -> None:
    patch = only(trees(tmp_path, {"a.c": OLD}, {"a.c": OLD}, {"a.c": None, "b.c": OLD}))
    assert says(patch) == [("b.c", Outcome.CLEAN, "")]
    assert patch.after == {"a.c": None, "b.c": patch.after["b.c"]}


def test_a_file_that_moved_is_followed_by_all_later_patches(tmp_path: Path) -> None:
    changes = ({"net/a.c": CHANGED}, {"net/a.c": CHANGED.replace("one_6", "one_six")})
    made = trees(tmp_path, {"net/a.c": OLD}, {"net/core/a.c": EARLIER, "net/a.h": OLD}, *changes)
    first, second = made.port()
    share = f"moved from net/a.c with {2 * 44 / (44 + 51):.0%} of its lines; +7 lines"
    assert says(first) == [("net/core/a.c", Outcome.OFFSET, share)]
    assert second.files[0].name == "net/core/a.c"
    assert folder.verify([first, second], made.series, made.new.folder) == 2


def test_a_file_of_the_same_name_and_other_content_is_not_the_moved_one(tmp_path: Path) -> None:
    made = trees(tmp_path, {"net/a.c": OLD}, {"sound/a.c": code("tone", "volume")}, {"net/a.c": CHANGED})
    assert says(only(made)) == [("net/a.c", Outcome.CONFLICT, "the new tree has no such file")]


def test_a_file_that_both_trees_have_is_not_the_moved_one(tmp_path: Path) -> None:
    made = trees(tmp_path, {"net/a.c": OLD, "x/a.c": OLD}, {"x/a.c": OLD}, {"net/a.c": CHANGED})
    assert says(only(made)) == [("net/a.c", Outcome.CONFLICT, "the new tree has no such file")]
