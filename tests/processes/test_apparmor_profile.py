# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark's AppArmor profile, by the host's apparmor_parser."""

from __future__ import annotations

from pathlib import Path

from ccslab.bench import apparmor
from ccslab.bench.plan import ABSENT, CONFINED, Configuration
from ccslab.store import Store


def test_a_profile_is_compiled_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    wanted = [Configuration(CONFINED, "exact", 5), Configuration(ABSENT)]
    blobs = apparmor.compiled(store, wanted)
    assert list(blobs) == ["confined-exact-5"]
    assert b"ccsbench" in blobs["confined-exact-5"]
    (built,) = (tmp_path / "apparmor").iterdir()
    before = (built / apparmor.BLOB).stat().st_mtime_ns
    assert apparmor.compiled(store, wanted) == blobs
    assert (built / apparmor.BLOB).stat().st_mtime_ns == before
