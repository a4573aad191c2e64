# SPDX-License-Identifier: GPL-2.0-only
"""The interface's lab: what the guest prints is read, and what is wrong is told."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.labs import interface
from ccslab.labs.interface import Asked, Found
from ccslab.policy import language
from ccslab.policy.domain import parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.profile import parse_profile
from ccslab.runs import folder as runs
from ccslab.runs import interface as report
from ccslab.settings import Settings
from tests.checkout import ROOT

ASKED = Asked(cycles=100, seconds=60, seed=1)
EVERY = interface.every(ROOT)


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
    some = (ROOT / interface.FOLDER / "some" / f"{name}.conf").read_text().splitlines()
    assert set(some) <= set(EVERY[name].splitlines())


SAID = """\
[    1.0] a line of the kernel's
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
cycled|100
left|1000
fuzzed|1|opened=3 written=4 refused=5 read=6 bytes=7 asked=8 denied=9
fuzzed|2|opened=30 written=40 refused=50 read=60 bytes=70 asked=80 denied=90
open|allowed|OK
open|denied|1
interface: all done
"""
WANTED = interface.of_domains(
    [("exception_policy", "<kernel> path_group A /a"), ("domain_policy", "<kernel> /a"),
     ("domain_policy", "use_profile 4"), ("domain_policy", "file read /a|b")]
)  # fmt: skip


def wrong(found: Found) -> list[str]:
    return [
        check.what.split()[0] + " " + check.what.split()[1]
        for check in report.checks(found, ASKED, WANTED)
        if not check.passed
    ]


def test_what_the_guest_prints() -> None:
    found = interface.parse(SAID)
    assert found.memory == {"before": 1000, "after": 1000}
    assert found.counts["denied"] == 90
    assert found.opened == {"allowed": "OK", "denied": "1"}
    assert interface.of_domains(found.lines["written"])["domain_policy"] == [
        "<kernel> /a: use_profile 4",
        "<kernel> /a: file read /a|b",
    ]
    assert wrong(found) == []


DELETED = "deleted|domain_policy|<kernel> /a\ndeleted|domain_policy|use_profile 4\n"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("written|domain_policy|file read /a|b\n", "", ["each line", "what was"]),
        ("again|domain_policy|file read /a|b\n", "", ["what was"]),
        ("deleted|domain_policy|<kernel>\n", DELETED, ["each line"]),
        ("left|1000", "left|1001", ["100 times"]),
        ("denied=90", "denied=0", ["60 s"]),
        ("open|denied|1", "open|denied|OK", ["policy is"]),
        ("open|allowed|OK", "open|allowed|1", ["policy is"]),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told(old: str, new: str, what: list[str]) -> None:
    assert SAID.count(old) == 1
    assert wrong(interface.parse(SAID.replace(old, new))) == what


def test_a_guest_that_dies_has_answered_what_it_came_to() -> None:
    """Cut after any line, what is told is what the whole tells."""
    whole = list(report.checks(interface.parse(SAID), ASKED, WANTED))
    lines = SAID.splitlines(keepends=True)
    came_to = set()
    for cut in range(len(lines) + 1):
        said = report.answered(interface.parse("".join(lines[:cut])), ASKED, WANTED)
        came_to.add(len(said))
        passed = [(check.what, check.passed) for check in whole][: len(said)]
        assert [(check.what, check.passed) for check in said] == passed
    assert came_to == set(range(len(whole) + 1))


def test_a_broken_off_examination_leaves_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Settings, "runs", tmp_path / "runs")
    (tmp_path / "manifest.json").write_text('{"release": "6.12.1"}')
    monkeypatch.setattr(report.command, "build", lambda settings: tmp_path)
    monkeypatch.setattr(interface, "wanted", lambda root: WANTED)

    def try_all(settings: Settings, kernel: Path, asked: Asked, folder: Path, **_: object) -> Found:
        (folder / "guest").mkdir()
        (folder / "guest/console.log").write_text(SAID.partition("fuzzed|")[0])
        raise InfrastructureError("the guest died")

    monkeypatch.setattr(interface, "try_all", try_all)
    with pytest.raises(InfrastructureError, match="the guest died"):
        report.examine(Settings(), cycles=100, minutes=1.0, seed=1)
    (run,) = runs.listed(tmp_path / "runs/interface")
    told = json.loads((run.folder / report.FILE).read_text())
    assert (len(told["checks"]), told["missing"]) == (4, 2)
    assert (run.folder / report.REPORT).is_file()
    assert "2 of 6 checks came to no answer" in capsys.readouterr().out


def test_a_mistake_of_the_kernel_is_one() -> None:
    assert wrong(replace(interface.parse(SAID), splats=["KASAN: use-after-free"])) == ["60 s"]


def test_domains_are_deleted_after_their_rules() -> None:
    text = interface._deleting(
        "domain_policy", "<kernel> /a\nuse_profile 3\nquota_exceeded\n\nfile read /a\n"
    )
    assert text.splitlines() == ["select domain=<kernel> /a", "delete file read /a", "delete <kernel> /a"]


@pytest.mark.parametrize("numbers", [{"cycles": 0}, {"minutes": 0.0}, {"seed": 0}])
def test_numbers_that_are_none(numbers: dict[str, float]) -> None:
    with pytest.raises(UserError, match="more than 0"):
        report.examine(Settings(), **{"cycles": 1, "minutes": 1.0, "seed": 1, **numbers})  # type: ignore[arg-type]
