# SPDX-License-Identifier: GPL-2.0-only
"""Patchsets by their manifests: overlay, patches by version, fragment; ours and a stranger's archive."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.errors import UserError
from ccslab.kernel import catalog, command, patchset
from ccslab.kernel import tree as work
from ccslab.kernel.source import Tree
from ccslab.settings import Settings, read
from ccslab.store import Store, hash_file

ROOT = Path(__file__).resolve().parents[2]
HEAD = 'name = "mine"\nloader = "/sbin/my-init"\ninterface = "/proc/mine"\n'


def edit(name: str, old: str, new: str) -> str:
    return f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{old}\n+{new}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A patchset laid out as overlay folders, one diff per kernel version, and a config fragment."""
    folder = tmp_path / "mine"
    (folder / "overlay/security/mine").mkdir(parents=True)
    (folder / "overlay/security/mine/mine.c").write_text("mine\n")
    (folder / "overlay/security/mine/gen.sh").write_text("#!/bin/sh\n")
    (folder / "overlay/security/mine/gen.sh").chmod(0o755)
    (folder / "patches").mkdir()
    (folder / "patches/mine-6.12.diff").write_text(edit("fs/open.c", "open", "open 6.12"))
    (folder / "patches/mine-6.12.7.diff").write_text(edit("fs/open.c", "open", "open 6.12.7"))
    (folder / "patches/second.diff").write_text(edit("security/mine/mine.c", "mine", "mine patched"))
    (folder / "config.mine").write_text("CONFIG_SECURITY_MINE=y\n")
    (folder / "patchset.toml").write_text(
        HEAD
        + """
        fragment = "config.mine"
        loader_parameter = "MINE_loader"
        [overlay]
        "overlay" = "."
        [patches]
        "6.12" = "patches/mine-6.12.diff"
        "6.12.7" = ["patches/mine-6.12.7.diff", "patches/second.diff"]
        """
    )
    return folder


@pytest.fixture
def pristine(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "fs").mkdir(parents=True)
    (tree / "fs/open.c").write_text("open\n")
    return tree


def applied(found: patchset.Patchset, version: str, pristine: Path, target: Path) -> dict[str, str]:
    work.follow(found.series(version), Tree("tiny", version, {}, "tiny", pristine), target)
    return {
        path.relative_to(target).as_posix(): path.read_text()
        for path in sorted(target.rglob("*"))
        if path.is_file() and path.name != work.STATE
    }


def test_overlay_patches_and_fragment_of_a_folder(
    tmp_path: Path, folder: Path, pristine: Path, store: Store
) -> None:
    found = patchset.find(str(folder), ROOT, store)
    assert found.fragment == folder / "config.mine"
    assert found.identity() == {
        "name": "mine",
        "loader": "/sbin/my-init",
        "loader_parameter": "MINE_loader",
        "interface": "/proc/mine",
    }
    target = tmp_path / "work/tree"
    overlay = {"security/mine/gen.sh": "#!/bin/sh\n", "security/mine/mine.c": "mine\n"}
    assert applied(found, "6.12.9", pristine, target) == {"fs/open.c": "open 6.12\n", **overlay}
    assert (target / "security/mine/gen.sh").stat().st_mode & 0o111
    patched = {**overlay, "security/mine/mine.c": "mine patched\n"}
    assert applied(found, "6.12.7", pristine, target) == {"fs/open.c": "open 6.12.7\n", **patched}
    assert work.follow(
        patchset.find("none", ROOT, store).series("6.12.7"),
        Tree("tiny", "6.12.7", {}, "tiny", pristine),
        target,
    ) == ["fs/open.c", "security/mine/gen.sh", "security/mine/mine.c"]
    assert not (target / "security/mine/mine.c").exists()


def test_every_part_of_it_is_in_the_key(folder: Path, store: Store) -> None:
    def identity() -> str:
        return json.dumps(patchset.find(str(folder), ROOT, store).series("6.12.7").identity())

    seen = [identity()]
    (folder / "overlay/security/mine/mine.c").write_text("other\n")
    seen.append(identity())
    (folder / "overlay/security/mine/mine.c").chmod(0o755)
    seen.append(identity())
    (folder / "overlay/security/mine/new.c").write_text("new\n")
    seen.append(identity())
    (folder / "patches/second.diff").write_text(edit("security/mine/mine.c", "mine", "again"))
    seen.append(identity())
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("top", ["", "mine-1.0/"])
def test_an_archive_that_has_its_manifest(
    tmp_path: Path, folder: Path, pristine: Path, store: Store, top: str
) -> None:
    path = tmp_path / "mine.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for inner in sorted(folder.iterdir()):
            tar.add(inner, f"{top}{inner.name}")
    shutil.rmtree(folder)
    found = patchset.find(str(path), ROOT, store)
    assert applied(found, "6.12.7", pristine, tmp_path / "work/tree")["fs/open.c"] == "open 6.12.7\n"


