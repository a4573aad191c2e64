# SPDX-License-Identifier: GPL-2.0-only
"""Trees of the user's: a folder is followed and never written to, an archive is what its hash says."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.kernel import source
from ccslab.kernel import tree as work
from ccslab.kernel.series import NO_PATCHES, Series, load_series
from ccslab.kernel.source import Archive, Folder
from ccslab.sources import folder as folders
from ccslab.store import Store, hash_file, hash_tree

MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 7\nEXTRAVERSION =\n"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's kernel source."""
    folder = tmp_path / "mine"
    (folder / "fs").mkdir(parents=True)
    (folder / "Makefile").write_text(MAKEFILE)
    (folder / "fs/open.c").write_text("open\n")
    (folder / "fs/mount.c").write_text("mount\n")
    (folder / "fs/link").symlink_to("open.c")
    return folder


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=me", "-c", "user.email=me@host.invalid", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, "-C", folder, *words], check=True, capture_output=True, timeout=20)


def series(tmp_path: Path) -> Series:
    (tmp_path / "s").mkdir()
    (tmp_path / "s/one.patch").write_text(
        "--- a/fs/mount.c\n+++ b/fs/mount.c\n@@ -1 +1 @@\n-mount\n+patched\n"
    )
    (tmp_path / "s/series").write_text("one.patch\n")
    return load_series(tmp_path / "s")


def read(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and path.name != work.STATE
    }


def test_a_folder_is_copied_patched_and_left_alone(tmp_path: Path, mine: Path, store: Store) -> None:
    before = hash_tree(mine)
    tree = source.fetch(Folder(mine), store)
    assert (tree.version, tree.label) == ("6.12.7", "mine 6.12.7")
    changed = work.follow(series(tmp_path), tree, tmp_path / "work/tree")
    assert changed == ["fs/mount.c"]
    assert read(tmp_path / "work/tree") == {**read(mine), "fs/mount.c": "patched\n"}
    assert hash_tree(mine) == before
    for name in ("Makefile", "fs/open.c", "fs/mount.c"):
        assert (mine / name).stat().st_nlink == 1, "a link to the user's file would be written through"


def test_what_the_user_edits_is_followed_and_nothing_else_written(
    tmp_path: Path, mine: Path, store: Store
) -> None:
    patches, target = series(tmp_path), tmp_path / "work/tree"
    first = source.fetch(Folder(mine), store)
    work.follow(patches, first, target)
    kept = (target / "Makefile").stat()
    (mine / "fs/open.c").write_text("edited\n")
    os.utime(mine / "fs/open.c", (1, 1))  # an older time than the object's must rebuild it, too
    (mine / "fs/new.c").write_text("new\n")
    (mine / "fs/link").unlink()
    (mine / "fs/link").symlink_to("new.c")
    second = source.fetch(Folder(mine), store)
    assert second.identity != first.identity
    assert work.follow(patches, second, target) == ["fs/link", "fs/new.c", "fs/open.c"]
    assert read(target) == {**read(mine), "fs/mount.c": "patched\n"}
    assert (target / "Makefile").stat().st_mtime_ns == kept.st_mtime_ns
    assert (target / "fs/open.c").stat().st_mtime > kept.st_mtime, "make would not rebuild it"
    (mine / "fs/new.c").unlink()
    assert work.follow(patches, source.fetch(Folder(mine), store), target) == ["fs/new.c"]
    assert work.follow(patches, source.fetch(Folder(mine), store), target) == []


def test_a_patch_follows_the_users_edit_of_the_same_file(tmp_path: Path, mine: Path, store: Store) -> None:
    patches, target = series(tmp_path), tmp_path / "work/tree"
    work.follow(patches, source.fetch(Folder(mine), store), target)
    (mine / "fs/mount.c").write_text("mount\nmore\n")
    assert work.follow(patches, source.fetch(Folder(mine), store), target) == ["fs/mount.c"]
    assert (target / "fs/mount.c").read_text() == "patched\nmore\n"
    (mine / "fs/mount.c").write_text("another\n")
    with pytest.raises(UserError, match=r"one.patch: hunk 1 does not apply to fs/mount.c"):
        work.follow(patches, source.fetch(Folder(mine), store), target)
    assert (target / "fs/mount.c").read_text() == "patched\nmore\n", "left as it was"


def test_an_edit_while_the_tree_is_read_is_said(tmp_path: Path, mine: Path, store: Store) -> None:
    tree = source.fetch(Folder(mine), store)
    (mine / "fs/open.c").write_text("edited meanwhile\n")
    with pytest.raises(InfrastructureError, match=r"fs/open.c changed while the tree was read - start"):
        work.follow(NO_PATCHES, tree, tmp_path / "work/tree")
    assert not (tmp_path / "work/tree").exists()
    work.follow(NO_PATCHES, source.fetch(Folder(mine), store), tmp_path / "work/tree")
    assert read(tmp_path / "work/tree") == read(mine)


def test_an_edit_while_a_change_is_followed_is_said(tmp_path: Path, mine: Path, store: Store) -> None:
    target = tmp_path / "work/tree"
    work.follow(NO_PATCHES, source.fetch(Folder(mine), store), target)
    (mine / "fs/open.c").write_text("edited\n")
    seen = source.fetch(Folder(mine), store)
    (mine / "fs/open.c").write_text("edited again\n")
    with pytest.raises(InfrastructureError, match=r"fs/open.c changed while the tree was read"):
        work.follow(NO_PATCHES, seen, target)
    work.follow(NO_PATCHES, source.fetch(Folder(mine), store), target)
    assert read(target) == read(mine)


