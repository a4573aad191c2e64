# SPDX-License-Identifier: GPL-2.0-only
"""The manifest names all that went into a run, and a folder that lacks something is told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evidence_sample as sample
import pytest

from ccslab.errors import UserError
from ccslab.evidence.results import write_results
from ccslab.results import SURVIVES, Check, Phase
from ccslab.runs.completeness import verify_complete
from ccslab.runs.manifest import Manifest, checkout, gather, read_manifest, write_manifest
from ccslab.runs.recording import recording


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a lab and a golden policy."""
    root = tmp_path / "checkout"
    for name in ("labs/sample-lab/lab.toml", "policies/sample-lab/domain_policy.conf", "ccslab/errors.py"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(f"# {name}\n")
    sample.artifact(tmp_path / "kernel" / "1234", release="6.12.0-ccs", bzImage_sha256="ab" * 32)
    sample.artifact(tmp_path / "image" / "5678", packages={"apache2": "2.4.65-1"}, suites=["bookworm"])
    return root


def gathered(root: Path) -> Manifest:
    """The manifest of a run from that checkout."""
    return gather(
        root=root,
        lab=root / "labs" / "sample-lab",
        golden=root / "policies" / "sample-lab",
        kernel=root.parent / "kernel" / "1234",
        image=root.parent / "image" / "5678",
        accel="tcg",
        accel_why="there is no /dev/kvm",
        command=["./inv", "lab.scenario", "sample lab"],
    )


def git(root: Path, *words: str) -> str:
    """Run git in a repository that has nothing of this machine's configuration."""
    who = ["-c", "user.name=A Tester", "-c", "user.email=tester@example.invalid"]
    argv = ["git", "-C", str(root), *who, "-c", "commit.gpgsign=false", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_inputs_are_named_and_hashed(root: Path, tmp_path: Path) -> None:
    document = read_manifest(write_manifest(gathered(root), tmp_path))
    inputs = document["inputs"]
    assert inputs["image"]["key"] == "5678"
    assert inputs["image"]["manifest"]["packages"] == {"apache2": "2.4.65-1"}
    assert inputs["kernel"]["manifest"]["release"] == "6.12.0-ccs"
    assert inputs["lab"]["folder"] == "labs/sample-lab"
    assert document["accel"] == {"name": "tcg", "why": "there is no /dev/kvm"}
    assert document["command_line"] == "./inv lab.scenario 'sample lab'"
    assert (document["ended"], document["seconds"]) == (None, None)
    assert document["started"].endswith("+00:00")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("labs/sample-lab/lab.toml", "lab"),
        ("policies/sample-lab/domain_policy.conf", "golden_policy"),
        ("ccslab/errors.py", "harness"),
    ],
)
def test_a_changed_input_changes_its_hash_and_no_other(root: Path, name: str, key: str) -> None:
    before = gathered(root).inputs
    (root / name).write_text("# changed\n")
    after = gathered(root).inputs
    assert {one for one in before if before[one] != after[one]} == {key}


def test_the_host_is_described(root: Path) -> None:
    host = gathered(root).host
    assert host["cores"] >= 1
    assert host["memory_bytes"] > 64 * 1024**2
    assert {"rich", "invoke", "fabric"} <= set(host["python_packages"])
    assert all(host[key] for key in ("cpu", "os", "kernel", "python"))
    assert str(root) not in json.dumps(host)


def test_the_checkouts_commit_and_changes(root: Path) -> None:
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "Begin")
    commit = git(root, "rev-parse", "HEAD")
    assert checkout(root) == {"commit": commit, "dirty": False}
    (root / "labs" / "sample-lab" / "lab.toml").write_text("# changed\n")
    assert checkout(root) == {"commit": commit, "dirty": True}
    # An unpacked tarball within somebody's checkout is not that checkout.
    assert checkout(root / "labs") == {"commit": None, "dirty": None}