def test_an_archive_that_its_users_manifest_describes(
    tmp_path: Path, folder: Path, pristine: Path, store: Store
) -> None:
    """A stranger's archive: no manifest in it, several folders at its top, one of them the overlay."""
    path = tmp_path / "theirs.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        tar.add(folder / "overlay/security", "security")
        tar.add(folder / "patches", "patches")
        tar.add(folder / "config.mine", "config.mine")
    manifest = tmp_path / "theirs.toml"
    manifest.write_text(
        f"""
        name = "theirs"
        loader = "/sbin/their-init"
        interface = "/proc/theirs"
        archive = "theirs.tar.xz"
        sha256 = "{hash_file(path)}"
        fragment = "config.mine"
        [overlay]
        security = "security"
        [patches]
        "6.12" = "patches/mine-6.12.diff"
        """
    )
    found = patchset.find(str(manifest), ROOT, store)
    content = applied(found, "6.12.7", pristine, tmp_path / "work/tree")
    assert content["fs/open.c"] == "open 6.12\n"
    assert content["security/mine/mine.c"] == "mine\n"
    assert found.fragment
    assert found.fragment.read_text() == "CONFIG_SECURITY_MINE=y\n"
    manifest.write_text(manifest.read_text().replace(hash_file(path), "0" * 64))
    with pytest.raises(UserError, match=r"theirs.tar.xz: its SHA-256 is \w+, not 0{64}"):
        patchset.find(str(manifest), ROOT, store)


def test_an_archive_that_escapes_is_refused(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../evil"))
    with pytest.raises(UserError, match=r"evil.tar.gz: '../evil' leads outside the archive's folder"):
        patchset.find(str(path), ROOT, store)
    assert not list(store.root.glob("patchset/*"))
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[", "patchset.toml: is malformed"),
        ('name = "x"\n', "lacks the key 'loader'"),
        (HEAD + 'laoder = "x"\n', "unknown key 'laoder' - did you mean loader"),
        (HEAD.replace('"mine"', '"my set"'), "name: must be a word"),
        (HEAD.replace('"/proc/mine"', '"proc/mine"'), "interface: must be a path from /"),
        (HEAD.replace('"/sbin/my-init"', "5"), "loader: must be a path from /"),
        (HEAD + 'fragment = "nosuch"\n', "fragment: names nosuch, and there is no such file"),
        (HEAD + 'fragment = "../outside"\n', "fragment: must be a path inside the folder"),
        (HEAD + 'fragment = "away"\n', "fragment: names away, a link that leads outside"),
        (HEAD + 'archive = "nosuch.tar"\n', "archive: names nosuch.tar, and there is no such file"),
        (HEAD + '[overlay]\nnosuch = "."\n', "overlay: names nosuch, and there is no such folder"),
        (HEAD + '[overlay]\noverlay = "../.."\n', "overlay: must be a path inside the folder"),
        (HEAD + "overlay = 5\n", "overlay: must be a table"),
        (HEAD + '[patches]\n"6.12" = "nosuch.diff"\n', "patches: 6.12: names nosuch.diff"),
        (HEAD + '[patches]\n"6.12" = ["/etc/passwd"]\n', "patches: 6.12 1: must be a path inside the folder"),
        (
            HEAD + '[patches]\n"6.12" = 5\n',
            "patches: 6.12: must be a path inside the folder, not 5; or a list",
        ),
        (HEAD + '[patches]\n"six" = "config.mine"\n', "patches: the key must be a kernel version"),
        (HEAD + "patches = 5\n", "patches: must be a table"),
    ],
)
def test_a_manifest_that_is_wrong_is_one_line(folder: Path, store: Store, text: str, said: str) -> None:
    (folder.parent / "outside").touch()
    (folder / "away").symlink_to("../outside")
    (folder / "patchset.toml").write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        patchset.find(str(folder), ROOT, store)
    assert "patchset.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_patchset(tmp_path: Path, folder: Path, store: Store) -> None:
    with pytest.raises(UserError, match="unknown patchset 'css' - did you mean ccs"):
        patchset.find("css", ROOT, store)
    with pytest.raises(UserError, match="no/such: there is no such patchset"):
        patchset.find("no/such", ROOT, store)
    with pytest.raises(UserError, match=r"has no patchset.toml - docs/patchsets.md shows"):
        patchset.find(str(tmp_path), ROOT, store)
    with pytest.raises(UserError, match=r"nosuch.tar.gz: there is no such file"):
        patchset.find(f"{tmp_path}/nosuch.tar.gz", ROOT, store)
    (folder / "overlay/link").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match=r"overlay/link: an overlay holds files only"):
        patchset.find(str(folder), ROOT, store).series("6.12.7")


