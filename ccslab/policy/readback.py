# SPDX-License-Identifier: GPL-2.0-only
"""Which loaded lines the kernel dropped: write(2) succeeds for malformed policy, so it is read back."""

from __future__ import annotations

from ccslab.errors import unknown
from ccslab.policy.acl import Acl
from ccslab.policy.canonical import atoms
from ccslab.policy.diff import exception_lines
from ccslab.policy.domain import DomainItem, DomainStart, UseProfile, scan_domain_policy
from ccslab.policy.exception import Entry, scan_exception_policy
from ccslab.policy.kind import kind_of
from ccslab.policy.manager import NON_ROOT, scan_manager
from ccslab.policy.profile import Config, Profile, Profiles, Setting, parse_profile, scan_profile
from ccslab.policy.stat import parse_stat


def dropped(loaded: str, printed: str, kind: str = "") -> list[str]:
    """The loaded lines, or the parts of them, that are not in force; each with its domain or namespace.

    The kernel reorders, merges operations and respells numbers; none of that counts.

    :param loaded: the text that was written, malformed lines included.
    :param printed: what the same interface file gave afterwards.
    :param kind: ``domain``, ``exception``, ``profile``, ``manager`` or ``stat``; guessed if empty.
    """
    kind = kind or kind_of(loaded) or kind_of(printed)
    check = {
        "domain": _domain,
        "exception": _exception,
        "profile": _profile,
        "manager": _manager,
        "stat": _stat,
    }
    if kind not in check:
        raise unknown("kind of policy", kind, check)
    return check[kind](loaded, printed)


def _domain_keys(item: DomainItem) -> list[tuple[object, str]]:
    if isinstance(item, Acl):
        return [(atom, one.format()) for atom, one in zip(atoms(item), item.single(), strict=True)]
    return [(item, "")]


def _domain(loaded: str, printed: str) -> list[str]:
    there: set[tuple[str, object]] = set()
    raw: set[tuple[str, str]] = set()
    for statement in scan_domain_policy(printed):
        raw.add((statement.scope, statement.text))
        if statement.item is not None:
            there |= {(statement.scope, key) for key, _ in _domain_keys(statement.item)}
    statements = list(scan_domain_policy(loaded))
    # Of several use_profile lines of a domain the last one counts.
    last = {s.scope: s.line for s in statements if isinstance(s.item, UseProfile)}
    out = []
    for statement in statements:
        if (statement.scope, statement.text) in raw:
            continue
        prefix = "" if isinstance(statement.item, DomainStart) else f"{statement.scope}: ".removeprefix(": ")
        if statement.item is None or statement.fault:
            out.append(f"{prefix}{statement.text}")
            continue
        if isinstance(statement.item, UseProfile) and last[statement.scope] != statement.line:
            continue
        keys = _domain_keys(statement.item)
        missing = [one for key, one in keys if (statement.scope, key) not in there]
        whole = len(missing) == len(keys)
        out += [f"{prefix}{line}" for line in ([statement.text] if whole else missing)]
    return out


def _exception(loaded: str, printed: str) -> list[str]:
    there: set[tuple[str, str]] = set()
    for statement in scan_exception_policy(printed):
        there.add((statement.scope, statement.text.removeprefix(f"{statement.scope} ")))
        if statement.item is not None:
            keys = exception_lines(Entry(statement.item, statement.scope))
            there |= {(statement.scope, key) for key, _ in keys}
    out = []
    for statement in scan_exception_policy(loaded):
        if statement.item is None:
            if (statement.scope, statement.text.removeprefix(f"{statement.scope} ")) not in there:
                out.append(statement.text)
            continue
        pairs = list(exception_lines(Entry(statement.item, statement.scope)))
        missing = [line for key, line in pairs if (statement.scope, key) not in there]
        out += [statement.text] if missing and len(missing) == len(pairs) else missing
    return out


def _in_force(setting: Setting, profile: Profile) -> bool:
    match setting.value:
        case Config("use_default"):
            key = setting.name.removeprefix("CONFIG").removeprefix("::")
            return profile.config.get(key, Config("use_default")).mode in ("", "use_default")
        case Config() as config:
            now = profile.config.get(setting.name.removeprefix("CONFIG").removeprefix("::"), Config())
            said = ("mode", "grant_log", "reject_log")
            return all(getattr(config, name) in ("", getattr(now, name)) for name in said)
        case _:
            return profile.comment == setting.value


def _profile(loaded: str, printed: str) -> list[str]:
    now: Profiles = parse_profile(printed, "profile as printed by the kernel")
    statements = list(scan_profile(loaded))
    last = {(s.scope, s.item.number, s.item.name): s.line for s in statements if s.item}
    out = []
    for statement in statements:
        setting = statement.item
        if setting is None:
            out.append(statement.text)
        elif last[statement.scope, setting.number, setting.name] != statement.line:
            continue
        elif setting.number is None:
            if now.versions.get(statement.scope) != setting.value:
                out.append(statement.text)
        else:
            profile = now.profiles.get((statement.scope, setting.number), Profile())
            if isinstance(setting.value, tuple):
                said = [
                    f"{name}={what}" for name, what in setting.value if profile.preference.get(name) != what
                ]
                out += [f"{setting.number}-PREFERENCE={{ {' '.join(said)} }}"] if said else []
            elif not _in_force(setting, profile):
                out.append(statement.text)
    return out


def _manager(loaded: str, printed: str) -> list[str]:
    # The kernel does not print manage_by_non_root, so nothing can be said about it.
    there = {statement.text for statement in scan_manager(printed)} | {NON_ROOT}
    return [s.text for s in scan_manager(loaded) if s.text not in there]


def _stat(loaded: str, printed: str) -> list[str]:
    now = parse_stat(printed, "stat as printed by the kernel").memory
    wanted = parse_stat(loaded, "stat.conf").memory
    return [
        f"Memory used by {kind}: {memory.used_bytes}"
        for kind, memory in wanted.items()
        if kind not in now or now[kind].quota_bytes != memory.used_bytes
    ]
