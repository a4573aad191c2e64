# SPDX-License-Identifier: GPL-2.0-only
"""Several processes on one store: killed while they build, waiting for one another, on a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from test_store import INPUTS, Start, left_in, never, write
from test_store_clean import filled

from ccslab import store as storing
from ccslab.store import Store, cleaning, key_of
from tests.waiting import until

BUILD = """
    import sys, time
    from pathlib import Path
    from ccslab.store import Store
    def build(folder):
        with open("{log}", "a") as log:
            log.write("built\\n")
        (folder / "file").write_text("half")
        Path("{started}").touch()
        while not Path("{go}").exists():
            time.sleep(0.01)
        (folder / "file").write_text("whole")
    print(Store(Path("{root}")).get("programs", {inputs}, build))
"""


def builder(store: Store, tmp_path: Path, inputs: dict[str, int] | None = None) -> str:
    names = {name: tmp_path / name for name in ("log", "started", "go")}
    return BUILD.format(root=store.root, inputs=inputs or INPUTS, **names)


def test_killed_in_the_middle_and_started_again(store: Store, tmp_path: Path, other_run: Start) -> None:
    first = other_run(builder(store, tmp_path))
    until((tmp_path / "started").exists, "the build has begun")
    first.kill()
    first.wait(10)
    assert not store.has("programs", INPUTS)
    assert left_in(store) == [f"{key_of(INPUTS)}.part"]
    folder = store.get("programs", INPUTS, write("again"))
    assert (folder / "file").read_text() == "again"
    assert left_in(store) == [folder.name]


def test_what_a_killed_build_left_is_removed_by_a_build_of_another_key(
    store: Store, tmp_path: Path, other_run: Start
) -> None:
    first = other_run(builder(store, tmp_path))
    until((tmp_path / "started").exists, "the build has begun")
    first.kill()
    first.wait(10)
    store.get("programs", {"version": 2}, write("x"))
    assert left_in(store) == [key_of({"version": 2})]


def test_a_build_under_way_is_not_removed_by_another(store: Store, tmp_path: Path, other_run: Start) -> None:
    first = other_run(builder(store, tmp_path))
    until((tmp_path / "started").exists, "the build has begun")
    store.get("programs", {"version": 2}, write("x"))
    (tmp_path / "go").touch()
    assert first.wait(20) == 0, first.communicate()[0]
    assert (store.get("programs", INPUTS, never) / "file").read_text() == "whole"


def test_two_runs_at_once_build_once(store: Store, tmp_path: Path, other_run: Start) -> None:
    code = builder(store, tmp_path)
    first = other_run(code)
    until((tmp_path / "started").exists, "the first build has begun")
    second = other_run(code)
    assert second.stdout is not None
    assert f"(process {first.pid})" in second.stdout.readline()  # it waits, and says for whom
    (tmp_path / "go").touch()
    said = [run.communicate(timeout=20)[0].split()[-1] for run in (first, second)]
    assert said[0] == said[1] == str(store.path("programs", INPUTS))
    assert (tmp_path / "log").read_text() == "built\n"


def test_a_dead_holder_frees_the_lock(store: Store, tmp_path: Path, other_run: Start) -> None:
    holder = other_run(f"""
        import time
        from pathlib import Path
        from ccslab.store import Store
        with Store(Path("{store.root}")).lock("one"):
            print("held", flush=True)
            time.sleep(60)
    """)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    with store.lock("one"):
        pass


def test_a_full_file_system(store: Store, tmp_path: Path) -> None:
    """A tmpfs of 256 KiB in a mount namespace of its own."""
    script = f"""
        mount -t tmpfs -o size=256k tmpfs {tmp_path} && cd / && exec {sys.executable} - <<'END'
import sys
from pathlib import Path
from ccslab.errors import InfrastructureError
from ccslab.store import Store
store = Store(Path("{tmp_path}/cache"))
try:
    store.get("programs", {{"version": 1}}, lambda part: (part / "big").write_bytes(bytes(10**6)) and None)
except InfrastructureError as error:
    print(error)
print(sorted(path.name for path in store.root.glob("programs/*")), store.has("programs", {{"version": 1}}))
END
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(storing.__file__).parents[2])},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    first, second = done.stdout.splitlines() or [done.stderr, ""]
    assert "disk full (No space left on device): " in first
    assert second == "[] False"


USER = """
    from pathlib import Path
    from ccslab.store import Store
    store = Store(Path("{root}"))
    store.get("programs", {inputs}, None)
    store.work("apt", "bookworm")
    print("used", flush=True)
    input()
"""


def test_what_another_process_uses_stays_until_it_ends(store: Store, other_run: Start) -> None:
    filled(store)
    (store.root / "tree").mkdir()
    user = other_run(USER.format(root=store.root, inputs=INPUTS))
    assert user.stdout is not None
    assert user.stdout.readline() == "used\n"
    used = cleaning.clean(store, cleaning.items(store))
    assert sorted(item.kind for item in used) == ["programs", "work/apt"]
    assert all(item.path.is_dir() for item in used)
    assert not (store.root / "ccache").exists()
    user.kill()
    user.wait(10)
    assert cleaning.clean(store, cleaning.items(store)) == []
    assert not used[0].path.exists()
