# SPDX-License-Identifier: GPL-2.0-only
"""A kernel from a tiny tree with a compiler of shell: what is built, what is built again, what is said."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.kernel import build as building
from ccslab.kernel.series import NO_PATCHES, load_series
from ccslab.kernel.source import Tree
from ccslab.store import Damaged, Store, disk, examine_used, record
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data" / "kernel-tree"
FILES = ["init/main.c", "security/tomoyo/file.c", "security/tomoyo/mount.c"]
Put = Callable[[str, str], Path]

GCC = """
if [ "$1" = --version ]; then echo "gcc (fake) ${FAKE_GCC:-12}"; exit; fi
echo "$2" >>"$COMPILED"
if grep -n 'syntax error' "$2" >/dev/null; then echo "$2:1:1: error: expected ';'"; exit 1; fi
if grep hang "$2" >/dev/null; then echo half >"$4"; touch "$COMPILED.hangs"; while :; do sleep 0.05; done; fi
cp "$2" "$4"
"""


class Lab:
    """A pristine tree, a series and fragments that a test edits."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.compiled = folder / "compiled"
        shutil.copytree(DATA, folder / "pristine")
        for name in FILES:
            path = folder / "pristine" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n")
        (folder / "one.config").write_text("CONFIG_NET=y\n")

    def patch(self, **edits: str) -> None:
        """A series that changes the one line of each file of security/tomoyo."""
        series = self.folder / "series"
        series.mkdir(exist_ok=True)
        for name, line in edits.items():
            path = f"security/tomoyo/{name}.c"
            (series / f"{name}.patch").write_text(
                f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{path}\n+{line}\n"
            )
        (series / "series").write_text("".join(f"{name}.patch\n" for name in edits))

    @property
    def spec(self) -> building.KernelSpec:
        series = self.folder / "series"
        return building.KernelSpec(
            name="tiny",
            arch="x86_64",
            patchset={"name": "ccs" if series.is_dir() else "stock"},
            series=load_series(series) if series.is_dir() else NO_PATCHES,
            fragments=(self.folder / "one.config",),
        )

    @property
    def tree(self) -> Tree:
        return Tree("tiny 1", "6.12.0", {"sha256": "0" * 64}, "tiny", self.folder / "pristine")

    def build(self) -> Path:
        """Build; ``compiled`` then names what was compiled for it."""
        self.compiled.write_text("")
        return building.build(self.spec, self.tree, self.store, jobs=2)

    @property
    def sources(self) -> list[str]:
        return sorted(self.compiled.read_text().split())


@pytest.fixture
def lab(tmp_path: Path, store: Store, bin_folder: Put, monkeypatch: pytest.MonkeyPatch) -> Lab:
    bin_folder("gcc", GCC)
    bin_folder("ccache", 'exec "$@"')
    one = Lab(tmp_path, store)
    monkeypatch.setenv("COMPILED", str(one.compiled))
    return one


def test_the_artifact_has_all_its_parts(lab: Lab) -> None:
    lab.patch(file="patched")
    folder = lab.build()
    names = {"bzImage", "vmlinux", "config", "System.map", "manifest.json", "build.log"}
    assert {path.name for path in folder.iterdir()} == names | {"inputs.json", "record.json"}
    assert "patched" in (folder / "bzImage").read_text()
    assert (folder / "config").read_text().splitlines()[-1] == "CONFIG_NET=y"
    assert "CC      security/tomoyo/file.o" in (folder / "build.log").read_text()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["release"] == "6.12.0-ccs"
    assert [patch["name"] for patch in manifest["patches"]] == ["file.patch"]
    assert lab.sources == FILES


def test_nothing_to_do_compiles_nothing(lab: Lab) -> None:
    first = lab.build()
    assert lab.build() == first
    assert lab.sources == []


