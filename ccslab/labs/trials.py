# SPDX-License-Identifier: GPL-2.0-only
"""A lab's ``trials.toml``: calls, the controls that guard them, and what must come of each in each mode."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ccslab.datafile import Checked, Fault, Meta, Record, Text, read_toml
from ccslab.policy import language
from ccslab.policy.acl import parse_acl

FILE = "trials.toml"
NEXT = "NEXT"
"""What a call says that did its work for the second peer, as the first was turned away."""


class Rule(Checked):
    """A rule as a kernel prints it."""

    kind = "a rule of policy"

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if it is one.

        :raises Fault: it is none, or a kernel prints it otherwise.
        """
        try:
            printed = parse_acl(text).format()
        except ValueError as error:
            raise Fault(f"is no rule: {error}", mend="docs/policy.md has the syntax") from error
        if printed != text:
            raise Fault(f"is not as a kernel prints it: {text!r}", mend=printed)


Version = Annotated[str, Meta(pattern=r"\A\d+\.\d+\Z", description='a kernel version, such as "6.9"')]


class Trial(Record, frozen=True):
    """One call, and the control that guards it (the keys of the file)."""

    call: Text
    control: Text
    rule: Rule | None = None
    next: Rule | None = None
    says: Text = "OK"
    denied: Text = "ERRNO EPERM"
    grants: tuple[Rule, ...] = ()
    refuses: tuple[Rule, ...] = ()
    learned: Rule | None = None
    since: Version | None = None
    preference: Text = "enforcing_penalty=0"
    arches: tuple[Literal["x86_64", "i386"], ...] = ("x86_64", "i386")

    def on(self, version: str, arch: str) -> bool:
        """Whether kernels of a version have the call, for programs of an architecture."""
        return _number(version) >= _number(self.since or "") and arch in self.arches


class Trials(Record, frozen=True):
    """``trials.toml``."""

    trial: Annotated[tuple[Trial, ...], Meta(min_length=1)]


@dataclass(frozen=True)
class Attempt:
    """One trial in one mode.

    :param mode: of its control, a word of :data:`language.MODES`.
    :param program: ``controlcalls``, or ``controlcalls32``, whose system calls are i386's.
    :param given: the rule that the domain has.
    """

    trial: Trial
    program: str
    mode: str
    given: str = ""

    @property
    def name(self) -> str:
        """How it is told."""
        return f"{self.trial.call} {self.mode}" + (f" with {self.given}" if self.given else "")

    @property
    def column(self) -> str:
        """Under what it stands in a table: its mode; or what a rule that it is given must do."""
        if not self.given:
            return self.mode
        if self.given == self.trial.rule:
            return "granted"
        return "refused" if self.given in (*self.trial.refuses, self.trial.next) else "granted"

    def expected(self) -> Outcome:
        """What a kernel does that has the control."""
        trial, mode = self.trial, self.mode
        there = (self.given,) if self.given else ()
        if not trial.rule or mode == "disabled":
            return Outcome(trial.says)
        if mode != "enforcing":
            learned = (trial.learned or trial.rule,) if mode == "learning" else ()
            return Outcome(trial.says, ((mode, False, trial.rule),), learned)
        if self.column == "granted":
            return Outcome(trial.says, ((mode, True, trial.rule),), there)
        if self.given and self.given == trial.next:
            return Outcome(NEXT, ((mode, False, trial.rule), (mode, True, trial.next)), there)
        turned_away = tuple((mode, False, rule) for rule in (trial.rule, trial.next) if rule)
        return Outcome(trial.denied, turned_away, there)

    def told(self, outcome: Outcome) -> str:
        """In a word or two, for a table."""
        if outcome.says.startswith("LIED"):
            return "lied"
        if outcome.says == self.trial.denied:
            return "denied" if outcome.records else "denied, unlogged"
        if outcome.says == NEXT:
            return "next"
        if any(granted for _, granted, _ in outcome.records):
            return "granted"
        if any(mode == "learning" for mode, _, _ in outcome.records):
            return "learned"
        return "logged" if outcome.records else "passed"


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt.

    :param says: what the program said.
    :param records: of each audit record the mode, whether it was granted, and the request.
    :param rules: of the program's domain afterwards.
    """

    says: str
    records: tuple[tuple[str, bool, str], ...] = ()
    rules: tuple[str, ...] = ()


def read(folder: Path) -> list[Trial]:
    """The trials of a lab.

    :raises UserError: the file is malformed, or a rule is none.
    """
    return list(read_toml(folder / FILE, Trials).trial)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def attempts(trials: Sequence[Trial], version: str, programs: Mapping[str, str]) -> Iterator[Attempt]:
    """All that is tried on a kernel.

    :param programs: name -> the architecture whose calls it makes.
    """
    for program, arch in programs.items():
        for trial in trials:
            if not trial.on(version, arch):
                continue
            for mode in language.MODES:
                yield Attempt(trial, program, mode)
            # What is to be refused may be what is to be granted, of two peers with one name.
            for rule in dict.fromkeys((trial.rule, *trial.grants, *trial.refuses, trial.next)):
                if rule:
                    yield Attempt(trial, program, "enforcing", rule)
