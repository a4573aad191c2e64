# SPDX-License-Identifier: GPL-2.0-only
"""The main job again: repeated from its manifest, and on a site that was changed. For the night."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ccslab.runs import folder as runs
from tests.checkout import Checkout

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.nightly]
SCENARIO_S = 1800.0
CHANGED = "file_get_contents('/etc/mime.types');"


@pytest.fixture
def checkout(tmp_path: Path, kernels_built: None, server_image: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_a_run_is_repeated_and_finds_the_same(checkout: Checkout) -> None:
    first = checkout.lab("lab.scenario", "apache-cgi", timeout_s=SCENARIO_S)
    assert first.returncode == 0, first.stdout + first.stderr
    again = checkout.lab("lab.replay", "apache-cgi", timeout_s=SCENARIO_S)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "the same: runs/apache-cgi-x86_64-" in again.stdout
    one, other = runs.listed(checkout.runs, "apache-cgi")
    assert one.folder != other.folder

    (checkout.root / "labs/apache-cgi/README.md").write_text("Another lab.\n")
    refused = checkout.lab("lab.replay", one.folder.name, timeout_s=SCENARIO_S)
    assert refused.returncode == 2
    assert f"{one.folder}: the run's lab is not what is here now - git checkout" in refused.stderr


def test_a_site_that_was_changed_drifts(checkout: Checkout) -> None:
    page = checkout.root / "labs/apache-cgi/overlay/var/www/html/news.php"
    text = page.read_text()
    page.write_text(text.replace("$year = preg_match", f"{CHANGED}\n$year = preg_match"))
    assert page.read_text() != text
    done = checkout.lab("lab.scenario", "apache-cgi", timeout_s=SCENARIO_S)
    assert done.returncode == 0, done.stdout + done.stderr
    said = "apache2 may now also read /etc/mime.types, since the workload does: news, cold"
    assert f"Drift from the golden policy: 1 line\n  {said}\n" in done.stdout
    (run,) = runs.listed(checkout.runs, "apache-cgi")
    assert json.loads((run.folder / "results.json").read_text())["drift"] == [
        "@@ <kernel> /usr/sbin/apache2 @@",
        "+file read /etc/mime.types",
    ]
    assert said in (run.folder / "report.html").read_text()
