# SPDX-License-Identifier: GPL-2.0-only
"""Problems of policy files that the kernel would not tell: it drops, ignores, or panics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ccslab.errors import UserError
from ccslab.policy import language
from ccslab.policy.acl import Acl
from ccslab.policy.audit import scan_records
from ccslab.policy.domain import (
    Domain,
    DomainStart,
    UseGroup,
    UseProfile,
    parse_domain_policy,
    scan_domain_policy,
)
from ccslab.policy.exception import DenyAutobind, ExceptionPolicy, GroupAcl, GroupMember, Transition
from ccslab.policy.exception import scan_exception_policy as scan_exceptions
from ccslab.policy.kind import NAMES, kind_of
from ccslab.policy.manager import NON_ROOT, scan_manager
from ccslab.policy.pathname import is_path, is_pattern, matches, word_fault
from ccslab.policy.profile import Profiles, Setting, scan_profile
from ccslab.policy.source import Statement, read_text
from ccslab.policy.stat import scan_stat

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, order=True)
class Problem:
    """One finding: an ``error`` if the kernel drops the line or stops, else a ``warning``."""

    source: str
    line: int
    severity: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        return f"{place}: {self.severity}: {self.what}" + (f" - {self.mend}" if self.mend else "")


_DROPPED = "the kernel drops this line, correct it or take it out"
_USELESS = "the kernel keeps this line and it never matches, correct it or take it out"
_SCANS: dict[str, Callable[[str], Iterator[Statement[object]]]] = {
    "domain": scan_domain_policy,
    "exception": scan_exceptions,
    "profile": scan_profile,
    "manager": scan_manager,
    "stat": scan_stat,
}


def check_text(text: str, kind: str, source: str) -> list[Problem]:
    """Syntax, and words that only 1.8 has, of one file; each with its line."""
    if kind == "audit":
        return [
            Problem(source, 0, ERROR, f"offset {at}: {fault}") for at, _, fault in scan_records(text) if fault
        ]
    if kind not in _SCANS:
        hint = "convert it with policy.convert" if kind == "old" else f"name it one of {', '.join(NAMES)}"
        what = "policy of the 1.x language" if kind == "old" else "not recognised as policy"
        return [Problem(source, 0, ERROR, what, hint)]
    out = []
    for statement in _SCANS[kind](text):
        if statement.fault:
            out.append(
                Problem(source, statement.line, ERROR, f"{statement.text!r}: {statement.fault}", _DROPPED)
            )
        elif useless := _useless(kind, statement.item):
            out.append(Problem(source, statement.line, ERROR, f"{statement.text!r}: {useless}", _USELESS))
        elif words := _only_18(statement.item):
            what = f"{', '.join(words)}: known to ccs 1.8 and patched kernels only"
            out.append(Problem(source, statement.line, WARNING, what, "mainline 2.6 drops this line"))
    return out


def _useless(kind: str, item: object) -> str:
    """Why a line that the kernel accepts never matches anything, or ""."""
    if isinstance(item, GroupMember) and item.kind == "path_group":
        return "groups cannot be nested" if item.member.startswith("@") else word_fault(item.member)
    if kind == "manager" and isinstance(item, str) and item != NON_ROOT:
        if not item.startswith("<") and not is_path(item):
            return "not the pathname of a program"
        if is_pattern(item):
            return "patterns are not allowed here, managers are compared by equality"
    return ""


def _only_18(item: object) -> list[str]:
    new = language.ONLY_18
    match item:
        case Acl():
            return item.only_18()
        case GroupAcl(_, acl):
            return acl.only_18()
        case DenyAutobind():
            return new["exception"]
        case Setting(_, "PREFERENCE", tuple(pairs)):
            return [name for name, _ in pairs if name in new["preference"]]
        case Setting(_, name, _):
            key = name.removeprefix("CONFIG::")
            hit = key in new["config"] or key.partition("::")[0] in new["config"]
            return [name] if hit else []
    return []


@dataclass
class _Folder:
    """What the files of a folder say together."""

    domain: list[tuple[str, Statement[object]]]
    exception: ExceptionPolicy
    exceptions: list[tuple[str, Statement[object]]]
    profiles: Profiles | None


def check_file(path: str | Path) -> list[Problem]:
    """Problems of one file, its kind taken from name or content."""
    path = Path(path)
    text = read_text(path)
    return sorted(check_text(text, kind_of(text, path.name), str(path)))


def check_folder(path: str | Path) -> list[Problem]:
    """Problems of a folder's policy files, each alone and all together.

    :raises UserError: if the folder is missing or holds no policy file.
    """
    root = Path(path)
    files = {kind: root / f"{name}.conf" for name, kind in NAMES.items() if (root / f"{name}.conf").is_file()}
    if not files:
        expected = ", ".join(f"{name}.conf" for name in NAMES)
        raise UserError("no policy file here", where=root, mend=f"expected some of {expected}")
    texts = {kind: read_text(file) for kind, file in files.items()}
    out = [p for kind, text in texts.items() for p in check_text(text, kind, str(files[kind]))]
    together = _Folder(
        domain=[(str(files["domain"]), s) for s in scan_domain_policy(texts.get("domain", ""))]
        if "domain" in files
        else [],
        exception=ExceptionPolicy(),
        exceptions=[(str(files["exception"]), s) for s in scan_exceptions(texts.get("exception", ""))]
        if "exception" in files
        else [],
        profiles=None,
    )
    for _, statement in together.exceptions:
        if not statement.fault:
            together.exception.add(statement.item, statement.scope)  # type: ignore[arg-type]
    if "profile" in texts:
        defined = {(s.scope, s.item.number) for s in scan_profile(texts["profile"]) if s.item}
        out += _undefined_profiles(together, defined)
    if "exception" in texts:
        out += _undefined_groups(together)
    out += _unreachable(together)
    return sorted(out)


def _undefined_profiles(folder: _Folder, defined: set[tuple[str, int | None]]) -> Iterator[Problem]:
    for source, statement in folder.domain:
        space = statement.scope.partition(" ")[0]
        if isinstance(statement.item, UseProfile) and (space, statement.item.number) not in defined:
            what = f"{statement.scope}: profile {statement.item.number} is not defined"
            mend = "define it in profile.conf: at boot the kernel panics, later it ignores the line"
            yield Problem(source, statement.line, ERROR, what, mend)


def _undefined_groups(folder: _Folder) -> Iterator[Problem]:
    members = {
        (entry.namespace, entry.item.kind, entry.item.name)
        for entry in folder.exception.entries
        if isinstance(entry.item, GroupMember)
    }
    acl_groups = {
        (entry.namespace, entry.item.number)
        for entry in folder.exception.entries
        if isinstance(entry.item, GroupAcl)
    }
    for source, statement in [*folder.domain, *folder.exceptions]:
        space = statement.scope.partition(" ")[0]
        item = statement.item.acl if isinstance(statement.item, GroupAcl) else statement.item
        if isinstance(item, Acl):
            for kind, name in item.groups():
                if (space, kind, name) not in members:
                    what = f"{kind} {name} has no member, @{name} matches nothing"
                    yield Problem(
                        source,
                        statement.line,
                        ERROR,
                        what,
                        f"add '{kind} {name} ...' to exception_policy.conf",
                    )
        if isinstance(item, UseGroup) and item.number and (space, item.number) not in acl_groups:
            what = f"{statement.scope}: acl_group {item.number} is empty"
            yield Problem(
                source, statement.line, WARNING, what, "add 'acl_group ...' lines or take use_group out"
            )


def _leads(acl: Acl, program: str, exception: ExceptionPolicy) -> bool:
    if acl.head != "file" or "execute" not in acl.operations:
        return False
    word = acl.arguments[0]
    members = exception.members("path_group", word[1:]) if word.startswith("@") else [word]
    return any(one == program or (is_pattern(one) and matches(program, one)) for one in members)


def _unreachable(folder: _Folder) -> Iterator[Problem]:
    """Domains whose parent is there and does not lead to them by any execute line or transition."""
    valid = "\n".join(s.text for _, s in folder.domain if not s.fault)
    policy = parse_domain_policy(valid)
    exception = folder.exception
    controls = [item for item in exception.items() if isinstance(item, Transition)]
    starts = {c.program for c in controls if c.control in ("initialize_domain", "reset_domain")}
    aggregated = {
        item.name for item in exception.items() if hasattr(item, "pattern") and hasattr(item, "name")
    }
    named = {
        target
        for domain in policy.domains.values()
        for acl in domain.acls
        for target in (acl.transition, *acl.arguments)
        if target.startswith("<") or is_path(target or ".")
    }
    lines = {s.item.name: (source, s.line) for source, s in folder.domain if isinstance(s.item, DomainStart)}
    for domain in policy.domains.values():
        parent_name, _, program = domain.name.rpartition(" ")
        parent = policy.domains.get(parent_name)
        if not parent_name or parent is None or program in aggregated or domain.name in named:
            continue
        initial = parent_name.count(" ") == 0 and (program in starts or "any" in starts)
        if not initial and not _parent_leads(parent, program, exception):
            source, line = lines[domain.name]
            what = f"{domain.name}: unreachable, no execute line of {parent.name} leads here"
            yield Problem(
                source, line, WARNING, what, f"add 'file execute {program}' there or take the domain out"
            )


def _parent_leads(parent: Domain, program: str, exception: ExceptionPolicy) -> bool:
    # A parent without a single execute line is not under control (disabled profile): nothing can be said.
    rules = [*parent.acls, *exception.group_acls(parent.groups)]
    executes = [acl for acl in rules if acl.head == "file" and "execute" in acl.operations]
    if parent.profile == 0 and not executes:
        return True
    return any(_leads(acl, program, exception) or acl.transition == program for acl in executes)