def of_the_store(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's tree as an artifact of very many files, made again if it is damaged."""
    monkeypatch.setattr(record, "MANY", 1)

    def unpack(folder: Path) -> None:
        shutil.copytree(lab.folder / "pristine", folder / "tree")

    made = lab.store.get("tree", {"version": 1}, unpack)
    again = Tree("tiny 1", "6.12.0", {"sha256": "0" * 64}, "tiny", made / "tree", artifact=made)
    monkeypatch.setattr(Lab, "tree", again)
    return made


def test_no_kernel_is_built_of_a_damaged_tree(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = of_the_store(lab, monkeypatch)
    (tree / "tree/security/tomoyo/file.c").write_text("")
    assert lab.store.has("tree", {"version": 1})  # a use does not look so deep
    with pytest.raises(Damaged, match=r"security/tomoyo/file.c has 0 bytes"):
        lab.build()
    assert lab.sources == []


def test_what_was_made_of_a_damaged_tree_is_made_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = of_the_store(lab, monkeypatch)
    path = tree / "tree/security/tomoyo/file.c"
    about = path.stat()
    path.write_text("evil".ljust(about.st_size))  # the work tree's file will be a hard link to it
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert "evil" in (lab.build() / "bzImage").read_text()
    (told,) = examine_used()
    assert "security/tomoyo/file.c has other bytes" in told
    of_the_store(lab, monkeypatch)
    lab.patch(mount="one")
    second = lab.build()
    assert "evil" not in (second / "bzImage").read_text()
    assert lab.sources == FILES
    lab.patch(mount="two")
    lab.build()
    assert lab.sources == ["security/tomoyo/mount.c"]


def test_space_for_a_first_build_is_looked_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free", lambda path: 100 << 20)
    with pytest.raises(
        InfrastructureError, match=r"not enough space: 100.0 MiB free, building a kernel needs 512.0 MiB"
    ):
        lab.build()
    assert lab.sources == []


def test_one_patch_edited_compiles_one_file(lab: Lab) -> None:
    lab.patch(file="one", mount="one")
    first = lab.build()
    lab.patch(file="one", mount="two")
    second = lab.build()
    assert lab.sources == ["security/tomoyo/mount.c"]
    assert second != first
    assert "one" in (first / "bzImage").read_text()
    assert "two" in (second / "bzImage").read_text()


def test_the_image_of_another_kernel_is_none(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = lab.folder / "stale"
    stale.write_text("of another kernel")
    monkeypatch.setenv("STALE", str(stale))
    with pytest.raises(
        InfrastructureError, match="has another kernel than the one that was linked"
    ) as caught:
        lab.build()
    assert caught.value.mend.startswith("remove ")
    monkeypatch.delenv("STALE")
    assert "init/main.c" in (lab.build() / "bzImage").read_text()


def test_what_was_compressed_before_is_not_believed(lab: Lab) -> None:
    lab.patch(file="one")
    lab.build()
    (old,) = lab.store.root.rglob("piggy.o")
    later = time.time() + 3600
    lab.patch(file="two")
    os.utime(old, (later, later))
    assert "two" in (lab.build() / "bzImage").read_text()


def test_the_compiler_cache_sees_what_is_included(tmp_path: Path, store: Store) -> None:
    """As in piggy.S: the same source, but for a payload that is as long as the one before."""
    source, payload = tmp_path / "piggy.S", tmp_path / "payload"
    source.write_text(f'.section .data\n.incbin "{payload}"\n')
    call = ["ccache", "gcc", f"-Wp,-MMD,{tmp_path}/depends", "-c", source, "-o", tmp_path / "piggy.o"]
    for text in ("one kernel", "other kern"):
        payload.write_text(text)
        env = {**os.environ, **building.environment(store, tmp_path)}
        subprocess.run(call, check=True, env=env, cwd=tmp_path, timeout=60)
        assert text.encode() in (tmp_path / "piggy.o").read_bytes()


def test_the_stock_kernel_and_the_patched_one_share_their_objects(lab: Lab) -> None:
    stock = lab.build()
    lab.patch(file="one")
    assert lab.build() != stock
    assert lab.sources == ["security/tomoyo/file.c"]


@pytest.mark.parametrize("change", ["compiler", "fragment", "patch", "tree"])
def test_every_input_is_in_the_key(lab: Lab, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.patch(file="one")
    before = lab.store.path("kernel", lab.spec.inputs(lab.tree))
    tree = lab.tree
    if change == "compiler":
        monkeypatch.setenv("FAKE_GCC", "13")
    elif change == "fragment":
        (lab.folder / "one.config").write_text("CONFIG_NET=m\n")
    elif change == "patch":
        lab.patch(file="two")
    else:
        tree = dataclasses.replace(tree, identity={"sha256": "1" * 64})
    assert lab.store.path("kernel", lab.spec.inputs(tree)) != before


def test_a_refused_symbol_stops_before_anything_is_compiled(lab: Lab) -> None:
    (lab.folder / "one.config").write_text("CONFIG_NET=y\nCONFIG_SECURITY_TOMOYO=y\n")
    with pytest.raises(UserError, match=r"one.config:2: CONFIG_SECURITY_TOMOYO is n.*not set: SECURITY"):
        lab.build()
    assert lab.sources == []
    assert not list(lab.store.root.glob("kernel/*"))


def test_a_patch_that_fails_stops_before_anything_is_compiled(lab: Lab) -> None:
    lab.patch(file="one")
    patch = lab.folder / "series/file.patch"
    patch.write_text(patch.read_text().replace("\n-sec", "\n-x"))
    with pytest.raises(UserError, match=r"file.patch: hunk 1 does not apply to security/tomoyo/file.c"):
        lab.build()
    assert lab.sources == []
    assert not list(lab.store.root.glob("kernel/*"))


def test_what_the_compiler_says_is_named_with_the_log(lab: Lab) -> None:
    lab.patch(file="syntax error")
    with pytest.raises(
        InfrastructureError, match=r"\.log: security/tomoyo/file.c:1:1: error: expected ';'"
    ) as caught:
        lab.build()
    assert "CC      init/main.o" in Path(caught.value.where).read_text()
    assert not list(lab.store.root.glob("kernel/*"))
    lab.patch(file="mended")
    lab.build()
    assert "init/main.c" not in lab.sources, "what was compiled before the error is kept"


def test_killed_while_compiling_and_started_again(
    lab: Lab, other_run: Callable[[str], subprocess.Popen[str]]
) -> None:
    """The killed compiler leaves a half-written object that is newer than its source."""
    lab.patch(file="one")
    lab.build()
    lab.patch(file="hang")
    killed = other_run(f"""
        from pathlib import Path
        from ccslab.kernel import build as building
        from ccslab.kernel.series import load_series
        from ccslab.kernel.source import Tree
        from ccslab.store import Store
        folder = Path("{lab.folder}")
        spec = building.KernelSpec("tiny", "x86_64", {{"name": "ccs"}},
                                   load_series(folder / "series"), (folder / "one.config",))
        tree = Tree("tiny 1", "6.12.0", {{"sha256": "0" * 64}}, "tiny", folder / "pristine")
        building.build(spec, tree, Store(Path("{lab.store.root}")), jobs=1)
    """)
    until((lab.folder / "compiled.hangs").exists, "the compiler hangs")
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    (half,) = lab.store.root.glob("work/kernel/*/obj-x86_64/security/tomoyo/file.o")
    assert half.read_text() == "half\n"
    # As if the patch were as before, its source older than the object: only the mark tells.
    (work,) = lab.store.root.glob("work/kernel/*/tree")
    (work / "security/tomoyo/file.c").write_text("whole\n")
    old = time.time() - 1000
    os.utime(work / "security/tomoyo/file.c", (old, old))
    lab.patch(file="whole")
    folder = lab.build()
    assert "half" not in (folder / "bzImage").read_text()
    assert "whole" in (folder / "bzImage").read_text()


def test_a_damaged_count_of_objects_does_no_harm(lab: Lab) -> None:
    lab.build()
    (count,) = lab.store.root.glob("work/kernel/*/objects-x86_64")
    assert int(count.read_text()) == len(FILES)
    count.write_text("")
    lab.patch(file="two")
    lab.build()