@pytest.mark.parametrize(
    ("version", "fits"),
    [("6.12.7", True), ("6.1.12", False), ("6.120.1", False), ("5.12.7", False)],
)
def test_the_version_chooses_and_a_wrong_one_is_said(
    folder: Path, store: Store, version: str, fits: bool
) -> None:
    found = patchset.find(str(folder), ROOT, store)
    if fits:
        assert [one.name for one in found.series(version).patches] == ["mine-6.12.7.diff", "second.diff"]
        return
    with pytest.raises(
        UserError, match=rf"patchset mine has no patches for {version} - it has: 6.12, 6.12.7; kernel.port"
    ):
        found.series(version)


TEXTS = st.one_of(
    st.text(max_size=8), st.integers(), st.booleans(), st.lists(st.text(max_size=4), max_size=2)
)


@given(
    entry=st.dictionaries(
        st.sampled_from(["name", "loader", "interface", "fragment", "archive", "sha256", "x"]), TEXTS
    )
)
def test_any_manifest_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, entry: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
    (folder / "patchset.toml").write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    try:
        found = patchset.load(folder / "patchset.toml", Store(folder / "cache"))
    except UserError:
        return
    assert found.name == entry["name"]


# --- which kernel a user means --------------------------------------------------------------------------


def settings(tmp_path: Path, **given: object) -> Settings:
    return read({"cache": str(tmp_path / "cache")}, **given)


def makefile(folder: Path, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    numbers = zip(("VERSION", "PATCHLEVEL", "SUBLEVEL"), version.split("."), strict=True)
    (folder / "Makefile").write_text("".join(f"{name} = {number}\n" for name, number in numbers))
    return folder


def test_our_kernels_have_series_and_fragments(tmp_path: Path) -> None:
    for name in ("5.10", "6.1", "6.12", "7.2"):
        for kernel, patches in ((name, True), (f"stock-{name}", False)):
            for arch in ("x86_64", "i386"):
                choice = catalog.find(settings(tmp_path, kernel=kernel, arch=arch))
                spec = choice.spec(Tree("x", f"{name}.99", {}, "x", tmp_path))
                assert bool(spec.series.patches) == patches
                assert spec.name == kernel
                assert {"base.config", "tomoyo.config", f"{arch}.config"} <= {
                    path.name for path in spec.fragments
                }


def test_a_tree_of_the_users_gets_the_series_of_its_version(tmp_path: Path) -> None:
    mine = makefile(tmp_path / "linux-mine", "6.12.99")
    spec, tree = command.chosen(settings(tmp_path, tree=str(mine)))
    assert (spec.name, tree.version) == ("linux-mine", "6.12.99")
    assert spec.series.patches
    assert spec.local_version == "-ccs"
    spec, _ = command.chosen(settings(tmp_path, tree=str(mine), patchset="none", debug=True))
    assert (spec.name, spec.local_version) == ("stock-linux-mine-debug", "-stock-debug")


@pytest.mark.parametrize(
    ("version", "given", "said"),
    [
        ("6.3.1", {}, r"patchset ccs has no patches for 6.3.1 - it has: .*6\.12"),
        ("6.12.1", {"kernel": "6.1"}, r"linux: is 6.12.1, and 6.1 was asked for - leave out --kernel"),
        ("6.12.1", {"sha256": "0"}, r"linux: --sha256 is an archive's, and this is none"),
        ("6.12.1", {"fragment": ["no/such"]}, r"no/such: there is no such fragment"),
        ("6.12.1", {"arch": "i387"}, r"unknown architecture 'i387' - did you mean i386"),
        ("6.12.1", {"arch": "all"}, r"unknown architecture 'all'"),
    ],
)
def test_a_tree_that_does_not_fit(tmp_path: Path, version: str, given: dict[str, object], said: str) -> None:
    mine = makefile(tmp_path / "linux", version)
    with pytest.raises(UserError, match=said) as caught:
        command.chosen(settings(tmp_path, tree=str(mine), **given))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kernel": "6.21"}, r"unknown kernel '6.21' - did you mean .*6\.12"),
        ({"kernel": "stock-6.21"}, r"unknown kernel 'stock-6.21' - did you mean .*stock-6\.12"),
        ({"arch": "x86-64"}, r"unknown architecture 'x86-64' - did you mean x86_64"),
        ({"kernel": "stock-6.12", "patchset": "ccs"}, r"--patchset names ccs - say --kernel 6.12"),
        ({"tree": "no/such"}, r"no/such: there is no such folder, nor archive"),
        ({"tree": "no/such.tar.xz"}, r"an archive's hash is missing - say --sha256 HASH"),
        ({"sha256": "0"}, r"--sha256 is an archive's, and --tree names none"),
    ],
)
def test_a_wrong_wish_is_one_line(tmp_path: Path, given: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        catalog.find(settings(tmp_path, **given))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '["6.12"]\npackage = "pp"\nsuite = "s"\nsiute = "t"',
            r"kernels.toml:4: 6.12: unknown key 'siute' - did you mean suite",
        ),
        ("[[", r"kernels.toml: is malformed"),
        ('"6.12" = 5', r"kernels.toml:1: 6.12: must be a table, not 5"),
        ('["6.12"]\npackage = "pp"\nsuite = 5', r"kernels.toml:3: 6.12: suite: must be a suite name"),
    ],
)
def test_a_malformed_catalogue_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "kernel-patches").mkdir()
    (tmp_path / "kernel-patches/kernels.toml").write_text(text)
    with pytest.raises(UserError, match=said):
        catalog.sources(tmp_path, "6.12")