def test_of_a_git_work_tree_counts_what_git_would_commit(tmp_path: Path, mine: Path, store: Store) -> None:
    (mine / ".gitignore").write_text("*.o\n")
    git(mine, "init")
    git(mine, "add", ".")
    git(mine, "commit", "-m", "x")
    git(mine, "tag", "v6.12.7-mine")
    (mine / "fs/open.o").write_text("object\n")
    (mine / ".config").write_text("built in here\n")
    git(mine, "rm", "--cached", "fs/mount.c")
    (mine / "fs/untracked.c").write_text("mine\n")
    before = hash_tree(mine)
    tree = source.fetch(Folder(mine), store)
    assert tree.label == "mine v6.12.7-mine"
    assert tree.snapshot is not None
    assert set(tree.snapshot.files) == {
        ".config", ".gitignore", "Makefile", "fs/link", "fs/mount.c", "fs/open.c", "fs/untracked.c",
    }  # fmt: skip
    assert hash_tree(mine) == before, "git wrote to the user's tree"


def test_git_runs_nothing_that_the_tree_names(mine: Path, store: Store, tmp_path: Path) -> None:
    git(mine, "init")
    git(mine, "add", ".")
    git(mine, "commit", "-m", "x")
    git(mine, "config", "core.fsmonitor", f"touch {tmp_path}/ran")
    source.fetch(Folder(mine), store)
    assert not (tmp_path / "ran").exists()


def test_a_digest_is_remembered_only_while_the_file_stays(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "RACY_S", 0.0)
    memory = tmp_path / "memory.json"
    first = folders.take(mine, memory)
    assert folders.take(mine, memory) == first
    # The same size and time: only the kernel's own change time tells.
    about = (mine / "fs/open.c").stat()
    (mine / "fs/open.c").write_text("nepo\n")
    os.utime(mine / "fs/open.c", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert folders.take(mine, memory).sha256 != first.sha256
    (mine / "fs/mount.c").chmod(0o755)
    assert folders.take(mine, memory).files["fs/mount.c"].startswith("x:")


@pytest.mark.parametrize(("racy_s", "believed"), [(3600.0, False), (0.0, True)])
def test_a_digest_of_a_file_that_changed_just_now_is_not_believed(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, racy_s: float, believed: bool
) -> None:
    """A second change within the clock's tick would leave size and times as they are."""
    memory = tmp_path / "memory.json"
    first = folders.take(mine, memory)
    memory.write_text(memory.read_text().replace(first.files["fs/open.c"], "f:forged"))
    monkeypatch.setattr(folders, "RACY_S", racy_s)
    assert (folders.take(mine, memory).files["fs/open.c"] == "f:forged") == believed


@pytest.mark.parametrize("damage", ["", "{", "[]", "5"])
def test_a_damaged_memory_is_made_anew(mine: Path, tmp_path: Path, damage: str) -> None:
    memory = tmp_path / "memory.json"
    first = folders.take(mine, memory)
    memory.write_text(damage)
    assert folders.take(mine, memory) == first


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            lambda tree: (tree / "Makefile").unlink(),
            r"mine: is no kernel tree: it has no Makefile - give the",
        ),
        (
            lambda tree: (tree / "Makefile").write_text("all:\n"),
            r"mine: is no kernel tree: its Makefile says",
        ),
        (
            lambda tree: (tree / ".config").touch(),
            r"mine: has been built in: there is .config - run make mrp",
        ),
        (shutil.rmtree, r"mine: there is no such folder"),
    ],
)
def test_a_folder_that_is_no_clean_tree(mine: Path, store: Store, edit: object, said: str) -> None:
    edit(mine)  # type: ignore[operator]
    with pytest.raises(UserError, match=said) as caught:
        source.fetch(Folder(mine), store)
    assert "\n" not in str(caught.value)


def test_a_socket_in_the_tree_is_named(mine: Path, store: Store) -> None:
    os.mkfifo(mine / "fs/fifo")
    with pytest.raises(InfrastructureError, match=r"fs/fifo: is no file, folder or link"):
        source.fetch(Folder(mine), store)


# --- archives -----------------------------------------------------------------------------------------


@pytest.fixture
def tarball(tmp_path: Path, mine: Path) -> Path:
    path = tmp_path / "linux-6.12.7.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        tar.add(mine, "linux-6.12.7")
    return path


def test_an_archive_with_the_right_hash(tmp_path: Path, tarball: Path, mine: Path, store: Store) -> None:
    tree = source.fetch(Archive(tarball, hash_file(tarball)), store)
    assert (tree.version, tree.label) == ("6.12.7", "linux-6.12.7 6.12.7")
    assert read(tree.folder) == read(mine)
    assert sorted(path.name for path in tree.folder.parent.iterdir()) == [
        "inputs.json",
        "record.json",
        "tree",
    ]
    work.follow(series(tmp_path), tree, tmp_path / "work/tree")
    assert (tmp_path / "work/tree/fs/mount.c").read_text() == "patched\n"
    assert read(tree.folder) == read(mine)


def test_an_archive_with_another_hash_unpacks_nothing(tarball: Path, store: Store) -> None:
    with pytest.raises(UserError, match=r"linux-6.12.7.tar.xz: its SHA-256 is \w+, not 0{64} - fetch it"):
        source.fetch(Archive(tarball, "0" * 64), store)
    assert not list(store.root.glob("tree/*"))


def test_an_archive_without_a_tree_publishes_nothing(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("readme"))
    with pytest.raises(UserError, match=r"a.tar: is no kernel tree: it has no Makefile"):
        source.fetch(Archive(path, hash_file(path)), store)
    assert not list(store.root.glob("tree/*"))
