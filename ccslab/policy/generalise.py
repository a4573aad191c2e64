# SPDX-License-Identifier: GPL-2.0-only
"""From a learned policy to one that is fit for enforcing, by the rules of a data file.

Deterministic and idempotent.  No learned access is lost but those a rule drops by name:
literal names are replaced by what stands for them, and only literal names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ccslab.policy import value
from ccslab.policy.acl import SHAPES, Acl, merge, parse_acl
from ccslab.policy.canonical import by_atom
from ccslab.policy.condition import Condition
from ccslab.policy.coverage import Coverage
from ccslab.policy.domain import Domain, DomainPolicy
from ccslab.policy.exception import Entry, ExceptionPolicy, GroupAcl, GroupMember, Transition
from ccslab.policy.pathname import is_path, is_pattern, matches
from ccslab.policy.rules import ConditionRule, ForgetRule, GroupRule, NumberRule, Rules, load_rules

__all__ = ["Rules", "generalise", "load_rules", "rename_domain"]


def _literal(word: str) -> bool:
    return not word.startswith("@") and not is_pattern(word)


def _paths(acl: Acl) -> list[str]:
    return [
        w for kind, w in zip(SHAPES[acl.shape], acl.arguments, strict=True) if kind in ("path", "program")
    ]


def _for(rule: ConditionRule | NumberRule | ForgetRule, acl: Acl) -> bool:
    """True if a rule's operations and paths fit a line of one operation."""
    if rule.operations and (acl.head != "file" or acl.operations[0] not in rule.operations):
        return False
    return not rule.paths or any(
        word == pattern or (_literal(word) and matches(word, pattern))
        for word in _paths(acl)
        for pattern in rule.paths
    )


