# SPDX-License-Identifier: GPL-2.0-only
"""What a golden policy must show to be called proved, and how policy text is typed."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.labs.mutation import (
    IN_VAIN,
    TYPED,
    Mutant,
    Mutation,
    Need,
    Widened,
    added,
    recalled,
    told,
    typed,
)
from ccslab.policy.lines import Line
from ccslab.runs import folder as runs
from ccslab.runs import mutation as evidence
from ccslab.runs.completeness import INPUTS
from ccslab.runs.mutation import EXPLAINED, Proof, because, explanations
from ccslab.settings import Settings

APACHE = "<kernel> /usr/sbin/apache2"


def mutants(needed: int, *others: Need) -> list[Mutant]:
    needs = [*[Need.NEEDED] * needed, *others]
    return [Mutant(Line(APACHE, f"file read /{number}"), need) for number, need in enumerate(needs)]


def test_all_needed_and_every_attack_through_is_a_proof() -> None:
    assert Proof(mutants(3), [Widened("a", "A", through=True)]).passed


def test_what_is_not_needed_must_be_explained() -> None:
    proof = Proof(mutants(19, Need.REDUNDANT))
    assert (proof.share, proof.passed) == (0.95, False)
    (line,) = [one.line for one in proof.unexplained()]
    proof.explained = {line: "why not"}
    assert proof.passed
    assert because(proof.mutants[-1], proof).endswith(": why not")


def test_explaining_all_is_no_proof() -> None:
    proof = Proof(mutants(18, Need.UNEXERCISED, Need.UNEXERCISED))
    proof.explained = {one.line: "why not" for one in proof.unexplained()}
    assert proof.share == 0.9
    assert not proof.passed


def test_an_explanation_of_a_needed_line_is_wrong() -> None:
    proof = Proof(mutants(2), explained={Line(APACHE, "file read /1"): "nobody needs it"})
    assert proof.idle() == [Line(APACHE, "file read /1")]
    assert not proof.passed
    proof.chance = frozenset(proof.explained)
    assert proof.idle() == [], "another run may not need it"
    assert proof.passed


def test_an_attack_that_something_else_stops_is_no_proof() -> None:
    assert not Proof(mutants(2), [Widened("a", "A", through=False)]).passed


def test_a_line_of_which_no_other_is_known_says_so() -> None:
    proof = Proof(mutants(0, Need.REDUNDANT))
    assert because(proof.mutants[0], proof).endswith("no line that is known as well - NOT EXPLAINED")


def lab_with(folder: Path, text: str) -> Any:
    (folder / "policies/x").mkdir(parents=True)
    (folder / "policies/x" / EXPLAINED).write_text(text)
    return SimpleNamespace(name="x", folder=folder / "labs/x")


def test_explanations_are_by_line(tmp_path: Path) -> None:
    lab = lab_with(
        tmp_path, "[[kept]]\ndomain = '<kernel> /a'\nwhy = 'w'\nlines = ['file read /1', 'file read /2']"
    )
    domain = "<kernel> /a"
    assert explanations(lab) == {Line(domain, "file read /1"): "w", Line(domain, "file read /2"): "w"}


@pytest.mark.parametrize("text", ["kept = 1", "[[kept]]\nwhy = 'x'", "[[kept"])
def test_malformed_explanations_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"unproven\.toml.*: .* - write \[\[kept\]\]"):
        explanations(lab_with(tmp_path, text))


def test_added_domain_by_domain() -> None:
    lines = [Line(APACHE, "file read /1"), Line("<kernel> /b", "file read /2"), Line(APACHE, "file read /3")]
    assert list(added([*lines, Line("", "path_group X /x")])) == [
        [APACHE, "use_profile 3", "use_group 0", "file read /1", "file read /3"],
        ["<kernel> /b", "use_profile 3", "use_group 0", "file read /2"],
    ]


def test_long_policies_are_typed_in_parts_each_under_its_domain() -> None:
    commands: list[str] = []
    console = SimpleNamespace(unrecorded=contextlib.nullcontext)
    guest: Any = SimpleNamespace(machine=SimpleNamespace(console=console), typed=commands.append)
    lines = [f"file read /it's/{number}/{'x' * 90}" for number in range(60)]
    typed(guest, "d", [APACHE, *lines])
    assert len(commands) > 2
    told: list[str] = []
    for command in commands:
        assert len(command) < 1.5 * TYPED
        _, _, head, *some, pipe, program, flag = shlex.split(command)
        assert (head, pipe, program, flag) == (APACHE, "|", "ccs-loadpolicy", "-d")
        told += some
    assert told == lines


GOLDEN = [Line(APACHE, f"file read /{number}") for number in range(8)]


class FakeGuest:
    """A guest whose trials need no kernel; it fails at what it is told to.

    :param fails: name of a trial -> what it raises then.
    """

    def __init__(self, fails: dict[str, BaseException], *, dies: bool = False) -> None:
        self.fails = fails
        self.dies = dies
        self.lives = True
        self.patience = 1.0
        self.client = SimpleNamespace(timeout_s=0.0)
        self.machine = SimpleNamespace(alive=lambda: self.lives, kill=self.kill)

    def kill(self) -> None:
        self.lives = False

    on_console = staticmethod(contextlib.nullcontext)

    def try_(self, line: Line) -> Mutant:
        if error := self.fails.get(str(line)):
            self.lives = not self.dies
            raise error
        return Mutant(line, Need.NEEDED)


@pytest.fixture
def mutation(monkeypatch: pytest.MonkeyPatch) -> Mutation:
    """Of a golden policy of eight lines, each needed."""
    monkeypatch.setattr(Mutation, "without", lambda self, guest, line: guest.try_(line))
    made = Mutation.__new__(Mutation)
    made.chosen, made.attacks, made.failed = list(GOLDEN), [], []
    return made


def test_a_guest_that_fails_costs_no_other_s_results(mutation: Mutation) -> None:
    bad = str(GOLDEN[2])
    found: list[Any] = []
    guests: Any = [FakeGuest({bad: InfrastructureError("QEMU ended")}, dies=True) for _ in range(2)]
    mutation.mutate(guests, found.append)
    assert sorted(one.line for one in found) == [line for line in GOLDEN if str(line) != bad]
    assert [str(error) for error in mutation.failed] == ["QEMU ended"]
    proof = Proof(found)
    proof.order([str(line) for line in GOLDEN])
    assert proof.missing == [bad]
    assert not proof.passed
    assert [one["line"] for one in proof.document()["lines"]] == [
        f"file read /{n}" for n in (0, 1, 3, 4, 5, 6, 7)
    ]


def test_a_guest_that_fails_at_all_is_given_up(mutation: Mutation) -> None:
    guests: Any = [FakeGuest({str(line): InfrastructureError("no prompt") for line in GOLDEN})]
    mutation.mutate(guests, lambda found: None)
    assert len(mutation.failed) == IN_VAIN


def test_who_is_stopped_waits_for_no_guest(mutation: Mutation) -> None:
    told: list[Any] = []

    def tell(found: Any) -> None:
        told.append(found)
        raise InfrastructureError("the disk is full")

    guests: Any = [FakeGuest({})]
    with pytest.raises(InfrastructureError, match="the disk is full"):
        mutation.mutate(guests, tell)
    assert len(told) == 1
    assert not guests[0].lives


def test_what_is_known_is_not_tried_again(mutation: Mutation) -> None:
    mutation.leave_out({str(line): {} for line in GOLDEN[:5]})
    found: list[Any] = []
    guests: Any = [FakeGuest({})]
    mutation.mutate(guests, found.append)
    assert [one.line for one in found] == GOLDEN[5:]


def test_a_result_is_recalled_as_it_was_told() -> None:
    line, other = Line(APACHE, "file read /1"), Line("", "path_group X /1")
    for found in (
        Mutant(line, Need.REDUNDANT, "a step", "denied", True, [other]),
        Mutant(other),
        Widened("a", "A", "denied", [line, other], True),
    ):
        assert recalled(json.loads(json.dumps(told(found)))) == found
    for data in ({}, {"attack": "a"}, {"line": {"domain": "d"}}, {"line": 1, "need": "needed"}):
        with pytest.raises(UserError, match=r"is no result of lab\.mutate"):
            recalled(data)


@pytest.fixture
def proving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """lab.mutate on the golden policy's lines of /etc, with guests that need no kernel."""
    inputs = {name: {"manifest_sha256": "1", "sha256": "1"} for name in INPUTS}
    monkeypatch.setattr(Settings, "runs", tmp_path)
    monkeypatch.setattr(evidence.setup, "tidy", lambda settings: None)
    monkeypatch.setattr(evidence.setup, "build", lambda settings, recipe: None)
    monkeypatch.setattr(evidence.payload, "fitted", lambda lab, store: lab)
    monkeypatch.setattr(evidence, "manifest_of", lambda *_: SimpleNamespace(inputs=inputs))
    monkeypatch.setattr(Mutation, "without", lambda self, guest, line: guest.try_(line))
    through = {"lines": [GOLDEN[0]], "through": True}
    monkeypatch.setattr(Mutation, "widened", lambda self, guest, one: Widened(one.name, one.title, **through))

    def prove(guest: FakeGuest, **options: Any) -> int:
        monkeypatch.setattr(evidence, "guests", lambda *_: contextlib.nullcontext([guest]))
        return evidence.mutate(Settings(), "apache-cgi", only="/etc/", **options)

    return prove


