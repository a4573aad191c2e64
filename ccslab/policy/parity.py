# SPDX-License-Identifier: GPL-2.0-only
"""Policies of two architectures: what is equal, what differs as declared, and what differs otherwise.

The declared differences are data (``policies/architectures.toml``).  By the same table, policy text that is
written once, in the words of its reference architecture, is translated for another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ccslab.datafile import parse_toml, read_text_of
from ccslab.errors import UserError, unknown
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


@dataclass(frozen=True)
class Spelling:
    """The same thing under a name of its own on each architecture."""

    name: str
    why: str
    words: Mapping[str, str]
    """Architecture -> its word: a whole word, or a whole component of a pathname."""


@dataclass(frozen=True)
class Only:
    """Lines that one architecture has and others have not."""

    name: str
    why: str
    arch: str
    lines: tuple[Line, ...]


class Difference(NamedTuple):
    """A pair of lines that differ as declared; one of them is None where only one architecture has it."""

    declaration: str
    """Names of the declarations at work, joined by commas."""
    a: Line | None
    b: Line | None


@dataclass(frozen=True)
class Declared:
    """In what policies of two architectures may differ.

    :param reference: the architecture in whose words shared policy text is written.
    """

    reference: str
    spellings: tuple[Spelling, ...] = ()
    only: tuple[Only, ...] = ()

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
            line: one.name for one in self.only if one.arch == arch and arch != other for line in one.lines
        }


@dataclass
class Parity:
    """Two policies side by side; they are on a par if nothing is undeclared."""

    equal: list[Line] = field(default_factory=list)
    declared: list[Difference] = field(default_factory=list)
    undeclared_a: list[Line] = field(default_factory=list)
    undeclared_b: list[Line] = field(default_factory=list)

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
    where = source or "declared differences"
    data = parse_toml(text, where)
    try:
        return _declared(data)
    except ValueError as error:
        raise UserError(str(error), where=where, mend="correct the file") from None


def _declared(data: dict[str, Any]) -> Declared:
    _only_keys(data, {"reference", "spelling", "only"}, "the table")
    reference = _text(data, "reference", "the table")
    spellings = tuple(_spelling(entry) for entry in _tables(data, "spelling"))
    arches = set(spellings[0].words) if spellings else {reference}
    for one in spellings:
        if set(one.words) != arches or reference not in arches:
            raise ValueError(
                f"spelling {one.name!r} must have a word for each of {', '.join(sorted(arches))}"
            )
    for arch in arches:
        words = [one.words[arch] for one in spellings]
        if len(set(words)) != len(words):
            raise ValueError(f"two spellings have the same word for {arch}: nothing could tell them apart")
    return Declared(reference, spellings, tuple(_only(entry, arches) for entry in _tables(data, "only")))


def _spelling(entry: dict[str, Any]) -> Spelling:
    name = _text(entry, "name", "a spelling")
    words = {arch: _text(entry, arch, name) for arch in entry if arch not in ("name", "why")}
    for word in words.values():
        if "/" in word or " " in word:
            raise ValueError(f"{name}: {word!r} is more than one word or component of a pathname")
    return Spelling(name, _text(entry, "why", name), words)


def _only(entry: dict[str, Any], arches: set[str]) -> Only:
    name = _text(entry, "name", "an only")
    _only_keys(entry, {"name", "why", "arch", "domain", "lines"}, name)
    arch = _text(entry, "arch", name)
    if arch not in arches:
        raise ValueError(f"{name}: unknown architecture {arch!r}, there are: {', '.join(sorted(arches))}")
    lines = entry.get("lines")
    if not isinstance(lines, list) or not lines or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"{name}: lines must be a list of policy lines")
    scope = _text(entry, "domain", name) if "domain" in entry else EXCEPTIONS
    return Only(name, _text(entry, "why", name), arch, tuple(Line(scope, line) for line in lines))


def _tables(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = data.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{key} must be an array of tables, each begun with [[{key}]]")
    return entries


def _only_keys(entry: dict[str, Any], known: set[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise ValueError(f"{where} has an unknown key {key!r}, there are: {', '.join(sorted(known))}")


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    found = entry.get(key)
    if not isinstance(found, str) or not found.strip():
        raise ValueError(f"{where} needs {key} = a text")
    return found


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