class _Generaliser:
    def __init__(self, rules: Rules, domains: Iterable[Domain], exception: ExceptionPolicy) -> None:
        self._rules = rules
        self._coverage = Coverage(exception)
        self.used: dict[GroupRule, int] = {}
        group_acls = [i.acl for i in exception.items() if isinstance(i, GroupAcl)]
        for acl in [*(acl for domain in domains for acl in domain.acls), *group_acls]:
            for one in acl.single():
                for word in [*_paths(one), *(c.right.strip('"') for c in one.conditions)]:
                    self._note_depth(one, word)

    def _note_depth(self, acl: Acl, word: str) -> None:
        rule = self._group_for(acl, word)
        if rule and self._pattern_for(acl, word) is None:
            deep = max(rule.depth, rule.depth_of(word))
            self.used[rule] = max(self.used.get(rule, 0), deep)

    def _operation_fits(self, operations: tuple[str, ...], acl: Acl) -> bool:
        if not operations:
            # An execute pattern names the domain that follows, so it must be asked for.
            return acl.operations != ("execute",)
        return acl.head == "file" and acl.operations[0] in operations

    def _group_for(self, acl: Acl, word: str) -> GroupRule | None:
        if not _literal(word):
            return None
        fitting = (r for r in self._rules.groups if self._operation_fits(r.operations, acl))
        return next((rule for rule in fitting if rule.depth_of(word)), None)

    def _pattern_for(self, acl: Acl, word: str) -> str | None:
        for rule in self._rules.patterns:
            become = rule.become or rule.match
            fits = self._operation_fits(rule.operations, acl) and _literal(word) and matches(word, rule.match)
            # What does not stand for the name must not take its place: an access would be lost.
            if fits and self._coverage.word("path", become, word):
                return become
        return None

    def path(self, acl: Acl, word: str) -> str:
        """What stands for a name in a line of one operation."""
        if not _literal(word):
            return word
        pattern = self._pattern_for(acl, word)
        if pattern is not None:
            return pattern
        rule = self._group_for(acl, word)
        return f"@{rule.name}" if rule else word

    def component(self, program: str) -> str:
        """What stands for a program in the names of domains."""
        probe = Acl("file", ("execute",), (program,))
        word = self.path(probe, program)
        if not word.startswith("@"):
            return word
        rule = next((rule for rule in self._rules.groups if f"@{rule.name}" == word), None)
        # The kernel names the domain by the member of the group that matched.
        return rule.members(rule.depth_of(program))[-1] if rule and not rule.directories else program

    def _number(self, acl: Acl, word: str) -> str:
        if word.startswith("@"):
            return word
        least, most = value.number_bounds(word)
        for rule in self._rules.numbers:
            low, high = value.number_bounds(rule.range)
            if _for(rule, acl) and low <= least and most <= high:
                return value.number(rule.range)
        return word

    def _inet(self, acl: Acl) -> Acl:
        address, port = acl.arguments
        socket = f"{acl.head.split(' ')[2]} {acl.operations[0]}"
        for rule in self._rules.networks:
            fits = socket in rule.sockets and all(
                not wide or self._coverage.word(kind, wide, word)
                for kind, wide, word in (("address", rule.addresses, address), ("port", rule.ports, port))
            )
            if fits:
                return replace(acl, arguments=(rule.addresses or address, rule.ports or port))
        return acl

    def _conditions(self, acl: Acl) -> tuple[Condition, ...]:
        dropped = {name for rule in self._rules.conditions if _for(rule, acl) for name in rule.drop}
        kept = []
        for one in acl.conditions:
            if one.left in dropped:
                continue
            named = one.left in ("exec.realpath", "symlink.target") and one.right.startswith('"')
            word = self.path(acl, one.right[1:-1]) if named and one.equals else ""
            if word:
                kept.append(replace(one, right=word if word.startswith("@") else f'"{word}"'))
            else:
                kept.append(one)
        return tuple(kept)

    def _forgotten(self, domain: str, acl: Acl) -> bool:
        return any(
            _for(rule, acl) and (not rule.domains or domain in rule.domains) for rule in self._rules.forget
        )

    def _one(self, acl: Acl) -> Acl:
        conditions = self._conditions(acl)
        if acl.head.startswith("network inet"):
            return replace(self._inet(acl), conditions=conditions)
        words = []
        for kind, word in zip(SHAPES[acl.shape], acl.arguments, strict=True):
            if kind == "path":
                words.append(self.path(acl, word))
            elif kind == "number" and acl.head == "file":
                words.append(self._number(acl, word))
            elif kind == "name":
                rules = (rule.match for rule in self._rules.environment)
                words.append(next((m for m in rules if _literal(word) and matches(word, m)), word))
            elif kind == "domain":
                words.append(self.domain_name(word))
            else:
                words.append(word)
        transition = self.domain_name(acl.transition) if acl.transition.startswith("<") else acl.transition
        return replace(acl, arguments=tuple(words), conditions=conditions, transition=transition)

    def acls(self, domain: str, acls: Iterable[Acl], coverage: Coverage) -> list[Acl]:
        """The lines of one domain or acl_group: rewritten, freed of what others cover, merged, sorted."""
        singles = (one for acl in acls for one in acl.single())
        table = by_atom(self._one(one) for one in singles if not self._forgotten(domain, one))
        index = _Table(table, coverage)
        kept = [spelled for atom, spelled in table.items() if not index.redundant(atom)]
        return sorted(merge(sorted(kept)))

    def domain_name(self, name: str) -> str:
        """The name a domain has once ``execute`` lines are generalised."""
        space, *programs = name.split(" ")
        return " ".join([space, *(self.component(p) if is_path(p) else p for p in programs)])


def _wide(acl: Acl) -> bool:
    """True if an argument stands for more than itself."""
    kinds = SHAPES[acl.shape]
    return "domains" in kinds or any(
        word.startswith("@") or ("-" in word if kind in ("number", "port", "address") else is_pattern(word))
        for kind, word in zip(kinds, acl.arguments, strict=True)
    )


