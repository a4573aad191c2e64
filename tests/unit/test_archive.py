# SPDX-License-Identifier: GPL-2.0-only
"""Archives of strangers: whatever is in them, nothing outside the folder is written, linked or read."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.errors import UserError
from ccslab.sources import archive


def member(name: str, content: bytes = b"", **about: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in about.items():
        setattr(info, key, value)
    return info, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=kind, linkname=target)


def packed(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def unpack(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    folder = tmp_path / "out" / "folder"
    folder.mkdir(parents=True)
    return archive.unpack(packed(tmp_path / "a.tar.xz", *members), folder)


def test_what_is_in_it_comes_out(tmp_path: Path) -> None:
    top = unpack(
        tmp_path,
        member("linux", type=tarfile.DIRTYPE),
        member("linux/Makefile", b"all:\n"),
        member("linux/scripts/run", b"#!/bin/sh\n", mode=0o6755),
        link("linux/scripts/again", "../Makefile"),
        link("linux/hard", "linux/Makefile", tarfile.LNKTYPE),
    )
    assert top.name == "linux"
    assert (top / "Makefile").read_text() == (top / "scripts/again").read_text() == "all:\n"
    assert (top / "hard").read_text() == "all:\n"
    assert (top / "scripts/run").stat().st_mode & 0o7777 == 0o755, "no set-user-ID"


def test_several_things_at_the_top_stay_where_they_are(tmp_path: Path) -> None:
    assert sorted(path.name for path in unpack(tmp_path, member("a"), member("b/c")).iterdir()) == ["a", "b"]


def test_of_a_name_that_comes_twice_the_last_counts(tmp_path: Path) -> None:
    top = unpack(tmp_path, member("x", b"one"), link("y", "x"), member("y", b"two"), member("x", b"three"))
    assert ((top / "x").read_text(), (top / "y").read_text()) == ("three", "two")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("../evil", b"x")], "'../evil' leads outside the archive's folder"),
        ([member("a/../../evil", b"x")], "leads outside the archive's folder"),
        ([member("/tmp/evil", b"x")], "leads outside the archive's folder"),
        ([link("a", "/tmp"), member("a/evil", b"x")], "'a/evil' goes through a symbolic link"),
        ([link("a", ".."), member("a/evil", b"x")], "'a/evil' goes through a symbolic link"),
        ([link("a", "../../secret")], "'a' is a link that leads outside"),
        ([link("a", "/etc/passwd")], "'a' is a link that leads outside"),
        # Lexically inside, really outside: a link to "here" deep in the tree makes .. climb further.
        ([member("p/q/x"), link("p/q/here", "."), link("a", "p/q/here/../../..")], "leads outside"),
        ([link("a", "../secret", tarfile.LNKTYPE)], "'../secret' leads outside the archive's folder"),
        ([member("a"), member("a/b")], "'a/b' cannot be unpacked: (File exists|Not a directory)"),
        ([member("a/b"), member("a")], "'a' cannot be unpacked: "),
        ([member("a", type=tarfile.CHRTYPE)], "'a', which is no file, folder or link"),
        ([member("a", type=tarfile.FIFOTYPE)], "'a', which is no file, folder or link"),
        ([link("a", "b", tarfile.LNKTYPE)], "'a' is a link to 'b', which is no file"),
    ],
)
def test_what_leads_outside_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], said: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    before = set(tmp_path.iterdir())
    with pytest.raises(UserError, match=said) as caught:
        unpack(tmp_path, *members)
    assert "\n" not in str(caught.value)
    assert set(tmp_path.iterdir()) - before == {tmp_path / "a.tar.xz", tmp_path / "out"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["folder"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00junk", b"\xfd7zXZ\x00junk"])
def test_what_is_no_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"a.tar: is no tar archive, or a damaged one"):
        archive.unpack(tmp_path / "a.tar", tmp_path / "out")


def test_half_an_archive_is_one_line(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.tar.xz", member("a", os.urandom(100_000)))
    whole.write_bytes(whole.read_bytes()[:50_000])
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="damaged"):
        archive.unpack(whole, tmp_path / "out")


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBERS_MAX", 3)
    with pytest.raises(UserError, match="holds more than 3 members"):
        unpack(tmp_path, *(member(str(number)) for number in range(4)))


def test_the_hash_must_be_the_one_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"x")
    found = archive.verify(tmp_path / "a.tar", "")
    assert archive.verify(tmp_path / "a.tar", f" {found.upper()}") == found
    with pytest.raises(UserError, match=rf"a.tar: its SHA-256 is {found}, not 0000"):
        archive.verify(tmp_path / "a.tar", "0000")
    with pytest.raises(UserError, match="there is no such file"):
        archive.verify(tmp_path / "b.tar", "")


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), min_size=1, max_size=4).map("/".join)
MEMBERS = st.one_of(
    st.tuples(st.just(b"0"), NAMES, st.just("")),
    st.tuples(st.sampled_from([tarfile.SYMTYPE, tarfile.LNKTYPE]), NAMES, NAMES),
)


@given(members=st.lists(MEMBERS, max_size=6))
def test_whatever_is_in_it_nothing_outside_changes(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[bytes, str, str]]
) -> None:
    base = tmp_path_factory.mktemp("any")
    (base / "a").write_text("outside")
    folder = base / "b"
    folder.mkdir()
    tar = packed(
        base / "it.tar", *(member(name, type=kind, linkname=target) for kind, name, target in members)
    )
    try:
        archive.unpack(tar, folder)
    except UserError:
        pass
    else:
        for path in folder.rglob("*"):
            assert Path(os.path.realpath(path)).is_relative_to(folder.resolve())
    assert sorted(path.name for path in base.iterdir()) == ["a", "b", "it.tar"]
    assert (base / "a").read_text() == "outside"
