# SPDX-License-Identifier: GPL-2.0-only
"""Policies of two architectures: what is equal, what differs as declared, and what differs otherwise.

The declared differences are data (``policies/architectures.toml``).  By the same table, policy text that is
written once, in the words of its reference architecture, is translated for another one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from ccslab.datafile import Checked, Fault, Meta, Parsed, Record, Text, field, parse_toml, part, read_text_of
from ccslab.errors import unknown
from ccslab.policy.acl import Acl
from ccslab.policy.canonical import by_atom
from ccslab.policy.diff import attributes, exception_lines
from ccslab.policy.domain import DomainPolicy
from ccslab.policy.exception import ExceptionPolicy

EXCEPTIONS = "exception policy"  # the scope of its lines; a domain's name begins with its namespace

Policy = tuple[DomainPolicy, ExceptionPolicy]


class Line(NamedTuple):
    """One line of a policy, one operation of it, and the domain it stands in (or :data:`EXCEPTIONS`)."""

    scope: str
    text: str

    def __str__(self) -> str:
        return f"{self.scope}: {self.text}"


class _Word(Checked):
    """One word, or one component of a pathname."""

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if it is one.

        :raises ValueError: it is more than one.
        """
        if "/" in text or " " in text:
            raise ValueError(f"{text!r} is more than one word or component of a pathname")


class _Named(Record, frozen=True):
    name: Text
    why: Text


class Spelling(Parsed):
    """The same thing under a name of its own on each architecture.

    :param words: architecture -> its word: a whole word, or a whole component of a pathname.
    """

    def __init__(self, name: str, why: str, words: Mapping[str, str]) -> None:
        self.name = name
        self.why = why
        self.words = words

    @classmethod
    def from_data(cls, data: Any) -> Spelling:
        """A table of ``name``, ``why``, and every other key is an architecture.

        :raises Fault: it is something else.
        """
        table, names = part(data, dict[Text, Any]), _Named.__struct_fields__
        named = part({key: value for key, value in table.items() if key in names}, _Named)
        words = part({key: value for key, value in table.items() if key not in names}, dict[Text, _Word])
        return cls(named.name, named.why, words)


class Only(_Named, frozen=True, kw_only=True):
    """Lines that one architecture has and others have not."""

    arch: Text
    domain: Text = EXCEPTIONS
    lines: Annotated[tuple[Text, ...], Meta(min_length=1)]


class Difference(NamedTuple):
    """A pair of lines that differ as declared; one of them is None where only one architecture has it."""

    declaration: str
    """Names of the declarations at work, joined by commas."""
    a: Line | None
    b: Line | None


class Declared(Record, frozen=True):
    """In what policies of two architectures may differ.

    :param reference: the architecture in whose words shared policy text is written.
    """

    reference: Text
    spellings: tuple[Spelling, ...] = field(default=(), name="spelling")
    only: tuple[Only, ...] = ()

    def __post_init__(self) -> None:
        arches = {self.reference, *(arch for one in self.spellings for arch in one.words)}
        for number, one in enumerate(self.spellings):
            if lacking := ", ".join(sorted(arches - set(one.words))):
                raise Fault(
                    f"{one.name!r} must have a word for each architecture: {lacking}", "spelling", number
                )
        for arch in arches:
            words = [one.words[arch] for one in self.spellings]
            if len(set(words)) != len(words):
                what = f"two have the same word for {arch}: nothing could tell them apart"
                raise Fault(what, "spelling")
        for number, lines in enumerate(self.only):
            if lines.arch not in arches:
                near = unknown("architecture", lines.arch, arches)
                raise Fault(near.what, "only", number, "arch", mend=near.mend)

    def check(self, arch: str) -> None:
        """Refuse an architecture that the table does not know.

        :raises UserError: names the nearest it does.
        """
        known = {self.reference, *(arch for one in self.spellings for arch in one.words)}
        if arch not in known:
            raise unknown("architecture", arch, sorted(known))

    def translate(self, text: str, to: str, source: str = "") -> str:
        """Text in the words of ``source`` (the reference, if none is given) in those of ``to``."""
        words = {one.words[source or self.reference]: one.words[to] for one in self.spellings}
        return _finder(words).sub(lambda found: words[found[0]], text)

    def neutral(self, text: str, arch: str) -> tuple[str, list[str]]:
        """The text without an architecture's own words, and the names of the spellings that it had.

        Another architecture's words stay: of an i386 guest, a library of x86_64 is a finding.
        """
        names = {one.words[arch]: one.name for one in self.spellings}
        finder = _finder(names)
        # No line of policy has control characters, so nothing else can look like this.
        neutral = finder.sub(lambda found: f"\0{names[found[0]]}\0", text)
        return neutral, [names[word] for word in finder.findall(text)]

    def only_in(self, arch: str, other: str) -> dict[Line, str]:
        """Lines that ``arch`` alone has, beside ``other``, to the name of their declaration."""
        return {
            Line(one.domain, text): one.name
            for one in self.only
            if one.arch == arch and arch != other
            for text in one.lines
        }


