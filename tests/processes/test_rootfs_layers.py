# SPDX-License-Identifier: GPL-2.0-only
"""The two layers of an image: what is part of which key, and how the slow one meets the world."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.rootfs import base, build, enclosure, image
from ccslab.rootfs.recipe import Recipe, load_recipe
from ccslab.sources import mirrors
from ccslab.store import Store, disk, key_of

ROOT = Path(__file__).parents[2]
PACKAGES = "apache2 2.4.65-1\nnkf 1:2.1.5-1\n"


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("webserver", ROOT)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def mmdebstrap(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """mmdebstrap replaced at the enclosure's door: notes its arguments and leaves what it would leave."""
    calls: list[list[str]] = []

    def run(script: Path, arguments: list[str], *, env: dict[str, str], **rest: Any) -> tuple[int, str]:
        calls.append(list(arguments))
        assert Path(env["TREE"]).is_dir()
        rest["log"].write_text("I: running\n")
        if any("broken.invalid" in argument for argument in arguments):
            uri = next(word for word in arguments[-1].split() if "://" in word)
            suite = arguments[-1].split()[3]
            return 1, f"E: Failed to fetch {uri}/dists/{suite}/InRelease  Hash Sum mismatch"
        target = next(Path(argument) for argument in arguments if argument.endswith(base.TARBALL))
        target.write_text(f"tarball {len(calls)}")
        Path(env["PACKAGES"]).write_text(PACKAGES)
        return 0, "I: success"

    monkeypatch.setattr(enclosure, "run", run)
    monkeypatch.setattr("ccslab.rootfs.suites.PAUSES_S", (0.0, 0.0))
    return calls


def url(suite: str) -> str:
    return "http://m.invalid/debian"


def broken_security(suite: str) -> str:
    return "http://broken.invalid/debian-security" if "security" in suite else "http://m.invalid/debian"


def test_a_base_is_built_once_and_found_without_a_network(
    recipe: Recipe, store: Store, mmdebstrap: list[list[str]]
) -> None:
    def no_network(suite: str) -> str:
        raise AssertionError("the mirrors were asked")

    first = base.build(recipe, "x86_64", store, urls=url)
    assert base.build(recipe, "x86_64", store, urls=no_network) == first
    assert len(mmdebstrap) == 1
    manifest = json.loads((first / base.MANIFEST).read_text())
    assert manifest["packages"] == {"apache2": "2.4.65-1", "nkf": "1:2.1.5-1"}
    assert manifest["suites"] == ["bookworm", "bookworm-updates", "bookworm-security"]


def test_half_copied_packages_are_removed(recipe: Recipe, store: Store, mmdebstrap: list[list[str]]) -> None:
    kept = store.work("debs", "amd64")
    for name in ("nkf_2.1.5-1_amd64.deb", "apache2_2.4.65-1_amd64.deb.part17"):
        (kept / name).touch()
    base.build(recipe, "x86_64", store, urls=url)
    assert [path.name for path in kept.iterdir()] == ["nkf_2.1.5-1_amd64.deb"]


def test_an_update_asks_again_and_is_what_is_found_from_then_on(
    recipe: Recipe, store: Store, mmdebstrap: list[list[str]]
) -> None:
    first = base.build(recipe, "x86_64", store, urls=url)
    second = base.build(recipe, "x86_64", store, urls=url, update=True)
    assert second != first
    assert base.build(recipe, "x86_64", store, urls=url) == second
    assert len(mmdebstrap) == 2


def test_an_update_that_fails_leaves_the_present_base_in_use(
    recipe: Recipe, store: Store, mmdebstrap: list[list[str]]
) -> None:
    first = base.build(recipe, "x86_64", store, urls=url)
    with pytest.raises(InfrastructureError, match="does not deliver"):
        base.build(recipe, "x86_64", store, urls=lambda suite: "http://broken.invalid", update=True)
    assert base.build(recipe, "x86_64", store, urls=url) == first
    assert [path.name for path in (store.root / base.KIND).iterdir()] == [first.name]


def test_an_update_that_was_killed_is_taken_up_where_its_remains_are(
    recipe: Recipe, store: Store, mmdebstrap: list[list[str]]
) -> None:
    first = base.build(recipe, "x86_64", store, urls=url)
    coming = {**base.inputs(recipe, "x86_64", store), "renewed": 1}
    remains = store.path(base.KIND, coming).with_suffix(".part")
    remains.mkdir()
    (remains / base.TARBALL).write_text("half")
    base.build(recipe, "x86_64", store, urls=url, update=True)
    assert sorted(path.name for path in first.parent.iterdir()) == sorted([first.name, remains.stem])


def test_the_manifest_tells_the_suite_that_was_left_out(
    recipe: Recipe, store: Store, mmdebstrap: list[list[str]]
) -> None:
    warnings: list[str] = []
    made = base.build(recipe, "x86_64", store, urls=broken_security, warn=warnings.append)
    manifest = json.loads((made / base.MANIFEST).read_text())
    assert manifest["suites"] == ["bookworm", "bookworm-updates"]
    assert manifest["suites_left_out"] == {"bookworm-security": "bookworm-security: Hash Sum mismatch"}
    assert manifest["tries"] == 4
    assert "bookworm-security is left out after 3 tries" in warnings[-1]


def test_every_source_names_its_keyring(recipe: Recipe, store: Store, mmdebstrap: list[list[str]]) -> None:
    base.build(recipe, "i386", store, urls=url)
    sources = [argument for argument in mmdebstrap[0] if argument.startswith("deb ")]
    assert len(sources) == 3
    assert all(f"[signed-by={mirrors.KEYRING}]" in source for source in sources)
    assert "--architectures=i386" in mmdebstrap[0]