def test_all_is_every_kernel_with_our_patchset_on_both_architectures(tmp_path: Path) -> None:
    cells = catalog.expand(settings(tmp_path, kernel="all", arch="all"))
    assert [(cell.kernel, cell.arch) for cell in cells] == [
        (kernel, arch) for kernel in ("5.10", "6.1", "6.12", "7.2") for arch in ("x86_64", "i386")
    ]
    cells = catalog.expand(settings(tmp_path, kernel="6.12, stock-6.12,6.12"))
    assert [(cell.kernel, cell.arch) for cell in cells] == [("6.12", "x86_64"), ("stock-6.12", "x86_64")]
    assert [cell.arch for cell in catalog.expand(settings(tmp_path, tree="x", arch="all"))] == [
        "x86_64",
        "i386",
    ]
    for wrong, said in (("6.13", "unknown kernel '6.13'"), (",", "no kernel was named")):
        with pytest.raises(UserError, match=said):
            catalog.expand(settings(tmp_path, kernel=wrong))


def test_fragments_are_chosen_by_the_words_of_their_names(tmp_path: Path) -> None:
    for name in ("base", "tomoyo", "i386", "x86_64", "5.10", "6.12", "6.12-i386", "debug", "debug-i386"):
        (tmp_path / f"{name}.config").touch()

    def chosen(version: str, arch: str, debug: bool) -> str:
        return " ".join(path.stem for path in catalog.fragments(tmp_path, version, arch, debug))

    assert chosen("6.12.117", "x86_64", False) == "base tomoyo 6.12 x86_64"
    assert chosen("6.12.117", "i386", True) == "base tomoyo 6.12 i386 debug 6.12-i386 debug-i386"
    assert chosen("6.1.176", "x86_64", False) == "base tomoyo 5.10 x86_64", "the next older kernel's"
    assert chosen("4.19.1", "x86_64", False) == "base tomoyo 5.10 x86_64", "older than all: the oldest's"
    assert chosen("7.3.0", "i386", False) == "base tomoyo 6.12 i386 6.12-i386"


def test_settings_as_flags_give_the_same_settings() -> None:
    mine = Settings(
        arch="i386", kernel="", tree="t", sha256="0", patchset="p", fragment=("a", "b"), debug=True, jobs=3
    )
    flags = "--arch i386 --tree t --sha256 0 --patchset p --accel auto"
    assert " ".join(mine.flags()) == f"{flags} --fragment a --fragment b --jobs 3 --debug"