def test_a_tree_without_git(root: Path) -> None:
    assert checkout(root) == {"commit": None, "dirty": None}


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_an_artifact_without_a_good_manifest_is_refused(root: Path, content: str | None) -> None:
    path = root.parent / "kernel" / "1234" / "manifest.json"
    path.unlink()
    if content:
        path.write_text(content)
    with pytest.raises(UserError, match=r"1234/manifest\.json"):
        gathered(root)


def whole(root: Path) -> Path:
    """The folder of a run that left everything."""
    with recording(root.parent / "runs", sample.passed(), gathered(root)) as run:
        sample.fill(run.folder)
    return run.folder


def test_a_whole_run_lacks_nothing(root: Path) -> None:
    assert verify_complete(whole(root)) == []


def emptied(path: Path) -> None:
    """Leave a file of no bytes."""
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [Path.unlink, emptied])
@pytest.mark.parametrize(
    "name",
    [
        "results.json", "junit.xml", "manifest.json", "console.log", "console.cast", "audit.log",
        "policy/learned/domain_policy.conf", "policy/tuned/domain_policy.conf",
        "policy/enforcing/domain_policy.conf",
    ],
)  # fmt: skip
def test_what_lacks_is_named(root: Path, name: str, harm: Callable[[Path], Any]) -> None:
    folder = whole(root)
    harm(folder / name)
    (told,) = verify_complete(folder)
    assert told.startswith(name.removesuffix("/domain_policy.conf"))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("console.cast", '{"version": 1}\n', "console.cast: is no asciicast v2"),
        ("junit.xml", "<testsuites/>", "junit.xml: holds no test"),
        ("manifest.json", '{"inputs": {}, "ended": "x"}', "manifest.json: names no kernel"),
    ],
)
def test_what_is_hollow_is_named(root: Path, name: str, content: str, told: str) -> None:
    folder = whole(root)
    (folder / name).write_text(content)
    assert verify_complete(folder)[0] == told


def test_a_manifest_without_an_end_is_named(root: Path) -> None:
    folder = whole(root)
    document = read_manifest(folder / "manifest.json")
    (folder / "manifest.json").write_text(json.dumps({**document, "ended": None}))
    assert verify_complete(folder) == ["manifest.json: says no end"]


def test_a_run_killed_at_once_lacks_nearly_all(root: Path) -> None:
    with pytest.raises(SystemExit), recording(root.parent / "runs", sample.broken(), gathered(root)) as run:
        raise SystemExit
    assert verify_complete(run.folder) == ["console.log: is missing or empty (what the serial console said)"]
    (run.folder / "manifest.json").unlink()
    (run.folder / "results.json").unlink()
    assert "results.json: is missing" in verify_complete(run.folder)
    assert "manifest.json: is missing" in verify_complete(run.folder)


def test_a_kernel_that_died_owes_no_more_than_it_lived_to_see(root: Path) -> None:
    results = sample.passed()
    survives = Check("enforcing", SURVIVES, False, "the guest panicked")
    results.checks.append(survives)
    with recording(root.parent / "runs", results, gathered(root)) as run:
        (run.folder / "console.log").write_text("Kernel panic\n")
        (run.folder / "console.cast").write_text('{"version": 2}\n')
    assert verify_complete(run.folder) == []
    survives.passed = True
    write_results(results, run.folder)
    assert len(verify_complete(run.folder)) > 3, "one that lived owes all"


def test_a_small_guest_s_recording_is_in_a_folder_of_its_own(root: Path) -> None:
    results = sample.passed()
    results.phases, results.grids = [Phase("trials")], []
    results.checks = [Check("trials", "all is well", True)]
    with recording(root.parent / "runs", results, gathered(root)) as run:
        guest = run.folder / "guest"
        guest.mkdir()
        (guest / "console.log").write_text("trial|0\n")
        (guest / "console.cast").write_text('{"version": 2}\n')
    assert verify_complete(run.folder) == []
    (guest / "console.cast").unlink()
    assert verify_complete(run.folder) == ["console.cast: is missing or empty (the recording of the console)"]
