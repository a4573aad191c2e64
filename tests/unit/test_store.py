# SPDX-License-Identifier: GPL-2.0-only
"""What is published is whole, whatever happens while it is made; what is built is not built again."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab import store as storing
from ccslab.errors import InfrastructureError, UserError
from ccslab.store import Store, cache, default_root, disk, hash_file, hash_tree, key_of, lock

Start = Callable[[str], subprocess.Popen[str]]
INPUTS = {"version": 1}


def left_in(store: Store, kind: str = "programs") -> list[str]:
    return sorted(path.name for path in (store.root / kind).glob("*"))


def write(text: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        (folder / "file").write_text(text)

    return build


def never(folder: Path) -> None:
    raise AssertionError("built again")


def test_a_build_is_published_with_its_inputs(store: Store) -> None:
    folder = store.get("programs", INPUTS, write("x"))
    assert (folder / "file").read_text() == "x"
    assert json.loads((folder / "inputs.json").read_text()) == INPUTS
    assert left_in(store) == [key_of(INPUTS)]


def test_what_is_built_is_not_built_again(store: Store) -> None:
    first = store.get("programs", INPUTS, write("x"))
    assert store.has("programs", INPUTS)
    assert store.get("programs", INPUTS, never) == first


def test_another_input_is_another_artifact(store: Store) -> None:
    first = store.get("programs", INPUTS, write("x"))
    assert not store.has("programs", {"version": 2})
    assert store.get("programs", {"version": 2}, write("y")) != first


def test_the_order_of_inputs_does_not_count() -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 2, "b": 1})


def test_a_failed_build_leaves_nothing(store: Store) -> None:
    def build(folder: Path) -> None:
        (folder / "half").touch()
        raise UserError("hunk 1 does not apply")

    with pytest.raises(UserError):
        store.get("programs", INPUTS, build)
    assert left_in(store) == []
    assert (store.get("programs", INPUTS, write("x")) / "file").is_file()


def test_ctrl_c_leaves_nothing(store: Store) -> None:
    def build(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get("programs", INPUTS, build)
    assert left_in(store) == []


def test_a_lock_is_not_waited_for_without_end(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LOCK_TIMEOUT_S", 0.2)
    with (
        store.lock("one"),
        pytest.raises(InfrastructureError, match=rf"process {os.getpid()}\) does not end"),
        store.lock("one"),
    ):
        pass


def test_disk_full_is_one_line_and_publishes_nothing(store: Store) -> None:
    def build(folder: Path) -> None:
        (folder / "small").write_text("x")
        with (folder / "big").open("wb") as stream:
            stream.write(b"x" * 100_000)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(InfrastructureError, match=r"File too large - free.*CCSLAB_CACHE") as caught:
            store.get("programs", INPUTS, build)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == 3
    assert left_in(store) == []


def test_an_error_that_is_not_the_disks_gets_no_disk_advice(store: Store) -> None:
    with pytest.raises(InfrastructureError, match="No such file") as caught:
        store.get("programs", INPUTS, lambda folder: (folder / "nosuch/file").write_text("x") and None)
    assert caught.value.mend == ""


def test_a_cache_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError, match=f"^{tmp_path}/file/cache.*: Not a directory"):
        Store(tmp_path / "file" / "cache").get("programs", INPUTS, write("x"))


def test_a_folder_without_a_record_is_no_artifact(store: Store) -> None:
    cache.make(store.root)
    folder = store.path("programs", INPUTS)
    folder.mkdir(parents=True)
    (folder / "stale").touch()
    assert (store.get("programs", INPUTS, write("x")) / "file").is_file()
    assert not (folder / "stale").exists()


def test_killed_while_removing_no_half_artifact_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path) -> None:
        (path / "file").unlink()
        raise KeyboardInterrupt

    folder = store.get("programs", INPUTS, write("x"))
    with monkeypatch.context() as patched:
        patched.setattr(disk.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            storing.remove(folder)
    assert not store.has("programs", INPUTS)
    assert (store.get("programs", INPUTS, write("y")) / "file").read_text() == "y"
    assert left_in(store) == [folder.name]


def test_remove_takes_files_links_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "file").touch()
    for name in ("link", "file", "nosuch"):
        storing.remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"CCSLAB_CACHE": "/one", "XDG_CACHE_HOME": "/two"}, "/one"),
        ({"XDG_CACHE_HOME": "/two"}, "/two/ccs-lab"),
        ({"HOME": "/three"}, "/three/.cache/ccs-lab"),
        ({"CCSLAB_CACHE": "~/four", "HOME": "/three"}, "/three/four"),
    ],
)
def test_the_root_is_where_the_user_says(
    environment: dict[str, str], root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CCSLAB_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(default_root()) == root


def test_a_relative_root_is_made_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCSLAB_CACHE", "here")
    assert default_root() == Path.cwd() / "here"


# --- hashes -------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "file").write_text("x")
    (root / "link").symlink_to("folder/file")
    return root


def test_hash_file_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_file(tmp_path / "x").startswith("ba7816bf8f01cfea")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda root: (root / "folder/file").write_text("y"),
    "name": lambda root: (root / "folder/file").rename(root / "folder/other"),
    "mode": lambda root: (root / "folder/file").chmod(0o755),
    "new file": lambda root: (root / "new").touch(),
    "new folder": lambda root: (root / "empty").mkdir(),
    "link": lambda root: ((root / "link").unlink(), (root / "link").symlink_to("elsewhere")),
    "a name that is no UTF-8": lambda root: Path(os.fsdecode(bytes(root) + b"/\xff")).touch(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_counts_for_the_hash_of_a_tree(tree: Path, change: str) -> None:
    before = hash_tree(tree)
    assert hash_tree(tree) == before
    CHANGES[change](tree)
    assert hash_tree(tree) != before


@pytest.mark.parametrize("leftover", ["file~", ".file.swp", "module.pyc"])
def test_leftovers_do_not_count(tree: Path, leftover: str) -> None:
    before = hash_tree(tree)
    (tree / leftover).touch()
    assert hash_tree(tree) == before


def test_a_file_that_moves_between_roots_counts(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    before = hash_tree(other, tree)
    for path in tree.iterdir():
        path.rename(other / path.name)
    assert hash_tree(other, tree) != before
