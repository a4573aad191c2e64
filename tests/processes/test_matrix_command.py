# SPDX-License-Identifier: GPL-2.0-only
"""The matrix, the comparison and the parity from the command line, on a lab whose phases are cut out.

In the copied checkout a cell's run finds no guest: what is tested is all around it, in processes of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.checkout import Checkout
from tests.waiting import until

# A build that leaves artifacts, each of its kernel and architecture.
BUILD = """

def build_all(settings):
    build(settings, definition.find("apache-cgi", settings.root))


def build(settings, lab, *, update=False):
    examine(settings, lab)
    name = catalog.find(settings).name
    folder = settings.store.root / "cut-out" / f"{name}-{settings.arch}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"release": name, "patches": []}))
    return Parts(folder, folder, accel.Accel("tcg", "nothing is booted"))
"""
# A run that leaves policies and attacks; the stock kernel lets the new mount through.
DRIVE = """

def _drive(settings, parts, run):
    import os
    from ccslab.labs import attacking
    from ccslab.labs.attacking import WANTED, Outcome
    from ccslab.results import Cell, Measure
    lab, results, folder = run.lab, run.results, run.folder
    if (settings.root / f"crash-{results.kernel}").exists():
        os.abort()
    if (settings.root / f"hang-{results.kernel}").exists():
        time.sleep(600)
    with (settings.root / "ran").open("a") as stream:
        stream.write(f"{results.kernel}/{results.arch}\\n")
    results.phases = [Phase("boot", 1.0), Phase("tuned", 1.0)]
    results.measures = [Measure("policy memory", "enforcing", 65536, "bytes")]
    library = {"x86_64": "x86_64-linux-gnu", "i386": "i386-linux-gnu"}[results.arch]
    policy = f"<kernel> /usr/sbin/apache2\\nuse_profile 3\\nfile read /usr/lib/{library}/libc.so.6\\n"
    for stage in ("learned", "tuned", "enforcing"):
        place = folder / "policy" / stage
        place.mkdir(parents=True)
        (place / "domain_policy.conf").write_text(policy)
        (place / "exception_policy.conf").write_text("")
    record = "<kernel> /usr/sbin/apache2: file mount tmpfs /var/www/html/docs/ tmpfs 0x0"
    results.drift = []
    results.grids = [attacking.grid(lab.attacks)]
    for row in results.grids[0].rows:
        row.cells = {mode: Cell(wanted, wanted, True) for mode, wanted in WANTED.items()}
        row.cells["enforcing"].records = [record]
        if results.kernel.startswith("stock-") and row.name == "mount-new":
            row.cells["enforcing"] = Cell(Outcome.UNDENIED, Outcome.DENIED, False)
    results.finished = True
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout whose labs have no guest."""
    made = Checkout(tmp_path / "checkout", tmp_path / "cache")
    for name, text in {"labs/setup.py": BUILD, "runs/scenario.py": DRIVE}.items():
        with (made.root / "ccslab" / name).open("a") as stream:
            stream.write(text)
    return made


def task(checkout: Checkout, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a task to its end; a matrix is a dozen processes, and the machine may be busy otherwise."""
    return checkout.lab(*words, timeout_s=300.0)


def ran(checkout: Checkout) -> list[str]:
    return sorted((checkout.root / "ran").read_text().split())


def test_every_combination_is_run_and_one_crash_is_one_cell(checkout: Checkout) -> None:
    (checkout.root / "crash-6.1").touch()
    done = task(checkout, "lab.scenario", "apache-cgi", "--kernel", "6.12,6.1", "--arch", "all")
    assert done.returncode == 3, done.stderr
    assert ran(checkout) == ["6.12/i386", "6.12/x86_64"]
    assert "Matrix of apache-cgi: 2 passed, 2 error" in done.stdout
    assert re.search(r"6\.12 +x86_64 +passed +\S.* 20/20 +\d+ +64\.0 KiB", done.stdout)
    assert re.search(r"6\.1 +i386 +error ", done.stdout)
    assert "was killed by Aborted" in done.stdout
    assert re.search(r"parity 6\.12: \d+ lines? equal, 1 differ as declared, 0 undeclared", done.stdout)
    assert "parity 6.1: " not in done.stdout
    (path,) = checkout.runs.glob("matrix/*/matrix.json")
    kept = json.loads(path.read_bytes())
    assert kept["ended"]
    assert [pair["kernel"] for pair in kept["parity"]] == ["6.12"]
    assert (path.parent / "junit.xml").is_file()
    for cell in kept["cells"]:
        assert (checkout.runs / cell["run"] / "results.json").is_file() == (cell["state"] != "error")