@dataclasses.dataclass
class Parity:
    """Two policies side by side; they are on a par if nothing is undeclared."""

    equal: list[Line] = dataclasses.field(default_factory=list)
    declared: list[Difference] = dataclasses.field(default_factory=list)
    undeclared_a: list[Line] = dataclasses.field(default_factory=list)
    undeclared_b: list[Line] = dataclasses.field(default_factory=list)

    def __bool__(self) -> bool:
        return not self.undeclared_a and not self.undeclared_b

    def drift(self) -> list[str]:
        """The undeclared lines as text: ``@@ scope @@``, then lines with ``-`` (only in a) and ``+``."""
        marked = [("-", line) for line in self.undeclared_a] + [("+", line) for line in self.undeclared_b]
        out: list[str] = []
        for scope in dict.fromkeys(sorted(line.scope for _, line in marked)):
            out.append(f"@@ {scope} @@")
            out += [mark + line.text for mark, line in marked if line.scope == scope]
        return out


def compare(
    a: Policy, b: Policy, declared: Declared, *, arches: tuple[str, str] = ("x86_64", "i386")
) -> Parity:
    """Compare the policies of two architectures in what they mean, line by line and operation by operation.

    :param arches: the architectures of ``a`` and ``b``; if they are the same, nothing may differ.
    :raises UserError: the table does not know one of them.
    """
    for arch in arches:
        declared.check(arch)
    found = Parity()
    here, there = (
        {_neutral(key, declared, arch): spelled for key, spelled in _lines(*policy)}
        for policy, arch in zip((a, b), arches, strict=True)
    )
    only_a, only_b = declared.only_in(*arches), declared.only_in(*reversed(arches))
    for key in sorted({*here, *there}):
        line_a, line_b = here.get(key), there.get(key)
        if line_a and line_b:
            if key.names and arches[0] != arches[1]:
                found.declared.append(Difference(", ".join(key.names), line_a, line_b))
            else:
                found.equal.append(line_a)
        elif line_a and line_a in only_a:
            found.declared.append(Difference(only_a[line_a], line_a, None))
        elif line_b and line_b in only_b:
            found.declared.append(Difference(only_b[line_b], None, line_b))
        elif line_a:
            found.undeclared_a.append(line_a)
        elif line_b:
            found.undeclared_b.append(line_b)
    return found


def load_declared(path: str | Path) -> Declared:
    """Read the table of declared differences.

    :raises UserError: it cannot be read, or something in it is unknown, missing or ambiguous.
    """
    return parse_declared(read_text_of(Path(path), "give a TOML file"), str(path))


def parse_declared(text: str, source: str = "") -> Declared:
    """The table of declared differences from its text.

    :raises UserError: something in it is unknown, missing or ambiguous; says what.
    """
    return parse_toml(text, Declared, source or "declared differences")


def _finder(words: Iterable[str]) -> re.Pattern[str]:
    """Finds whole words or components, so that no other name changes that has one of them inside."""
    every = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![\w.+-])(?:{every or '(?!)'})(?![\w.+-])")


class _Key(NamedTuple):
    """What a line is compared by."""

    scope: str
    text: str
    names: tuple[str, ...]


def _neutral(line: Line, declared: Declared, arch: str) -> _Key:
    scope, here = declared.neutral(line.scope, arch)
    text, there = declared.neutral(line.text, arch)
    return _Key(scope, text, tuple(dict.fromkeys([*here, *there])))


def _lines(domains: DomainPolicy, exceptions: ExceptionPolicy) -> Iterator[tuple[Line, Line]]:
    """Each line's one form, by which it is compared, and the line as it is spelled."""
    for domain in domains.domains.values():
        for text in attributes(domain):
            yield Line(domain.name, text), Line(domain.name, text)
        spelled: dict[Acl, Acl] = by_atom(domain.acls)
        for atom, acl in spelled.items():
            yield Line(domain.name, atom.format()), Line(domain.name, acl.format())
    for entry in exceptions.entries:
        scope = EXCEPTIONS if entry.namespace == "<kernel>" else f"{EXCEPTIONS} {entry.namespace}"
        for form, text in exception_lines(entry):
            yield Line(scope, form), Line(scope, text)
