# SPDX-License-Identifier: GPL-2.0-only
"""Artifacts damaged in each way, built on disks that fill, and by processes that are killed at any instant.

What must hold: nobody is given anything but what was published, and the next use makes it again by itself.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccslab.errors import LabError
from ccslab.kernel import source
from ccslab.labs import payload, setup
from ccslab.labs.definition import find
from ccslab.rootfs import programs
from ccslab.settings import ROOT
from ccslab.store import Store, cache, cleaning, examine_used, forget_used, hash_file, hash_tree, record
from ccslab.vm import accel

BIG = 300_000
MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 7\n"
FILES = {"inputs.json", record.RECORD}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield Store(tmp_path / "cache")
    forget_used()


# --- damage ---------------------------------------------------------------------------------------------


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    os.utime(path, (1, 1))


def _rotten(path: Path) -> None:
    """As a disk does it: neither size nor time tells."""
    about = path.stat()
    _flipped(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def _removed(path: Path) -> None:
    path.unlink()


DAMAGE = {"emptied": _emptied, "cut": _cut, "flipped": _flipped, "rotten": _rotten, "removed": _removed}


def _accel(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(accel, "_node_trouble", lambda node: "")
    monkeypatch.setattr(accel, "probe", lambda name: "it hangs")
    assert accel.choose("auto", store).why == "no KVM: it hangs"
    return next((store.root / "accel").iterdir())


def _disk(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (disk,) = setup._disks(find("apache-cgi", ROOT), store)
    assert disk.base
    return disk.base.parent


def _programs(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return programs.made(store, "programs", ROOT / "rootfs/src", "x86_64")


def _payloads(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return payload.made(find("apache-cgi", ROOT), store)


def _tree(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    packed = tmp_path / "linux.tar"
    if not packed.exists():
        (tmp_path / "linux").mkdir()
        (tmp_path / "linux/Makefile").write_text(MAKEFILE)
        with tarfile.open(packed, "w") as archive:
            archive.add(tmp_path / "linux", "linux")
    tree = source.fetch(source.Archive(packed, hash_file(packed)), store)
    assert tree.artifact
    return tree.artifact


def _any(kind: str) -> Callable[[Store, Path, pytest.MonkeyPatch], Path]:
    """A kind whose making takes a network or a guest; its files are what the store makes of any other's."""

    def use(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        return store.get(kind, {"kind": kind}, lambda part: (part / "file").write_bytes(bytes(1000)) and None)

    return use


USES = {
    **{kind: _any(kind) for kind in sorted(cache.KINDS)},
    "accel": _accel,
    "disk": _disk,
    "programs": _programs,
    "payloads": _payloads,
    "tree": _tree,
}


@pytest.mark.parametrize("kind", USES)
def test_each_file_of_each_kind_damaged_in_each_way_is_made_again(
    kind: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use() -> Path:
        return USES[kind](store, tmp_path, monkeypatch)

    folder = use()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in FILES]
    before = {path: path.read_bytes() for path in files}
    assert files
    # One file of each in turn: what one damage does is known of one file.
    for number, (name, damage) in enumerate(DAMAGE.items()):
        path = files[number % len(files)]
        damage(path)
        if name == "rotten":
            with contextlib.suppress(LabError, ValueError):
                use()  # handed on, and whoever reads it may fail
            (told,) = examine_used()
            assert path.relative_to(folder).as_posix() in told
        assert use() == folder
        assert record.verify(folder) == "", name
        assert path.read_bytes() == before[path], name
    assert len(list((store.root / cache.DAMAGED).iterdir())) == len(DAMAGE)
    assert len(cleaning.sweep(store)) == len(DAMAGE)


# --- killed ---------------------------------------------------------------------------------------------

BUILD = f"""
    import sys
    from pathlib import Path
    from ccslab.store import Store
    def build(folder):
        for number in range(40):
            (folder / f"below-{{number}}").mkdir()
            (folder / f"below-{{number}}/file").write_bytes(bytes([number]) * {BIG // 40})
    print("begun", flush=True)
    Store(Path(sys.argv[1])).get("kernel", {{"version": 1}}, build)
    print("published", flush=True)
"""


def _run(code: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _kill_in_the_middle(store: Store, after_s: float) -> bool:
    """Kill a build that long after it began; whether it was still building."""
    child = _run(BUILD, store.root)
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    try:
        child.wait(after_s)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
    said = child.communicate(timeout=20)[0]
    return "published" not in said


def _killed(tmp_path: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    killed = 0
    for number in range(rounds):
        store = Store(tmp_path / f"cache-{number}")
        killed += _kill_in_the_middle(store, chance.uniform(0.0, 0.08))
        final = store.path("kernel", {"version": 1})
        assert record.check(final) in ("", "it is not there"), number
        if not record.check(final):
            assert record.verify(final) == "", number
        assert _run(BUILD, store.root).communicate(timeout=20)[0].endswith("published\n")
        assert record.verify(final) == "", number
        assert [path.name for path in final.parent.iterdir()] == [final.name], number
        cleaning.clean(store, cleaning.items(store))
        assert not final.exists()
    assert killed, "no build was killed: it is too quick for this test"


def test_killed_at_a_random_instant(tmp_path: Path) -> None:
    _killed(tmp_path, rounds=12, seed=1)


@pytest.mark.nightly
def test_killed_at_very_many_random_instants(tmp_path: Path) -> None:
    _killed(tmp_path, rounds=400, seed=2)


# --- full -----------------------------------------------------------------------------------------------

FILL = f"""
    import subprocess, sys
    from pathlib import Path
    from ccslab.errors import InfrastructureError
    from ccslab.store import Store, record
    from ccslab.process import run
    place, sizes = Path(sys.argv[1]), sys.argv[2:]
    store = Store(place / "cache")
    def build(folder):
        for number in range(10):
            (folder / f"file-{{number}}").write_bytes(bytes([number]) * {BIG // 10})
        # A program that does not say why it fails, as mke2fs and QEMU do.
        script = 'head -c 200000 /dev/zero > "$0/more" 2> /dev/null || {{ echo failed; exit 1; }}'
        run(["sh", "-c", script, folder], timeout_s=20)
    for size in sizes:
        subprocess.run(["mount", "-o", f"remount,size={{size}}k", place], check=True)
        for needs in (0, {2 * BIG}):
            try:
                folder = store.get("kernel", {{"size": size, "needs": needs}}, build, needs_bytes=needs)
                said = record.verify(folder) or "whole"
                left = [folder.name]
            except InfrastructureError as error:
                said, left = str(error), []
            assert [path.name for path in store.root.glob("kernel/*")] == left, said
            print(size, needs, said, sep="|")
            for path in store.root.glob("kernel/*"):
                subprocess.run(["rm", "-r", path], check=True)
"""


def _fill(tmp_path: Path, sizes: list[int]) -> list[list[str]]:
    script = f'mount -t tmpfs -o size=64k tmpfs {tmp_path} && cd / && exec {sys.executable} -c "$0" "$@"'
    done = subprocess.run(
        [
            "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script,
            textwrap.dedent(FILL), tmp_path, *map(str, sizes),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split("|", 2) for line in done.stdout.splitlines() if line[:1].isdigit()]


def _full(tmp_path: Path, sizes: list[int]) -> None:
    told = _fill(tmp_path, sizes)
    assert len(told) == 2 * len(sizes)
    for size, needs, said in told:
        if said == "whole":
            assert int(size) > BIG >> 10
        elif needs == "0":
            assert "disk full" in said, size
            assert " free" in said, size
        else:
            assert "free, making kernel needs 585.9 KiB" in said or "disk full" in said, (size, said)
            assert "CCSLAB_CACHE=DIR" in said, size
    assert {said == "whole" for _, _, said in told} == {True, False}


def test_on_a_disk_that_fills(tmp_path: Path) -> None:
    _full(tmp_path, [100, 200, 300, 400, 500, 550, 600, 4000])


@pytest.mark.nightly
def test_on_a_disk_that_fills_at_each_page(tmp_path: Path) -> None:
    _full(tmp_path, list(range(64, 1000, 4)))


# --- another umask ----------------------------------------------------------------------------------------


def test_a_checkout_made_under_another_umask_gives_the_same_keys(tmp_path: Path) -> None:
    hashes = []
    for mask in (0o022, 0o077, 0o002):
        copy = tmp_path / f"{mask:o}"
        before = os.umask(mask)
        try:
            subprocess.run(["git", "-C", ROOT, "checkout-index", "-a", f"--prefix={copy}/"], check=True)
        finally:
            os.umask(before)
        hashes.append(hash_tree(copy / "rootfs", copy / "labs", copy / "ccslab/rootfs"))
    assert len(set(hashes)) == 1