def test_a_proof_that_broke_off_goes_on_to_the_same_document(
    proving: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proving(FakeGuest({})) == 0
    (whole,) = runs.listed(tmp_path / "mutation")
    names = [str(Line(one["domain"], one["line"])) for one in json.loads(text_of(whole))["lines"]]
    capsys.readouterr()

    with pytest.raises(InfrastructureError, match=r"came to no result: QEMU ended"):
        proving(FakeGuest({names[3]: InfrastructureError("QEMU ended")}, dies=True))
    first, broken = runs.listed(tmp_path / "mutation")
    assert first.folder == whole.folder
    assert broken.told == f"broken off, 3 of {len(names)}"
    found = json.loads(text_of(broken))
    assert (len(found["lines"]), found["missing"][0], found["passed"]) == (3, names[3], False)
    said = capsys.readouterr().out
    assert f"no result: {names[3]}"[:60] in said
    assert "the same command with --resume goes on" in said

    with pytest.raises(KeyboardInterrupt):
        proving(FakeGuest({names[5]: KeyboardInterrupt()}), resume=True)
    assert broken.told == f"broken off, 5 of {len(names)}"
    assert len(json.loads(text_of(broken))["lines"]) == 5

    assert proving(FakeGuest(dict.fromkeys(names[:5], ZeroDivisionError())), resume=True) == 0
    assert text_of(broken) == text_of(whole)
    assert "(5 results from before the run broke off)" in " ".join(capsys.readouterr().out.split())
    assert runs.latest(tmp_path / "mutation", "apache-cgi") == broken
    with pytest.raises(UserError, match="there is no run that broke off"):
        proving(FakeGuest({}), resume=True)


def text_of(run: runs.Run) -> str:
    """What a proof's document says."""
    return (run.folder / evidence.FILE).read_text()