class _Table:
    """The lines of a domain by what could cover what: those with the same arguments, and the wide ones."""

    def __init__(self, atoms: Iterable[Acl], coverage: Coverage) -> None:
        self._coverage = coverage
        self._same: dict[object, list[Acl]] = {}
        self._wide: dict[object, list[Acl]] = {}
        for atom in atoms:
            self._same.setdefault((atom.head, atom.operations, atom.arguments), []).append(atom)
            if _wide(atom):
                self._wide.setdefault((atom.head, atom.operations), []).append(atom)

    def redundant(self, atom: Acl) -> bool:
        """True if another line allows it with the same consequences (log, domain that follows)."""
        others = self._same[atom.head, atom.operations, atom.arguments]
        if atom.operations != ("execute",):
            others = [*others, *self._wide.get((atom.head, atom.operations), ())]
        return any(self._replaces(other, atom) for other in others)

    def _replaces(self, other: Acl, atom: Acl) -> bool:
        if other == atom or other.grant_log != atom.grant_log or other.transition != atom.transition:
            return False
        # Of two lines that cover each other the lesser stays.
        covers = self._coverage.atom
        return covers(other, atom) and not (covers(atom, other) and atom < other)


def _selected(name: str, roots: tuple[str, ...]) -> bool:
    return not roots or any(name == root or name.startswith(root + " ") for root in roots)


def generalise(
    domain_policy: DomainPolicy, exception_policy: ExceptionPolicy, rules: Rules
) -> tuple[DomainPolicy, ExceptionPolicy]:
    """The policy with names replaced by groups and patterns as ``rules`` say.

    Domains keep their order; their lines are sorted.  Groups that are used are added to the exception policy.
    """
    chosen = [d for d in domain_policy.domains.values() if _selected(d.name, rules.select)]
    work = _Generaliser(rules, chosen, exception_policy)
    exception = ExceptionPolicy(list(exception_policy.entries))
    for rule in rules.groups:
        for member in rule.members(work.used.get(rule, 0)) if rule in work.used else ():
            exception.add(GroupMember("path_group", rule.name, member))
    exception = _exceptions(exception, work)
    coverage = Coverage(exception)
    out = DomainPolicy()
    for domain in chosen:
        there = out.domains.get(name := work.domain_name(domain.name))
        acls = [*(there.acls if there else ()), *domain.acls]
        out.domains[name] = Domain(
            name,
            there.profile if there else domain.profile,
            tuple(sorted({*(there.flags if there else ()), *domain.flags})),
            tuple(sorted({*(there.groups if there else ()), *domain.groups})),
            work.acls(domain.name, [*acls, *_always(domain, rules)], coverage),
        )
    return out, exception


def _always(domain: Domain, rules: Rules) -> Iterator[Acl]:
    """The lines that a domain gets whatever was learned."""
    known = [acl.format() for acl in domain.acls]
    for rule in rules.always:
        if rule.domain == domain.name and any(line.startswith(rule.beside) for line in known):
            yield from map(parse_acl, rule.lines)


def _exceptions(exception: ExceptionPolicy, work: _Generaliser) -> ExceptionPolicy:
    """The exception policy with the lines of its acl_groups and the domains of its transitions rewritten."""
    out = ExceptionPolicy()
    coverage = Coverage(exception)
    seen: set[tuple[str, int]] = set()
    for entry in exception.entries:
        item = entry.item
        if isinstance(item, GroupAcl):
            if (entry.namespace, item.number) in seen:
                continue
            seen.add((entry.namespace, item.number))
            lines = exception.group_acls([item.number], entry.namespace)
            for acl in work.acls("", lines, coverage):
                out.add(GroupAcl(item.number, acl), entry.namespace)
        elif isinstance(item, Transition) and item.domain.startswith("<"):
            out.add(replace(item, domain=work.domain_name(item.domain)), entry.namespace)
        else:
            out.entries.append(Entry(item, entry.namespace))
    return out


def rename_domain(name: str, domain_policy: DomainPolicy, rules: Rules) -> str:
    """The name that :func:`generalise` gives to a domain."""
    return _Generaliser(rules, domain_policy.domains.values(), ExceptionPolicy()).domain_name(name)
