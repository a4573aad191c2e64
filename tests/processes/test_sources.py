# SPDX-License-Identifier: GPL-2.0-only
"""A private apt, with an apt of shell: what is retried, what is refused, and what is never touched."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.kernel import source
from ccslab.kernel.source import Source
from ccslab.sources import apt, mirrors, releases
from ccslab.sources.apt import Package, PrivateApt
from ccslab.store import Store, hash_file

Put = Callable[[str, str], Path]
CONTENT = b"the package\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 3\n"
SHOW = f"""
echo "Package: thing"; echo "Version: 1.2"; echo "Description: a: b"; echo " more: text"
echo "SHA256: {SHA256}"
"""
INCONSISTENT = (
    "echo 'E: Failed to fetch http://mirror.invalid/x  File has unexpected size (5 != 6). "
    "Mirror sync in progress? [IP: 192.0.2.1 80]'; exit 100"
)

# apt 2.6 in a network namespace without a network.
DOWN = (
    r"Err:1 http://mirror.invalid/debian bookworm InRelease\n  Temporary failure resolving mirror.invalid\n"
    r"Reading package lists...\n"
    r"E: Failed to fetch http://mirror.invalid/InRelease  Temporary failure resolving mirror.invalid\n"
    r"E: Some index files failed to download. They have been ignored, or old ones used instead.\n"
)


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivateApt:
    monkeypatch.setattr(mirrors, "url", lambda suite: "http://mirror.invalid/debian")
    monkeypatch.setattr(apt, "PAUSE_S", 0.01)
    monkeypatch.setattr(mirrors, "KEYRING", tmp_path / "keyring.gpg")
    (tmp_path / "keyring.gpg").touch()
    return PrivateApt(tmp_path / "apt", "bookworm-security")


def counted(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().splitlines())


def test_an_inconsistent_index_is_tried_again(tmp_path: Path, private: PrivateApt, bin_folder: Put) -> None:
    calls = tmp_path / "calls"
    bin_folder("apt-get", f"echo $* >>{calls}; [ $(wc -l <{calls}) -ge 3 ] && exit 0; {INCONSISTENT}")
    private.update()
    assert calls.read_text() == "update\n" * 3


def test_an_index_that_stays_inconsistent_is_one_line(
    tmp_path: Path, private: PrivateApt, bin_folder: Put
) -> None:
    bin_folder("apt-get", f"echo $* >>{tmp_path}/calls; {INCONSISTENT}")
    with pytest.raises(InfrastructureError) as caught:
        private.update()
    assert counted(tmp_path) == 3
    line = str(caught.value)
    assert line.startswith("cannot read the index of bookworm-security (3 tries): ")
    assert "unexpected size" in line
    assert line.endswith("- look at the network and the host's apt sources, then try again")


def test_a_wrong_signature_is_not_tried_again(tmp_path: Path, private: PrivateApt, bin_folder: Put) -> None:
    bin_folder("apt-get", f"echo $* >>{tmp_path}/calls; echo 'E: The repository is not signed.'; exit 100")
    with pytest.raises(InfrastructureError, match=r"\(1 tries\): .*is not signed"):
        private.update()
    assert counted(tmp_path) == 1


def test_without_keys_nothing_is_asked(tmp_path: Path, private: PrivateApt, bin_folder: Put) -> None:
    bin_folder("apt-get", f"echo $* >>{tmp_path}/calls")
    mirrors.KEYRING.unlink()
    with pytest.raises(InfrastructureError, match=r"Debian's keys are missing - name them in lab\.keyring"):
        private.update()
    assert not (tmp_path / "calls").exists()


def test_apt_writes_only_below_its_own_folder(tmp_path: Path, private: PrivateApt, bin_folder: Put) -> None:
    """What the real apt understands of the configuration we write."""
    bin_folder("apt-get", "exit 0")
    private.update()
    said = subprocess.run(
        ["/usr/bin/apt-config", "dump"],
        env={**os.environ, "APT_CONFIG": str(private.config)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    settings = dict(line.rstrip(";").split(" ", 1) for line in said.splitlines() if " " in line)
    for name in (
        "Dir::State",
        "Dir::State::lists",
        "Dir::State::status",
        "Dir::Cache",
        "Dir::Etc::sourcelist",
    ):
        assert settings[name].strip('"').startswith(str(private.folder)), name
    sources = (private.folder / "debian.sources").read_text()
    assert f"Signed-By: {mirrors.KEYRING}\n" in sources
    assert "Suites: bookworm-security\n" in sources


def test_the_newest_version_is_what_the_index_says(private: PrivateApt, bin_folder: Put) -> None:
    bin_folder("apt-cache", SHOW)
    assert private.newest("thing") == Package("thing", "1.2", SHA256)


@pytest.mark.parametrize(
    "body", ["echo 'E: No packages found'; exit 100", "echo 'N: it is purely virtual'", "exit 0"]
)
def test_a_package_the_suite_does_not_have(private: PrivateApt, bin_folder: Put, body: str) -> None:
    bin_folder("apt-cache", body)
    with pytest.raises(UserError, match=r"^bookworm-security has no package thing - look at kernel-patches"):
        private.newest("thing")


def test_a_missing_apt_is_not_taken_for_a_missing_package(
    private: PrivateApt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def need(program: str, package: str) -> str:
        raise InfrastructureError(f"{program} is not installed")

    monkeypatch.setattr(apt, "need", need)
    with pytest.raises(InfrastructureError, match="apt-cache is not installed"):
        private.newest("thing")


@pytest.mark.parametrize("over", [True, False])
def test_only_where_support_has_ended_an_old_index_counts(
    private: PrivateApt, bin_folder: Put, monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    monkeypatch.setattr(releases, "ended", lambda suite: date(2020, 1, 1) if over else None)
    bin_folder("apt-get", "exit 0")
    private.update()
    said = (private.folder / "debian.sources").read_text()
    assert ("Check-Valid-Until: no\n" in said) == over
    assert "Signed-By: " in said


@pytest.mark.parametrize(
    ("said", "over", "mend"),
    [
        (
            "E: Release file for http://x/InRelease is expired (invalid since 21d)",
            False,
            "not kept up to date",
        ),
        ("E: Failed to fetch http://x/y.deb  404  Not Found", True, "lab.mirror bookworm-security=URL"),
        ("E: Failed to fetch http://x/y.deb  404  Not Found", False, "the mirror does not have it"),
        ("E: Temporary failure resolving", False, "look at the network"),
    ],
)
def test_the_mend_fits_what_is_wrong(
    private: PrivateApt, bin_folder: Put, monkeypatch: pytest.MonkeyPatch, said: str, over: bool, mend: str
) -> None:
    monkeypatch.setattr(releases, "ended", lambda suite: date(2020, 1, 1) if over else None)
    bin_folder("apt-get", f"echo '{said}'; exit 100")
    asked = (
        private.update,
        private.look,
        lambda: private.download(Package("thing", "1.2", SHA256), Path("/")),
    )
    for ask in asked:
        with pytest.raises(InfrastructureError, match=mend):
            ask()


def download(private: PrivateApt, bin_folder: Put, tmp_path: Path, body: str) -> Path:
    folder = tmp_path / "debs"
    folder.mkdir()
    bin_folder("apt-get", body)
    return private.download(Package("thing", "1.2", SHA256), folder)


def test_a_download_whose_hash_is_right(private: PrivateApt, bin_folder: Put, tmp_path: Path) -> None:
    path = download(
        private, bin_folder, tmp_path, f'[ "$2" = thing=1.2 ] && printf "{CONTENT.decode()}" >thing.deb'
    )
    assert (path.name, hash_file(path)) == ("thing.deb", SHA256)


def test_a_download_whose_hash_is_wrong(private: PrivateApt, bin_folder: Put, tmp_path: Path) -> None:
    with pytest.raises(
        InfrastructureError, match=rf"^thing.deb: hash mismatch: \w+, the index says {SHA256} - "
    ):
        download(private, bin_folder, tmp_path, "echo something else >thing.deb")


@pytest.mark.parametrize("body", ["exit 0", "touch a.deb b.deb"])
def test_a_download_that_brings_another_number_of_files(
    private: PrivateApt, bin_folder: Put, tmp_path: Path, body: str
) -> None:
    with pytest.raises(InfrastructureError, match=r"apt brought [02] files for thing"):
        download(private, bin_folder, tmp_path, body)


# --- a kernel's tree from a real package --------------------------------------------------------------


@pytest.fixture
def mirror(tmp_path: Path, private: PrivateApt, bin_folder: Put) -> Path:
    """An apt that has one real .deb with a tiny tree; ``down`` in its folder makes the network fail."""
    folder = tmp_path / "mirror"
    (folder / "deb/DEBIAN").mkdir(parents=True)
    (folder / "deb/usr/src").mkdir(parents=True)
    (folder / "deb/DEBIAN/control").write_text(
        "Package: linux-source-tiny\nVersion: 1.2\nArchitecture: all\n"
        "Maintainer: me <me@host.invalid>\nDescription: x\n"
    )
    (folder / "linux-source-tiny").mkdir()
    (folder / "linux-source-tiny/Makefile").write_text(MAKEFILE)
    archive = folder / "deb/usr/src/linux-source-tiny.tar.xz"
    subprocess.run(["tar", "-cJf", archive, "-C", folder, "linux-source-tiny"], check=True)
    deb = folder / "thing.deb"
    subprocess.run(["dpkg-deb", "-b", folder / "deb", deb], check=True, capture_output=True)
    bin_folder("apt-cache", SHOW.replace(SHA256, hash_file(deb)))
    bin_folder(
        "apt-get",
        f"""
        echo $1 >>{folder}/calls
        [ ! -e {folder}/down ] || {{ printf '{DOWN}'; exit 100; }}
        [ $1 != download ] || cp {deb} .
        """,
    )
    return folder


def test_a_tree_is_fetched_once(store: Store, mirror: Path) -> None:
    one = Source("linux-source-tiny", "bookworm-security")
    tree = source.fetch(one, store)
    assert (tree.folder / "Makefile").read_text() == MAKEFILE
    assert (tree.label, tree.version, sorted(path.name for path in tree.folder.parent.iterdir())) == (
        "linux-source-tiny 1.2",
        "6.12.3",
        ["inputs.json", "record.json", "tree"],
    )
    (mirror / "down").touch()
    assert source.fetch(one, store) == tree  # needs no network
    assert (mirror / "calls").read_text().split() == ["update", "download"]


def test_without_a_network_the_first_time_is_one_line(store: Store, mirror: Path) -> None:
    (mirror / "down").touch()
    with pytest.raises(
        InfrastructureError, match=r"^cannot read the index of bookworm-security .*Temporary failure"
    ):
        source.fetch(Source("linux-source-tiny", "bookworm-security"), store)
    assert not list(store.root.glob("tree/*"))


def test_update_asks_the_mirror_again(store: Store, mirror: Path) -> None:
    one = Source("linux-source-tiny", "bookworm-security")
    source.fetch(one, store)
    source.fetch(one, store, update=True)
    assert (mirror / "calls").read_text().split() == ["update", "download", "update"]


@pytest.mark.parametrize("pin", ["", "{", "5", '{"name": "x"}', json.dumps({"name": "a", "extra": 1})])
def test_a_damaged_pin_is_made_anew(store: Store, mirror: Path, pin: str) -> None:
    one = Source("linux-source-tiny", "bookworm-security")
    tree = source.fetch(one, store)
    (store.root / "pins/linux-source-tiny.json").write_text(pin)
    assert source.fetch(one, store) == tree


def test_a_package_without_a_tree_publishes_nothing(store: Store, mirror: Path, bin_folder: Put) -> None:
    bin_folder("tar", "echo 'tar: Unexpected EOF in archive'; exit 2")
    with pytest.raises(InfrastructureError, match=r"tar subprocess returned error exit status 2"):
        source.fetch(Source("linux-source-tiny", "bookworm-security"), store)
    assert not list(store.root.glob("tree/*"))


def test_the_host_knows_its_mirrors() -> None:
    assert "://" in mirrors.url("bookworm")
