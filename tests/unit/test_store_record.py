# SPDX-License-Identifier: GPL-2.0-only
"""An artifact that is not what was published is set aside and made again, whatever happened to it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab.store import Damaged, Store, cache, examine_used, hash_file, hash_used, record

INPUTS = {"version": 1}
WORDS = b"what was published"


def build(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below/file").write_bytes(WORDS)
    (folder / "link").symlink_to("below/file")


def never(folder: Path) -> None:
    raise AssertionError("built again")


def get(store: Store) -> Path:
    return store.get("programs", INPUTS, build)


def whole(folder: Path) -> bool:
    return (folder / "link").read_bytes() == WORDS and (folder / "link").is_symlink()


def aside(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / cache.DAMAGED).glob("*"))


def keep_time(path: Path, content: bytes) -> None:
    about = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def touch(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (1, 1))


SEEN_AT_USE: dict[str, tuple[Callable[[Path], object], str]] = {
    "emptied": (lambda folder: keep_time(folder / "below/file", b""), "below/file has 0 bytes instead of 18"),
    "cut": (lambda folder: keep_time(folder / "below/file", WORDS[:5]), "has 5 bytes instead of 18"),
    "longer": (lambda folder: keep_time(folder / "below/file", WORDS * 2), "has 36 bytes instead of 18"),
    "flipped": (lambda folder: touch(folder / "below/file", WORDS.upper()), "below/file has other bytes"),
    "removed": (lambda folder: (folder / "below/file").unlink(), "below/file is gone"),
    "folder removed": (lambda folder: shutil.rmtree(folder / "below"), "below/file is gone"),
    "a folder instead": (
        lambda folder: ((folder / "below/file").unlink(), (folder / "below/file").mkdir()),
        "below/file is no file",
    ),
    "another link": (
        lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("/etc/passwd")),
        "link is another link",
    ),
    "inputs emptied": (lambda folder: keep_time(folder / "inputs.json", b""), "inputs.json has 0 bytes"),
}


@pytest.mark.parametrize("damage", SEEN_AT_USE)
def test_damage_is_seen_at_the_next_use(
    store: Store, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = get(store)
    do, said = SEEN_AT_USE[damage]
    do(folder)
    assert not store.has("programs", INPUTS)
    assert get(store) == folder
    assert whole(folder)
    assert aside(store) == [f"programs-{folder.name}"]
    (line,) = capsys.readouterr().out.splitlines()
    assert f"programs {folder.name} is damaged: " in line
    assert said in line
    assert f"set aside in {store.root}/damaged/programs-{folder.name}, made again" in line


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"null", b'{"files": 3}', b"\xff\xfe"])
def test_without_a_record_that_can_be_read_it_is_made_again(store: Store, content: bytes | None) -> None:
    folder = get(store)
    (folder / record.RECORD).unlink()
    if content is not None:
        (folder / record.RECORD).write_bytes(content)
    assert get(store) == folder
    assert record.check(folder) == ""


@pytest.mark.parametrize("entry", [[], None, ["x", "y"], [18, 1, 3], {"a": 1}])
def test_a_record_with_a_wrong_entry_is_damage(store: Store, entry: object) -> None:
    folder = get(store)
    document = json.loads((folder / record.RECORD).read_text())
    document["files"]["below/file"] = entry
    (folder / record.RECORD).write_text(json.dumps(document))
    assert get(store) == folder
    assert record.verify(folder) == ""


def test_a_copied_cache_is_hashed_once_and_believed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = get(store)
    copy = Store(store.root.with_name("copy"))
    shutil.copytree(store.root, copy.root, symlinks=True, copy_function=shutil.copyfile)
    assert (copy.path("programs", INPUTS) / "below/file").stat().st_mtime_ns != (
        folder / "below/file"
    ).stat().st_mtime_ns
    assert copy.has("programs", INPUTS)
    monkeypatch.setattr(record, "hash_file", never)
    assert copy.get("programs", INPUTS, never)


def flip_unseen(folder: Path) -> None:
    keep_time(folder / "below/file", WORDS.swapcase())


def test_what_no_use_sees_is_seen_when_all_is_hashed(store: Store) -> None:
    folder = get(store)
    flip_unseen(folder)
    assert get(store) == folder  # same size, same time
    (told,) = examine_used()
    assert f"programs {folder.name} is damaged: below/file has other bytes" in told
    assert aside(store) == [f"programs-{folder.name}"]
    assert examine_used() == []
    assert whole(get(store))


def test_what_another_run_took_away_counts_as_damaged(store: Store) -> None:
    folder = get(store)
    flip_unseen(folder)
    shutil.rmtree(folder)
    Store(store.root)._build("programs", folder, INPUTS, build)
    (told,) = examine_used()
    assert "taken away by another run" in told


def test_the_hash_of_a_damaged_file_is_not_handed_on(store: Store, tmp_path: Path) -> None:
    folder = store.get("disk", INPUTS, lambda part: (part / "disk.img").write_bytes(WORDS) and None)
    assert hash_used(folder / "disk.img") == hash_file(folder / "disk.img")
    keep_time(folder / "disk.img", WORDS.swapcase())
    with pytest.raises(Damaged, match=r"disk.img: is damaged.*start the command again"):
        hash_used(folder / "disk.img")
    (tmp_path / "mine").write_text("x")
    assert hash_used(tmp_path / "mine") == hash_file(tmp_path / "mine")


@pytest.fixture
def big(store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An artifact of more files than a use looks at."""
    monkeypatch.setattr(record, "MANY", 5)

    def fill(folder: Path) -> None:
        for number in range(6):
            (folder / f"tree/{number}/below").mkdir(parents=True)
            (folder / f"tree/{number}/below/file").write_bytes(WORDS)
        (folder / "tree/Makefile").write_bytes(WORDS)

    return store.get("tree", INPUTS, fill)


def test_of_very_many_files_a_use_looks_at_those_near_the_top(store: Store, big: Path) -> None:
    names = json.loads((big / record.RECORD).read_text())["files"]
    assert set(names) == {"inputs.json", "tree/Makefile", record.ALL}
    (big / "tree/3/below/file").unlink()
    assert store.has("tree", INPUTS)
    with pytest.raises(Damaged, match=r"tree/3/below/file is gone"):
        store.examine_all(big)


@pytest.mark.parametrize("name", ["tree/Makefile", record.ALL])
def test_of_very_many_files_the_top_is_looked_at(store: Store, big: Path, name: str) -> None:
    (big / name).write_bytes(b"")
    assert not store.has("tree", INPUTS)


def test_of_very_many_files_all_are_hashed_when_something_failed(store: Store, big: Path) -> None:
    keep_time(big / "tree/4/below/file", WORDS.swapcase())
    store.examine_all(big)
    assert examine_used(also_many=False) == []
    (told,) = examine_used()
    assert "tree/4/below/file has other bytes" in told


def test_damaged_ones_are_kept_apart(store: Store) -> None:
    for _ in range(3):
        (get(store) / "below/file").unlink()
    folder = get(store)
    assert len(aside(store)) == 3
    assert whole(folder)
