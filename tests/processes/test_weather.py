# SPDX-License-Identifier: GPL-2.0-only
"""Bad input and bad weather through the command line, in a checkout of its own; no guest is booted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.checkout import ROOT, Checkout

LAB = "labs/apache-cgi"
GOLDEN = "policies/apache-cgi"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout", tmp_path / "cache")


def told(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line of an error, after a look that it is one and that nothing was begun."""
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""
    return done.stderr.removeprefix("error: ")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (f"{LAB}/lab.toml", "title = ", "is malformed: Invalid value (at "),
        (
            f"{LAB}/workload.toml",
            "[[step]]\nhttp = 'GET /'\n[[step]]\nhttp = 'GET /'\n",
            "two steps are named",
        ),
        (
            f"{LAB}/workload.toml",
            "[[forgotten]]\nhttp = 'GET /'\n",
            "needs a workload, and lab apache-cgi has none",
        ),
        (f"{LAB}/attacks.toml", "", "needs attacks, and lab apache-cgi has none"),
        (f"{LAB}/generalise.toml", "[[nonsense]]\n", "unknown key 'nonsense'"),
        (f"{LAB}/generalise.toml", "[[pattern", "is malformed"),
        (f"{GOLDEN}/domain_policy.conf", "<kernel>\nuse_profile 3\nfile raed /etc/passwd\n", "raed"),
        (f"{GOLDEN}/exception_policy.conf", "path_gruop A /a\n", "path_gruop"),
        ("rootfs/recipes/webserver.toml", "[base", "webserver.toml"),
        ("kernel-patches/kernels.toml", "[6", "kernels.toml"),
        ("kernel-patches/ccs/6.12/series", "0001-nosuch.patch\n", "0001-nosuch.patch"),
    ],
)
def test_a_malformed_file_is_named_before_anything_is_built(
    checkout: Checkout, name: str, text: str, said: str
) -> None:
    (checkout.root / name).write_text(text)
    line = told(checkout.lab("lab.scenario", "apache-cgi"), 2)
    assert said in line
    assert Path(name).name in line
    assert not (checkout.root / "../cache").exists()
    assert not checkout.runs.exists()


def test_bytes_in_a_golden_policy(checkout: Checkout) -> None:
    (checkout.root / GOLDEN / "domain_policy.conf").write_bytes(b"\xff")
    assert "domain_policy.conf: " in told(checkout.lab("lab.scenario", "apache-cgi"), 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lab.scenario", "did not receive required positional arguments: 'name'"),
        ("lab.scenario apache-cig", "unknown lab 'apache-cig' - did you mean apache-cgi?"),
        ("lab.scenario ../labs/apache-cgi", "unknown lab"),
        ("lab.scenario apache-cgi --kernel 6.21", "unknown kernel '6.21' - did you mean 6.1, 6.12, 7.2?"),
        ("lab.scenario apache-cgi --kernel", "--kernel needs a value"),
        ("lab.scenario apache-cgi --arch sparc", "unknown architecture 'sparc' - there are: i386, x86_64"),
        ("lab.scenario apache-cgi --accel kmv", "unknown accelerator 'kmv' - did you mean kvm"),
        ("vm.boot --lab nosuch", "unknown lab 'nosuch' - there are: apache-cgi"),
        ("rootfs.build --recipe webservr", "unknown recipe 'webservr' - did you mean webserver?"),
        ("lab.clean --keep x", "keep must be a whole number from 0 to 1000000, not 'x'"),
        ("lab.clean --keep=-1", "keep must be a whole number from 0 to 1000000, not '-1'"),
        (
            "policy.check nosuch",
            "nosuch: cannot read: No such file or directory - give a policy file or folder",
        ),
        ("policy.diff policies nosuch", "nosuch: there is no such file or folder"),
        ("policy.convert nosuch", "nosuch: cannot read"),
        ("test --only nosuch", "nosuch: there is no such test file or folder"),
    ],
)
def test_what_was_mistyped_is_one_line(checkout: Checkout, words: str, said: str) -> None:
    assert said in told(checkout.lab(*words.split()), 2)
    assert not (checkout.root / "../cache").exists()


@pytest.mark.parametrize(
    "words", ["lab.scenario --help", "lab.scenario apache-cgi -h", "--help lab.scenario"]
)
def test_help_is_asked_for_before_or_after(checkout: Checkout, words: str) -> None:
    done = checkout.lab(*words.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ./inv [--core-opts] lab.scenario")


def test_qemu_is_not_installed(checkout: Checkout, tmp_path: Path) -> None:
    done = checkout.lab("lab.scenario", "apache-cgi", PATH=str(tmp_path))
    assert told(done, 3) == "qemu-system-x86_64 is not installed - apt-get install qemu-system-x86\n"


def test_the_doctor_names_a_cache_that_cannot_be(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    done = checkout.lab("lab.doctor", CCSLAB_CACHE=str(tmp_path / "cache/folder"), INVOKE_LAB_ACCEL="tcg")
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    (row,) = [line for line in done.stdout.splitlines() if line.strip().startswith("cache folder")]
    assert "missing" in row
    assert "memory" in done.stdout


def test_a_latest_run_that_was_deleted(checkout: Checkout) -> None:
    latest = checkout.runs / "latest"
    latest.mkdir(parents=True)
    (latest / "apache-cgi").symlink_to("../apache-cgi-x86_64-6.12-20080101T000000Z")
    for words in (["lab.status"], ["lab.clean"]):
        done = checkout.lab(*words)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert not (latest / "apache-cgi").is_symlink()


def test_a_run_that_was_killed_is_told_from_a_finished_one(checkout: Checkout) -> None:
    folder = checkout.runs / "apache-cgi-x86_64-6.12-20080101T000000Z"
    folder.mkdir(parents=True)
    (folder / ".run").write_text(
        '{"lab": "apache-cgi", "arch": "x86_64", "kernel": "6.12", "started": "2008-01-01T00:00:00+00:00"}'
    )
    beside = checkout.runs / "mutation" / folder.name
    shutil.copytree(folder, beside)
    head = {"journal": 1, "command": "lab.mutate", "asked": {}, "of": 475, "inputs": {}}
    lines = [head, *({"key": str(number), "result": {}} for number in range(276))]
    (beside / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = checkout.lab("lab.status")
    assert done.returncode == 0, done.stderr
    assert re.search(rf"runs/{folder.name} +broken off  ", done.stdout)
    assert "broken off, 276 of 475" in done.stdout


def test_a_bug_of_ours_is_one_line_and_no_verdict(checkout: Checkout) -> None:
    (checkout.root / "tasks.py").write_text(
        "from invoke import task\n@task\ndef one(c):\n    raise KeyError('x')\n"
    )
    line = told(checkout.lab("one", TMPDIR=str(checkout.root)), 3)
    assert "a fault in ccs-lab: KeyError: 'x'" in line
    (report,) = checkout.root.glob("ccs-lab-fault-*.txt")
    assert f"report it with {report}" in line
    assert "Traceback" in report.read_text()


def test_the_tab_key_completes_tasks_and_flags() -> None:
    script = """
        source <(./inv --print-completion-script bash)
        function=$(complete -p ./inv | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        press() { COMP_WORDS=("$@"); COMPREPLY=(); "$function" "$1" "${@: -1}"; echo "${COMPREPLY[*]}"; }
        press ./inv lab.s
        press ./inv lab.scenario apache-cgi --kern
    """
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.splitlines(), done.stderr) == (["lab.scenario lab.show lab.status", "--kernel"], "")
