# SPDX-License-Identifier: GPL-2.0-only
"""Only what the store made is removed, and of that only what nobody uses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab.errors import UserError
from ccslab.runs import overview
from ccslab.settings import Settings
from ccslab.store import Store, artifacts, cache, cleaning
from ccslab.store.artifacts import use_of

Start = Callable[[str], subprocess.Popen[str]]
INPUTS = {"version": 1}


def build(folder: Path) -> None:
    (folder / "file").write_text("x")


def filled(store: Store) -> Store:
    """A store with an artifact, a work folder, compilers' results and a pin, which nobody uses."""
    artifact = store.get("programs", INPUTS, build)
    (store.work("apt", "bookworm") / "index").touch()
    (store.ccache() / "0").mkdir(parents=True)
    (store.root / "pins").mkdir()
    (store.root / "pins/linux.json").touch()
    for name in (use_of("programs", artifact.name), use_of("work", "apt-bookworm"), use_of("ccache", "")):
        store.locks.release(name)
    return store


def names(store: Store) -> list[str]:
    return sorted(path.relative_to(store.root).as_posix() for path in store.root.glob("*/*"))


# --- marks ----------------------------------------------------------------------------------------------


def test_a_new_cache_is_marked_for_backup_programs_and_for_us(store: Store) -> None:
    store.get("programs", INPUTS, build)
    assert (store.root / "CACHEDIR.TAG").read_text().startswith(cache.SIGNATURE)
    assert cache.is_ours(store.root)


@pytest.mark.parametrize("empty", [[], ["lost+found"]])
def test_an_empty_folder_becomes_a_cache(store: Store, empty: list[str]) -> None:
    for name in empty:
        (store.root / name).mkdir(parents=True)
    store.get("programs", INPUTS, build)
    assert cache.is_ours(store.root)


USES: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get("programs", INPUTS, build),
    "work": lambda store: store.work("apt", "x"),
    "lock": lambda store: store.lock("x").__enter__(),
    "ccache": lambda store: store.ccache(),
    "items": cleaning.items,
    "clean": lambda store: cleaning.clean(store, [cleaning.Item("tree", store.root / "thesis.tex", "")]),
}


@pytest.mark.parametrize("use", USES)
def test_a_folder_of_somebody_elses_is_refused(store: Store, use: str) -> None:
    store.root.mkdir()
    (store.root / "thesis.tex").write_text("ten years")
    with pytest.raises(UserError, match=rf"^{store.root}: .*no cache of ccs-lab - name an empty or new"):
        USES[use](store)
    assert [path.name for path in store.root.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "name", ["with space", "a:b", "a%b", "a#b", "a$b", "a'b", 'a"b', "a\\b", "a,b", "a=b"]
)
def test_a_path_in_which_make_cannot_build_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"make cannot build a kernel there - choose another"):
        Store(tmp_path / name).get("programs", INPUTS, build)
    assert not (tmp_path / name).exists()


def test_a_kind_that_nobody_would_clean_is_a_mistake(store: Store) -> None:
    with pytest.raises(AssertionError, match="KINDS"):
        store.get("novelty", INPUTS, build)


# --- cleaning -------------------------------------------------------------------------------------------


def test_all_that_the_store_made_goes(store: Store) -> None:
    filled(store)
    assert cleaning.clean(store, cleaning.items(store)) == []
    assert [name for name in names(store) if not name.startswith("locks/")] == ["work/apt"]
    assert cache.is_ours(store.root)
    assert store.get("programs", INPUTS, build).is_dir()


def test_what_is_foreign_stays_and_is_said(store: Store, tmp_path: Path) -> None:
    filled(store)
    treasure = tmp_path / "treasure"
    (treasure / ("a" * 20)).mkdir(parents=True)
    (store.root / "notes.txt").touch()
    (store.root / "programs/mine").mkdir()
    (store.root / "programs" / ("b" * 20)).symlink_to(treasure)
    (store.root / "kernel").symlink_to(treasure)
    (store.root / "work/letters").mkdir()
    wanted = ["kernel", "notes.txt", "programs/" + "b" * 20, "programs/mine", "work/letters"]
    foreign = [path.relative_to(store.root).as_posix() for path in cleaning.foreign(store)]
    assert sorted(foreign) == wanted
    assert cleaning.clean(store, cleaning.items(store)) == []
    assert all((store.root / name).exists() for name in wanted)
    assert (treasure / ("a" * 20)).is_dir()