CHANGES: list[Callable[[Recipe], Recipe]] = [
    lambda recipe: dataclasses.replace(recipe, packages=(*recipe.packages, "less")),
    lambda recipe: dataclasses.replace(recipe, optional_suites=()),
    lambda recipe: dataclasses.replace(recipe, preseed=()),
    lambda recipe: dataclasses.replace(recipe, exclude_paths=()),
    lambda recipe: dataclasses.replace(recipe, source_date_epoch=1),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_packages_changes_the_bases_key(
    change: Callable[[Recipe], Recipe], recipe: Recipe, store: Store
) -> None:
    key = key_of(base.inputs(recipe, "x86_64", store))
    assert key_of(base.inputs(change(recipe), "x86_64", store)) != key
    assert key_of(base.inputs(recipe, "i386", store)) != key


def test_content_is_not_part_of_the_bases_key(recipe: Recipe, store: Store) -> None:
    other = dataclasses.replace(recipe, overlays=(), hooks=(), programs={}, size_mib=99, root_password="x")
    assert base.inputs(other, "x86_64", store) == base.inputs(recipe, "x86_64", store)


def test_content_is_part_of_the_images_key(recipe: Recipe, tmp_path: Path) -> None:
    made, overlay, hook = tmp_path / "made", tmp_path / "overlay", tmp_path / "hook.sh"
    made.mkdir()
    overlay.mkdir()
    (made / base.MANIFEST).write_text('{"base_sha256": "1"}')
    page = overlay / "page.html"
    page.write_text("old")
    hook.write_text("true")
    content = image.Content(programs={}, overlays=[overlay], hooks=[hook])

    def key() -> str:
        return key_of(image.inputs(recipe, "x86_64", made, content, ROOT))

    keys = [key()]
    page.write_text("new")
    keys.append(key())
    page.chmod(0o755)
    keys.append(key())
    hook.write_text("false")
    keys.append(key())
    (made / base.MANIFEST).write_text('{"base_sha256": "2"}')
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_an_unknown_architecture_is_the_users_error(recipe: Recipe, store: Store) -> None:
    with pytest.raises(UserError, match="unknown architecture 'amd64' - there are: x86_64, i386"):
        build.build(recipe, arch="amd64", store=store, root=ROOT)


def test_a_program_nobody_builds_is_named_with_its_line(recipe: Recipe, store: Store) -> None:
    odd = dataclasses.replace(recipe, programs={"mediactl": "/sbin/a", "nonesuch": "/sbin/b"})
    with pytest.raises(
        UserError, match=r"webserver\.toml:\d+: content: programs: nonesuch: rootfs/src has no source"
    ):
        image.compile_programs(odd, "x86_64", store, ROOT)


def test_a_user_without_subordinate_ids_is_told_the_command(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("somebody:100000:65536\nshort:200000:10\n")
    for user in ("nobody-here", "short"):
        with pytest.raises(InfrastructureError, match=f"usermod --add-subuids 100000-165535 {user}"):
            enclosure.need_subids(file, user)
    enclosure.need_subids(file, "somebody")


def test_an_image_that_is_too_small_is_told_so(recipe: Recipe, tmp_path: Path) -> None:
    said = (
        "image: making the file system\nmke2fs: Could not allocate block in ext2 filesystem while populating"
    )
    error = image.failure(said, recipe, tmp_path / "log")
    assert "does not fit into 1024 MiB" in str(error)
    assert "image.size_mib" in error.mend


def test_a_full_host_disk_is_not_an_image_that_is_too_small(
    recipe: Recipe, store: Store, mmdebstrap: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "image: making the file system\nmke2fs: No space left on device while populating"
    made = base.build(recipe, "x86_64", store, urls=url)
    monkeypatch.setattr(image.enclosure, "run", lambda *given, **named: (1, said))
    monkeypatch.setattr(disk, "free", lambda path: 5000 if path.name.endswith(".part") else 1 << 40)
    content = image.Content(programs={}, overlays=[], hooks=[])
    with pytest.raises(InfrastructureError, match=r"disk full: 4.9 KiB free at .*CCSLAB_CACHE=DIR") as caught:
        image.build(recipe, "x86_64", store, made=made, content=content, wanted={"image": 1})
    assert "does not fit" not in str(caught.value)


def test_space_for_an_image_is_looked_for_first(
    recipe: Recipe, store: Store, mmdebstrap: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = base.build(recipe, "x86_64", store, urls=url)
    with (made / base.TARBALL).open("ab") as tarball:
        tarball.truncate(500 << 20)
    monkeypatch.setattr(disk, "free", lambda path: 100 << 20)
    with pytest.raises(
        InfrastructureError, match=r"not enough space: 100.0 MiB free, making rootfs needs 500.0 MiB"
    ):
        image.build(
            recipe, "x86_64", store, made=made, content=image.Content({}, [], []), wanted={"image": 1}
        )


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("unshare: cannot change root filesystem propagation: Invalid argument", "/ is no mount point here"),
        ("unshare: unshare failed: Operation not permitted", "run as root, or allow user namespaces"),
        ("", "unshare said nothing"),
    ],
)
def test_an_enclosure_that_cannot_be_made_names_its_mend(
    bin_folder: Callable[[str, str], Path], said: str, mend: str
) -> None:
    """The first is what util-linux says in a chroot that is no mount point (seen on 2.41)."""
    bin_folder("unshare", f"echo '{said}' >&2; exit 1" if said else "exit 1")
    with pytest.raises(InfrastructureError, match=mend):
        enclosure.probe()
