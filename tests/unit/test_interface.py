# SPDX-License-Identifier: GPL-2.0-only
"""The interface's lab: what the guest prints is read, and what is wrong is a failed check."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccslab.errors import UserError
from ccslab.labs import definition, phases
from ccslab.labs.run import Run
from ccslab.policy import language
from ccslab.policy.domain import parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.profile import parse_profile
from ccslab.results import Results
from tests.checkout import ROOT

FOLDER = ROOT / "labs/interface"
LAB: Any = phases.module(FOLDER)
EVERY = {name: LAB.policy("every", name) for name in LAB.FILES}


def words() -> set[str]:
    """Every word of the language."""
    found: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            found.update(str(one) for one in value)

    walk(tomllib.loads((ROOT / "ccslab/policy/language.toml").read_text()))
    return found


def test_every_word_of_the_language_is_in_the_policy_of_every_kind() -> None:
    text = "\n".join(EVERY.values())
    missing = {word for word in words() if not re.search(rf"(?<![\w.]){re.escape(word)}(?![\w])", text)}
    networks = {word for word in missing if word.startswith("network::")}
    assert all(word.removeprefix("network::") in text for word in networks)
    assert missing - networks == set()


def test_the_lab_reads_it_as_the_kernel_prints_it() -> None:
    policy = parse_domain_policy(EVERY["domain_policy"])
    assert policy.format().split() == EVERY["domain_policy"].split()
    exceptions = parse_exception_policy(EVERY["exception_policy"])
    assert exceptions.format().count("\n") >= EVERY["exception_policy"].count("\n") - 1
    assert len(language.MODES) == len({mode for mode in language.MODES if f"mode={mode}" in EVERY["profile"]})
    assert parse_profile(EVERY["profile"])


@pytest.mark.parametrize("name", ["domain_policy", "exception_policy"])
def test_what_comes_and_goes_is_known_to_be_read(name: str) -> None:
    """A malformed line is dropped without a word, and would be no test of anything."""
    some = LAB.policy("some", name).splitlines()
    assert set(some) <= set(EVERY[name].splitlines())


SAID = """\
written|exception_policy|<kernel> path_group A /a
written|domain_policy|<kernel> /a
written|domain_policy|use_profile 4
written|domain_policy|
written|domain_policy|file read /a|b
deleted|domain_policy|<kernel>
again|exception_policy|<kernel> path_group A /a
again|domain_policy|<kernel> /a
again|domain_policy|use_profile 4
again|domain_policy|file read /a|b
memory|before|1000
cycled|50
cycled|100
left|1000
fuzzed|1|opened=3 written=4 refused=5 read=6 bytes=7 asked=8 denied=9
fuzzed|2|opened=30 written=40 refused=50 read=60 bytes=70 asked=80 denied=90
open|allowed|OK
open|denied|1
interface: all done
"""
POLICY = {
    "exception_policy": "<kernel> path_group A /a\n",
    "domain_policy": "<kernel> /a\nuse_profile 4\n\nfile read /a|b\n",
}


class Played(Run):
    """A run whose small guest has said it all."""

    def __init__(self, folder: Path, text: str) -> None:
        self.text = text
        self.at = 0
        lab = definition.load(FOLDER)
        super().__init__(lab, Results("interface", "x86_64", "6.12"), folder, observe=lambda phase: None)

    def small(self, files: Any, *, until: str) -> Any:
        self.expect(until, 0.0)

    def expect(self, pattern: str, timeout_s: float) -> re.Match[str]:
        match = re.compile(pattern).search(self.text, self.at)
        assert match, f"the guest never shows {pattern}"
        self.at = match.end()
        return match

    def console_log(self) -> str:
        return self.text


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What comes of the lab, if its guest says this."""
    monkeypatch.setattr(LAB, "files", lambda run: {})
    monkeypatch.setattr(LAB, "policy", lambda folder, name: POLICY.get(name, ""))

    def play(text: str) -> Results:
        run = Played(tmp_path, text)
        run.go()
        return run.results

    return play


def wrong(results: Results) -> list[str]:
    return [check.name for check in results.checks if not check.passed]


def test_what_the_guest_prints(play: Any) -> None:
    results = play(SAID)
    assert results.passed
    assert [phase.name for phase in results.phases] == ["kinds", "cycles", "fuzz", "enforced"]
    assert results.measured("policy memory") == {"before": 1000, "after": 1000}
    assert results.measured("fuzzing")["denied"] == 90
    assert len(results.checks) == 8


DELETED = "deleted|domain_policy|<kernel> /a\ndeleted|domain_policy|use_profile 4\n"


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        (
            "written|domain_policy|file read /a|b\n",
            "",
            ["each line is read back as it was written", "what was saved is the same when it is loaded"],
        ),
        ("again|domain_policy|file read /a|b\n", "", ["what was saved is the same when it is loaded"]),
        ("deleted|domain_policy|<kernel>\n", DELETED, ["each line is gone when it is deleted"]),
        ("left|1000", "left|1001", ["loading and deleting leave no memory behind"]),
        ("denied=90", "denied=0", ["something was denied"]),
        ("written=40", "written=0", ["something was written"]),
        ("open|denied|1", "open|denied|OK", ["what no rule allows is denied"]),
        ("open|allowed|OK", "open|allowed|1", ["what a rule allows can be opened"]),
    ],
)
def test_what_goes_wrong_is_a_failed_check(play: Any, old: str, new: str, names: list[str]) -> None:
    assert SAID.count(old) == 1
    results = play(SAID.replace(old, new))
    assert wrong(results) == names
    assert results.verdict == "failed"


def test_domains_are_deleted_after_their_rules() -> None:
    text = LAB.deleting("domain_policy", "<kernel> /a\nuse_profile 3\nquota_exceeded\n\nfile read /a\n")
    assert text.splitlines() == ["select domain=<kernel> /a", "delete file read /a", "delete <kernel> /a"]


def test_the_guest_is_told_how_much_is_asked(tmp_path: Path) -> None:
    (tmp_path / LAB.PROGRAM).touch()
    run: Any = SimpleNamespace(
        options={"cycles": 100, "minutes": 0.5, "seed": 7}, bench=SimpleNamespace(made=lambda lab: tmp_path)
    )
    files = LAB.files(run)
    assert files["interface/asked"] == "100 7 30\n"
    assert files["interface/corpus/.process_status"].startswith("1\n")
    assert "file read" in files["interface/corpus/domain_policy"]
    assert set(LAB.SOME) <= {name.rpartition("/")[2].removesuffix(".delete") for name in files}


@pytest.mark.parametrize(
    "word", ["cycles=0", "cycles=1.5", "minutes=0", "minutes=nan", "seed=x", "seed", "cycle=5"]
)
def test_options_that_are_none(word: str) -> None:
    with pytest.raises(UserError, match="--set"):
        definition.load(FOLDER).choose([word])


def test_options_are_numbers_of_their_kind() -> None:
    chosen = definition.load(FOLDER).choose(["cycles=20", "minutes=0.5"])
    assert chosen == {"cycles": 20, "minutes": 0.5, "seed": 1}