def test_a_build_under_way_stays(store: Store) -> None:
    def clean_meanwhile(folder: Path) -> None:
        build(folder)
        assert [item.path for item in cleaning.clean(store, cleaning.items(store))] == [folder]

    assert (store.get("programs", INPUTS, clean_meanwhile) / "file").is_file()


def test_the_pins_of_what_is_used_stay(store: Store) -> None:
    filled(store)
    store.get("tree", INPUTS, build)
    assert sorted(item.kind for item in cleaning.clean(store, cleaning.items(store))) == ["pins", "tree"]


def test_what_killed_ones_left_and_what_is_damaged_is_swept(store: Store) -> None:
    filled(store)
    key = "c" * 20
    for name in (
        f"kernel/{key}.part",
        f"kernel/.{key}.removed",
        f"damaged/kernel-{key}",
        "work/apt/.x.removed",
    ):
        (store.root / name / "below").mkdir(parents=True)
    assert len(cleaning.sweep(store)) == 4
    assert store.has("programs", INPUTS)
    assert not list(store.root.glob("kernel/*")) + list(store.root.glob("damaged/*"))


def test_sizes_are_what_was_recorded(store: Store) -> None:
    folder = store.get("programs", INPUTS, build)
    (size,) = artifacts.artifacts(store)["programs"]
    assert size == sum(path.stat().st_blocks * 512 for path in (folder / "file", folder / "inputs.json"))


# --- lab.clean --------------------------------------------------------------------------------------------


@pytest.fixture
def settings(store: Store, tmp_path: Path) -> Settings:
    return Settings(cache=str(filled(store).root), root=tmp_path / "checkout")


def test_without_a_terminal_nothing_is_removed(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"this is no terminal - \./inv lab.clean --all --yes"):
        overview.clean(settings, keep=0, everything=True)
    assert settings.store.has("programs", INPUTS)


@pytest.mark.parametrize(("answer", "gone"), [("y", True), ("yes", True), ("", False), ("n", False)])
def test_on_a_terminal_it_is_asked(
    settings: Settings, answer: str, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(overview.console, "_force_terminal", True)
    asked = []
    monkeypatch.setattr(overview.console, "input", lambda question: asked.append(question) or answer)
    overview.clean(settings, keep=0, everything=True)
    assert asked == ["Remove all of it? [y/N] "]
    assert settings.store.has("programs", INPUTS) is not gone


def test_said_what_goes_and_what_stays(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    root = settings.store.root
    (root / "notes.txt").touch()
    settings.store.work("apt", "bookworm")
    overview.clean(settings, keep=0, everything=True, sure=True)
    said = capsys.readouterr().out
    assert "programs" in said.partition("to be removed")[2]
    assert "left, a run uses it: work/apt/bookworm" in said
    assert f"left, ccs-lab did not make it: {root}/notes.txt" in said
    assert not settings.store.has("programs", INPUTS)


def test_a_folder_of_somebody_elses_is_not_cleaned(tmp_path: Path) -> None:
    (tmp_path / "Documents").mkdir()
    (tmp_path / "Documents/thesis.tex").touch()
    settings = Settings(cache=str(tmp_path / "Documents"), root=tmp_path / "checkout")
    with pytest.raises(UserError, match="no cache of ccs-lab"):
        overview.clean(settings, keep=0, everything=True, sure=True)
    assert (tmp_path / "Documents/thesis.tex").is_file()


def test_no_cache_yet_is_nothing_to_remove(tmp_path: Path) -> None:
    settings = Settings(cache=str(tmp_path / "cache"), root=tmp_path / "checkout")
    overview.clean(settings, keep=0, everything=True)
    assert not (tmp_path / "cache").exists()
