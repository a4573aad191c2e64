# SPDX-License-Identifier: GPL-2.0-only
"""A mirror broken on purpose: the true Release file of a suite with an index that does not fit it."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError
from ccslab.rootfs import base, suites
from ccslab.rootfs.recipe import Recipe, load_recipe
from ccslab.sources import mirrors
from ccslab.store import Store

ROOT = Path(__file__).parents[2]
SUITE = "bookworm-security"
pytestmark = pytest.mark.slow


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def broken_url(tmp_path: Path) -> Iterator[str]:
    """URL of an archive whose package index is cut short, as on a mirror in the middle of a push."""
    folder = tmp_path / "mirror" / "dists" / SUITE
    folder.mkdir(parents=True)
    with urllib.request.urlopen(f"{mirrors.url(SUITE)}/dists/{SUITE}/InRelease", timeout=60) as answer:
        release = answer.read()
    (folder / "InRelease").write_bytes(release)
    index = re.search(rb"([0-9a-f]{64})\s+\d+\s+main/binary-amd64/Packages\.xz", release)
    assert index, "the Release file names no index"
    by_hash = folder / "main/binary-amd64/by-hash/SHA256"
    by_hash.mkdir(parents=True)
    for path in (by_hash / index[1].decode(), by_hash.parents[1] / "Packages.xz"):
        path.write_bytes(b"cut short")
    handler = functools.partial(Silent, directory=str(tmp_path / "mirror"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The smallest of systems, and no patience."""
    monkeypatch.setattr(suites, "PAUSES_S", (0.0, 0.0))
    small = dataclasses.replace(load_recipe("webserver", ROOT), packages=("cron",), preseed=())
    return dataclasses.replace(small, name="small", optional_suites=(SUITE,))


def test_a_broken_optional_suite_is_left_out_and_the_base_is_built(
    recipe: Recipe, broken_url: str, tmp_path: Path
) -> None:
    warnings: list[str] = []
    made = base.build(
        recipe,
        "x86_64",
        Store(tmp_path / "store"),
        urls=lambda suite: broken_url if suite == SUITE else mirrors.url(suite),
        warn=warnings.append,
    )
    manifest = json.loads((made / base.MANIFEST).read_text())
    assert manifest["suites"] == ["bookworm"]
    assert "File has unexpected size" in manifest["suites_left_out"][SUITE]
    assert manifest["tries"] == suites.TRIES + 1
    assert "cron" in manifest["packages"]
    assert len(warnings) == suites.TRIES


def test_a_required_suite_that_nobody_serves_ends_the_build(recipe: Recipe, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(InfrastructureError, match=r"bookworm: .*asked 3 times"):
        base.build(recipe, "x86_64", store, urls=lambda suite: "http://127.0.0.1:9", warn=lambda text: None)
    assert list((store.root / base.KIND).iterdir()) == []
