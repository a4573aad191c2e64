# SPDX-License-Identifier: GPL-2.0-only
"""A series is read as quilt reads it and applied without fuzz; what fails is named: patch, file, hunk."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.errors import UserError
from ccslab.kernel.series import Series, apply_series, load_series, touched_files, unquoted
from ccslab.process import run

ROOT = Path(__file__).resolve().parents[2]
LINES = [f"line {number}" for number in range(1, 41)]


@pytest.fixture
def pristine(tmp_path: Path) -> Path:
    tree = tmp_path / "pristine"
    for name in ("security/tomoyo/file.c", "security/tomoyo/mount.c", "MAINTAINERS"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("\n".join(LINES) + "\n")
    return tree


def hunk(at: int, new: str, *, old: str | None = None) -> str:
    before, after = LINES[at - 4 : at - 1], LINES[at : at + 3]
    body = [
        *(f" {line}" for line in before),
        f"-{old or LINES[at - 1]}",
        f"+{new}",
        *(f" {line}" for line in after),
    ]
    return f"@@ -{at - 3},7 +{at - 3},7 @@\n" + "\n".join(body) + "\n"


def diff(name: str, *hunks: str) -> str:
    return f"--- a/{name}\n+++ b/{name}\n" + "".join(hunks)


def write_series(folder: Path, **patches: str) -> Series:
    folder.mkdir(exist_ok=True)
    for name, text in patches.items():
        (folder / f"{name}.patch").write_text(text)
    (folder / "series").write_text("".join(f"{name}.patch\n" for name in patches))
    return load_series(folder)


def scratch_of(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_comments_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    write_series(tmp_path / "s", one=diff("a/b.c", "@@ -0,0 +1 @@\n+x\n"))
    (tmp_path / "s/series").write_text("# title\n\n  one.patch # why\n")
    assert [patch.name for patch in load_series(tmp_path / "s").patches] == ["one.patch"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("one.patch -p0", r"series:1: patch options are not supported: -p0"),
        ("../one.patch", r"series:1: '../one.patch' leads outside its folder"),
        ("/etc/passwd", r"leads outside"),
        ("two.patch", r"series:1: names two.patch, which is not there"),
        ("x" * 5000, "which is not there"),
        ("empty.patch", r"empty.patch: is no patch: it has no '\+\+\+ b/FILE' line"),
    ],
)
def test_a_malformed_series_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "one.patch").write_text(diff("a.c", "@@ -0,0 +1 @@\n+x\n"))
    (tmp_path / "empty.patch").write_text("From: me\n\nonly words\n")
    (tmp_path / "series").write_text(line + "\n")
    with pytest.raises(UserError, match=said):
        load_series(tmp_path)


def test_a_folder_without_a_series(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no series file - list the patches"):
        load_series(tmp_path)


@given(st.binary())
def test_any_series_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "series").write_bytes(content)
    with contextlib.suppress(UserError):
        load_series(folder)


PATCH_LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["--- a/x", "+++ b/x", "@@ -1 +1 @@", "@@ -1,9 +1 @@", "--- ", "+++ ../x", "-x", "+x", " x", "\\"]
        ),
        st.text(max_size=8),
    )
)


@given(PATCH_LINES)
def test_any_patch_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("any") / "x.patch"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    with contextlib.suppress(UserError):
        assert all(".." not in Path(name).parts for name in touched_files(path))


def files_of(tmp_path: Path, text: str) -> tuple[str, ...]:
    (tmp_path / "x.patch").write_text(text)
    return touched_files(tmp_path / "x.patch")


def test_a_file_at_the_top_of_the_tree_is_touched(tmp_path: Path) -> None:
    assert files_of(tmp_path, diff("MAINTAINERS", hunk(9, "x"))) == ("MAINTAINERS",)


def test_new_and_deleted_files_are_touched_the_null_device_is_not(tmp_path: Path) -> None:
    text = "--- /dev/null\n+++ b/new/x.c\n@@ -0,0 +1 @@\n+x\n"
    text += "--- a/old.c\t2008-01-01\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    assert files_of(tmp_path, text) == ("new/x.c", "old.c")


def test_lines_that_only_look_like_headers_do_not_count(tmp_path: Path) -> None:
    message = "Subject: x\n\n--- a/said.c\nis not a header\n---\n"
    removed = "@@ -1,2 +1,2 @@\n--- a/removed.c\n-x\n+++ b/added.c\n+y\n"
    assert files_of(tmp_path, message + diff("real.c", removed) + "-- \n2.39\n") == ("real.c",)


def test_a_rename_touches_both_names(tmp_path: Path) -> None:
    text = "diff --git a/old.c b/new.c\nsimilarity index 100%\nrename from old.c\nrename to new.c\n"
    assert files_of(tmp_path, text) == ("old.c", "new.c")


def test_a_series_is_applied_in_its_order(tmp_path: Path, pristine: Path) -> None:
    series = write_series(
        tmp_path / "s",
        one=diff("security/tomoyo/file.c", hunk(10, "first")),
        two=diff("security/tomoyo/file.c", hunk(10, "second", old="first"))
        + diff("MAINTAINERS", hunk(5, "me")),
    )
    scratch = scratch_of(tmp_path)
    before = (pristine / "MAINTAINERS").read_text()
    apply_series(series, pristine, scratch)
    assert (scratch / "security/tomoyo/file.c").read_text().splitlines()[9] == "second"
    assert (scratch / "MAINTAINERS").read_text().splitlines()[4] == "me"
    assert (pristine / "MAINTAINERS").read_text() == before
    assert not (scratch / "security/tomoyo/mount.c").exists()


def test_new_files_come_deleted_ones_go_renamed_ones_move(tmp_path: Path, pristine: Path) -> None:
    whole = "".join(f"-{line}\n" for line in LINES)
    series = write_series(
        tmp_path / "s",
        one="--- /dev/null\n+++ b/security/new.c\n@@ -0,0 +1 @@\n+x\n"
        f"--- a/MAINTAINERS\n+++ /dev/null\n@@ -1,40 +0,0 @@\n{whole}"
        "diff --git a/security/tomoyo/file.c b/security/moved.c\nsimilarity index 100%\n"
        "rename from security/tomoyo/file.c\nrename to security/moved.c\n",
    )
    scratch = scratch_of(tmp_path)
    apply_series(series, pristine, scratch)
    left = sorted(str(path.relative_to(scratch)) for path in scratch.rglob("*") if path.is_file())
    assert left == ["security/moved.c", "security/new.c"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            diff("MAINTAINERS", hunk(5, "x"))
            + diff("security/tomoyo/mount.c", hunk(10, "y"), hunk(30, "x", old="other")),
            r"two.patch: hunk 2 does not apply to security/tomoyo/mount.c at line 27",
        ),
        (
            diff("MAINTAINERS", hunk(5, "x")) + diff("security/tomoyo/gone.c", hunk(10, "x")),
            r"two.patch: does not apply to security/tomoyo/gone.c: can't find file to patch",
        ),
        (
            diff("MAINTAINERS", hunk(10, "x")).replace("+x\n", ""),
            r"two.patch: does not apply to MAINTAINERS: malformed patch at line \d+ - ",
        ),
        (
            diff("security/tomoyo/file.c", hunk(10, "first")),
            r"two.patch: .*security/tomoyo/file.c.*(Reversed|previously applied|does not apply)",
        ),
        (
            "--- /dev/null\n+++ b/MAINTAINERS\n@@ -0,0 +1 @@\n+x\n",
            r"two.patch: .*MAINTAINERS.*already exists",
        ),
    ],
)
def test_a_failing_patch_names_patch_file_and_hunk(
    tmp_path: Path, pristine: Path, text: str, said: str
) -> None:
    series = write_series(tmp_path / "s", one=diff("security/tomoyo/file.c", hunk(10, "first")), two=text)
    with pytest.raises(UserError, match=said):
        apply_series(series, pristine, scratch_of(tmp_path))


def test_fuzz_is_refused(tmp_path: Path, pristine: Path) -> None:
    """GNU patch takes this hunk with fuzz 1 unless it is told not to."""
    text = diff("MAINTAINERS", hunk(10, "x").replace(" line 7\n", " line seven\n"))
    series = write_series(tmp_path / "s", one=text)
    with pytest.raises(UserError, match=r"hunk 1 does not apply to MAINTAINERS at line 7"):
        apply_series(series, pristine, scratch_of(tmp_path))


def test_our_own_series_is_well_formed() -> None:
    series = load_series(ROOT / "kernel-patches/ccs/6.12")
    assert len(series.patches) >= 3
    assert len({patch.name for patch in series.patches}) == len(series.patches)
    assert any(name.startswith("security/tomoyo/") for name in series.files())


def test_the_index_is_the_same_on_each_kernel(tmp_path: Path) -> None:
    """index.c is ours alone, so a change that reached only some of the series is a mistake."""
    name, made = "security/tomoyo/index.c", {}
    for folder in sorted((ROOT / "kernel-patches/ccs").glob("[0-9]*")):
        (tree := tmp_path / folder.name).mkdir()
        for patch in load_series(folder).patches:
            if name in patch.files:
                run(["git", "apply", f"--include={name}", patch.path], cwd=tree, timeout_s=10)
        made[folder.name] = (tree / name).read_text()
    assert len(made) >= 4
    assert len(set(made.values())) == 1, sorted(made)


@pytest.mark.parametrize(
    ("quoted", "name"),
    [
        ('"b/fs/\\346\\227\\245.c"', "b/fs/日.c"),
        (r'"b/a\"b\\c\t.c"', 'b/a"b\\c\t.c'),
        ('"b/\\377.c"', "b/\udcff.c"),
        ("b/plain.c", "b/plain.c"),
        ('"', '"'),
    ],
)
def test_names_are_read_as_git_quotes_them(quoted: str, name: str) -> None:
    assert unquoted(quoted) == name


def test_a_file_whose_name_git_quoted_is_made(tmp_path: Path, pristine: Path) -> None:
    series = tmp_path / "series"
    series.mkdir()
    (series / "series").write_text("0001.patch\n")
    (series / "0001.patch").write_text(
        'diff --git "a/fs/\\346\\227\\245.c" "b/fs/\\346\\227\\245.c"\nnew file mode 100644\n'
        '--- /dev/null\n+++ "b/fs/\\346\\227\\245.c"\n@@ -0,0 +1 @@\n+int day;\n'
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    read = load_series(series)
    assert read.files() == ["fs/日.c"]
    apply_series(read, pristine, scratch)
    assert (scratch / "fs/日.c").read_text() == "int day;\n"
