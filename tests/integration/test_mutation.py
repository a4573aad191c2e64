# SPDX-License-Identifier: GPL-2.0-only
"""Lines of the golden policy, taken out and put in: lab.mutate as a user starts it, on a part of them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from launcher import passed

from ccslab.runs import folder as runs
from ccslab.runs import journal
from ccslab.settings import ROOT
from tests.checkout import Checkout
from tests.waiting import until

pytestmark = pytest.mark.guest
MUTATE_S = 900.0
APACHE = "<kernel> /usr/sbin/apache2"


def found(folder: Path) -> dict[str, Any]:
    """What the newest mutation below a folder of runs says."""
    newest = runs.listed(folder / "mutation", "apache-cgi")[-1]
    return json.loads((newest.folder / "mutation.json").read_text())


@pytest.fixture(scope="module")
def mounts(kernels_built: None, server_image: Path) -> dict[str, Any]:
    """All that has to do with mounting."""
    print(passed("lab.mutate", "apache-cgi", "--only", "mount", timeout_s=MUTATE_S))
    return found(ROOT / "runs")


def test_lines_that_a_visitor_misses_are_needed(mounts: dict[str, Any]) -> None:
    lines = {line["line"]: line for line in mounts["lines"] if line["line"].startswith("file mount")}
    assert lines
    for line in lines.values():
        assert line["need"] == "needed"
        assert line["step"].startswith("media attached")
        assert line["denied"].startswith(f"{line['domain']}: file mount ")
        assert line["noticed"], "the media are not attached, and the page says so"


def test_a_policy_with_the_line_that_an_attack_lacks_lets_it_through(mounts: dict[str, Any]) -> None:
    attacks = {attack["name"]: attack for attack in mounts["attacks"]}
    assert set(attacks) == {"mount-old", "mount-new"}
    for attack in attacks.values():
        assert "file mount tmpfs /var/www/html/docs/" in attack["stopped_by"]
        assert attack["through"]
        assert any("file mount tmpfs /var/www/html/docs/ tmpfs 0x0" in line for line in attack["lines"])


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)])
def test_a_proof_that_is_killed_goes_on_to_the_same_document(
    tmp_path: Path, mounts: dict[str, Any], number: signal.Signals
) -> None:
    checkout = Checkout(tmp_path / "checkout")
    words = ("lab.mutate", "apache-cgi", "--only", "mount")
    child = checkout.start(*words)
    try:
        until(lambda: kept(checkout), "a result is kept", within_s=MUTATE_S)
        child.send_signal(number)
        out, err = child.communicate(timeout=60.0)
    finally:
        child.kill()
    assert "Traceback" not in err
    before = kept(checkout)
    assert 0 < before < len(mounts["lines"]) + len(mounts["attacks"])
    if number == signal.SIGTERM:
        assert child.returncode == 128 + number
        assert "the same command with --resume goes on" in out
        assert len(found(checkout.runs)["missing"]) == len(mounts["lines"]) + len(mounts["attacks"]) - before
    done = checkout.lab(*words, "--resume", timeout_s=MUTATE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"({before} results from before the run broke off)" in " ".join(done.stdout.split())
    assert len(runs.listed(checkout.runs / "mutation")) == 1
    assert found(checkout.runs) == mounts


def kept(checkout: Checkout) -> int:
    """How many results the newest mutation of a checkout has on the disk."""
    for run in reversed(runs.listed(checkout.runs / "mutation")):
        journaled = journal.read(run.folder)
        return len(journaled.results) if journaled else 0
    return 0


@pytest.mark.nightly
def test_lines_too_many_are_found_out(tmp_path: Path, kernels_built: None, server_image: Path) -> None:
    """Another line that allows what one allows already, and one that nobody asks for."""
    checkout = Checkout(tmp_path / "checkout")
    golden = checkout.root / "policies/apache-cgi/domain_policy.conf"
    more = "file read /var/www/html/style.css\nfile read /var/www/secret.css\n"
    golden.write_text(golden.read_text().replace("file read @SMARTY\n", f"file read @SMARTY\n{more}"))
    done = checkout.lab("lab.mutate", "apache-cgi", "--only", ".css", timeout_s=MUTATE_S)
    assert done.returncode == 1, done.stdout + done.stderr
    redundant, unused = found(checkout.runs)["lines"]
    assert (redundant["line"], redundant["need"]) == ("file read /var/www/html/style.css", "redundant")
    assert f"{APACHE}: file read @WEB_CONTENTS" in redundant["covered_by"]
    assert (unused["line"], unused["need"]) == ("file read /var/www/secret.css", "never exercised")
    assert done.stdout.count("NOT EXPLAINED") == 2
