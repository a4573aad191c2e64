# SPDX-License-Identifier: GPL-2.0-only
"""What a golden policy must show to be called proved, and how policy text is typed."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccslab.errors import UserError
from ccslab.evidence.mutation import EXPLAINED, Proof, because, explanations
from ccslab.labs.mutation import TYPED, Mutant, Need, Widened, added, typed
from ccslab.policy.lines import Line

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
    with pytest.raises(UserError, match=r"unproven\.toml: .* - write \[\[kept\]\]"):
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