def test_a_killed_matrix_goes_on_with_the_cells_whose_inputs_are_the_same(checkout: Checkout) -> None:
    (checkout.root / "hang-6.1").touch()
    words = ("lab.scenario", "apache-cgi", "--kernel", "6.12,6.1")
    with checkout.start(*words) as child:

        def one_is_left() -> bool:
            paths = list(checkout.runs.glob("matrix/*/matrix.json"))
            states = [cell["state"] for path in paths for cell in json.loads(path.read_bytes())["cells"]]
            return states == ["passed", "running"]

        try:
            until(one_is_left, "only the hanging cell is left", within_s=120.0)
        finally:
            child.kill()
    (checkout.root / "hang-6.1").unlink()
    done = task(checkout, *words)
    assert done.returncode == 0, done.stderr
    assert "going on with the matrix of " in done.stdout
    assert re.search(r"6\.12 x86_64: passed at \d\d:\d\d UTC, taken over", done.stdout)
    assert ran(checkout) == ["6.1/x86_64", "6.12/x86_64"]


def test_all_passed_is_0_and_a_failed_verdict_1(checkout: Checkout) -> None:
    assert task(checkout, "lab.scenario", "apache-cgi", "--kernel", "6.12,6.1").returncode == 0
    assert task(checkout, "lab.scenario", "apache-cgi", "--kernel", "6.12,stock-6.12").returncode == 1


def test_what_is_wrong_is_said_before_anything_is_started(checkout: Checkout) -> None:
    for words, said in {
        "lab.scenario apache-cgi --kernel all --golden": "error: --golden takes one lab, kernel and",
        "lab.scenario apache-cgi --kernel 6.12,6.1 --accel kmv": "error: unknown accelerator 'kmv'",
        "lab.compare apache-cgi --kernel 6.12,6.1,7.2": "error: a comparison takes two kernels",
        "lab.compare apache-cgi --kernel stock-6.12": "error: a comparison takes two kernels",
        "lab.compare apache-cgi --runs a": "error: --runs: a comparison takes two runs, not 1",
        "lab.parity apache-cgi --kernel 6.12,6.1": "error: parity is of one kernel on two architectures",
    }.items():
        done = task(checkout, *words.split())
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert done.stderr.startswith(said)
    assert not checkout.runs.exists()


def test_a_comparison_runs_what_is_not_current(checkout: Checkout) -> None:
    done = task(checkout, "lab.compare", "apache-cgi")
    assert done.returncode == 0, done.stderr
    assert ran(checkout) == ["6.12/x86_64", "stock-6.12/x86_64"]
    assert "6.12 stops what stock-6.12 lets through: mount-new" in done.stdout
    done = task(checkout, "lab.compare", "apache-cgi", "--kernel", "stock-6.12,6.12")
    assert done.stdout.count("is current") == 2
    assert len(ran(checkout)) == 2
    # The lab has changed: neither run is current, and both are made again.
    with (checkout.root / "labs/apache-cgi/README.md").open("a") as stream:
        stream.write("\n")
    task(checkout, "lab.compare", "apache-cgi")
    assert len(ran(checkout)) == 4
    folders = sorted(checkout.runs.glob("apache-cgi-x86_64-*"))
    patched, stock = folders[0], folders[-1]
    done = task(checkout, "lab.compare", "apache-cgi", "--runs", f"{patched},{stock}")
    assert done.returncode == 1
    assert "unexpected: attack mount-new" in done.stdout


def test_a_comparison_with_a_run_that_comes_to_no_verdict(checkout: Checkout) -> None:
    (checkout.root / "crash-stock-6.12").touch()
    done = task(checkout, "lab.compare", "apache-cgi")
    assert done.returncode == 3
    assert done.stderr.startswith("error: stock-6.12 x86_64: was killed by Aborted - see ")


def test_parity_of_one_kernel_is_on_all_architectures(checkout: Checkout) -> None:
    done = task(checkout, "lab.parity", "apache-cgi", "--kernel", "6.1")
    assert done.returncode == 0, done.stderr
    assert ran(checkout) == ["6.1/i386", "6.1/x86_64"]
    assert "1 line differs by library folder" in done.stdout
    assert task(checkout, "lab.clean", "--keep", "0").returncode == 0
    assert not list(checkout.runs.glob("*/*.json"))
    assert not list(checkout.runs.glob("parity/*"))
