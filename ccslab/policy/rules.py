# SPDX-License-Identifier: GPL-2.0-only
"""The rules of generalisation, as a lab's TOML file gives them (see docs/policy.md)."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ccslab.datafile import ANY, check, parse_toml, read_text_of
from ccslab.errors import UserError
from ccslab.policy import language, pathname, value
from ccslab.policy.acl import parse_acl


@dataclass(frozen=True)
class GroupRule:
    """Names below ``root`` become ``@name``; its members are patterns for each depth.

    :param depth: declared number of levels; the depth found counts if it is greater or none is declared.
    :param exclude: names (patterns) that no level of the group stands for.
    :param directories: whether directories (names ending in ``/``) belong to it as well.
    """

    name: str
    root: str
    depth: int = 0
    exclude: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    directories: bool = False

    def component(self) -> str:
        """The pattern of one level."""
        return "\\*" + "".join(f"\\-{name}" for name in self.exclude)

    def members(self, depth: int) -> list[str]:
        """The patterns for all levels down to ``depth``, and of the directories if they belong to it.

        The kernel ignores a last ``/\\*`` when the name ends before it: each pattern stands for the level
        above as well, so that every other one would allow nothing more. Which of them matches a program is
        seen, in its domain's name.
        """
        root = self.root.rstrip("/")
        levels = [root + f"/{self.component()}" * level for level in range(1, depth + 1)]
        folders = [root + "/", *(f"{level}/" for level in levels)] if self.directories else []
        doubled = not self.exclude and "execute" not in self.operations
        return (levels[::-1][::2][::-1] if doubled else levels) + folders

    def depth_of(self, path: str) -> int:
        """At which level below the root a name stands, 0 if the rule is not for it."""
        root = self.root.rstrip("/") + "/"
        if not path.startswith(root) or (path.endswith("/") and not self.directories):
            return 0
        parts = path[len(root) :].rstrip("/").split("/")
        return len(parts) if all(pathname.matches(part, self.component()) for part in parts) else 0


@dataclass(frozen=True)
class PatternRule:
    """Names that ``match`` become that pattern, or ``become`` (a wider pattern or ``@GROUP``)."""

    match: str
    become: str = ""
    operations: tuple[str, ...] = ()


@dataclass(frozen=True)
class NumberRule:
    """Numbers of file operations within ``range`` become that range."""

    range: str
    operations: tuple[str, ...]
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkRule:
    """``network inet`` lines within ``addresses`` and ``ports`` become those.

    :param sockets: such as ``stream connect``.
    """

    sockets: tuple[str, ...]
    addresses: str = ""
    ports: str = ""


@dataclass(frozen=True)
class EnvironmentRule:
    """Names of environment variables that match become the pattern."""

    match: str


@dataclass(frozen=True)
class ConditionRule:
    """Conditions whose left side is in ``drop`` (``exec.realpath``, ``exec.argv[0]``, ...) are taken off."""

    drop: tuple[str, ...]
    operations: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForgetRule:
    """Lines that are left out, and why."""

    why: str
    operations: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlwaysRule:
    """Lines that a domain gets whether they were learned or not, as what needs them is a matter of chance.

    :param beside: what a line that was learned must begin with: it shows that the kernel knows of such lines.
    """

    why: str
    domain: str
    beside: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """All rules of a file; those of one kind are tried in order, the first that fits decides.

    :param select: roots of the domain trees to keep; all if empty.
    """

    select: tuple[str, ...] = ()
    groups: tuple[GroupRule, ...] = ()
    patterns: tuple[PatternRule, ...] = ()
    numbers: tuple[NumberRule, ...] = ()
    networks: tuple[NetworkRule, ...] = ()
    environment: tuple[EnvironmentRule, ...] = ()
    conditions: tuple[ConditionRule, ...] = ()
    forget: tuple[ForgetRule, ...] = ()
    always: tuple[AlwaysRule, ...] = ()
    source: str = field(default="", compare=False)


_TABLES: dict[str, tuple[str, type[Any]]] = {
    "group": ("groups", GroupRule),
    "pattern": ("patterns", PatternRule),
    "number": ("numbers", NumberRule),
    "network": ("networks", NetworkRule),
    "environment": ("environment", EnvironmentRule),
    "condition": ("conditions", ConditionRule),
    "forget": ("forget", ForgetRule),
    "always": ("always", AlwaysRule),
}
_MAX_DEPTH = 64
_OPERATIONS = [name for names in language.FILE.values() for name in names]


def _is(expected: str, what: object) -> bool:
    if expected == "str":
        return isinstance(what, str)
    if expected == "bool":
        return isinstance(what, bool)
    if expected == "int":
        return isinstance(what, int) and not isinstance(what, bool) and 0 <= what <= _MAX_DEPTH
    return isinstance(what, list) and all(isinstance(one, str) for one in what)


def _fault(kind: str, rule: dict[str, Any], known: dict[str, str]) -> str:
    """What is wrong with the keys and values of one rule, or ""."""
    for key, what in rule.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            return f"[[{kind}]] has no key {key!r}" + (f", did you mean {near[0]}?" if near else "")
        if not _is(known[key], what):
            expected = "a list of strings" if "tuple" in known[key] else known[key]
            return f"[[{kind}]] {key}: {what!r} is not {expected}"
    return ""


def _word_fault(rule: dict[str, Any]) -> str:
    """What is wrong with the policy words of one rule, or ""."""
    paths = [*rule.get("paths", []), *rule.get("exclude", [])]
    paths += [rule[key] for key in ("match", "root") if key in rule]
    for word in paths:
        if fault := pathname.word_fault(word):
            return f"{word!r}: {fault}"
    for name in rule.get("operations", []):
        if name not in _OPERATIONS:
            near = difflib.get_close_matches(name, _OPERATIONS, n=1, cutoff=0.5)
            return f"unknown file operation {name!r}" + (f", did you mean {near[0]}?" if near else "")
    try:
        for line in rule.get("lines", []):
            parse_acl(line)
        for key in ("range", "ports"):
            if rule.get(key, "") and not rule[key].startswith("@"):
                value.number(rule[key])
        if rule.get("addresses", "") and not rule["addresses"].startswith("@"):
            value.address(rule["addresses"])
    except ValueError as error:
        return str(error)
    return ""


def parse_rules(text: str, source: str = "") -> Rules:
    """Read the rules of generalisation.

    :raises UserError: if the TOML is malformed, or a table, key, operation or pattern is unknown.
    """
    data = parse_toml(text, source)
    check(
        data,
        {"select?": {"domains?": [str]}, **{f"{kind}?": [dict] for kind in _TABLES}, ANY: object},
        source,
    )
    out: dict[str, Any] = {"source": source, "select": tuple(data.pop("select", {}).get("domains", ()))}
    for kind, rules in data.items():
        if kind not in _TABLES:
            near = difflib.get_close_matches(kind, [*_TABLES, "select"], n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are: select, {', '.join(_TABLES)}"
            raise UserError(f"unknown table {kind!r}", where=source, mend=hint)
        attribute, type_ = _TABLES[kind]
        known = {one.name: str(one.type) for one in fields(type_)}
        made = []
        for at, rule in enumerate(rules, 1):
            fault = _fault(kind, rule, known) or _word_fault(rule)
            if not fault:
                try:
                    made.append(type_(**{k: tuple(v) if isinstance(v, list) else v for k, v in rule.items()}))
                    continue
                except TypeError as error:
                    fault = str(error).partition("() ")[2]
            raise UserError(
                fault, where=f"{source or 'rules'}: [[{kind}]] number {at}", mend="see docs/policy.md"
            )
        out[attribute] = tuple(made)
    return Rules(**out)


def load_rules(path: str | Path) -> Rules:
    """Read the rules of generalisation from a file; UserError if it is missing or malformed."""
    return parse_rules(read_text_of(Path(path), "give a TOML file"), str(path))
