# SPDX-License-Identifier: GPL-2.0-only
"""The 1.x policy language into today's; what has no equivalent is said, never silently dropped."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ccslab.errors import UserError
from ccslab.policy import language, pathname
from ccslab.policy.acl import Acl, parse_acl, shape_of
from ccslab.policy.domain import (
    Domain,
    DomainPolicy,
    DomainStart,
    Flag,
    UseGroup,
    UseProfile,
    parse_domain_line,
)
from ccslab.policy.exception import ExceptionPolicy, GroupAcl, GroupMember, parse_exception_line
from ccslab.policy.pathname import matches
from ccslab.policy.print import Line, spellings, unwrapped
from ccslab.policy.profile import Config, Profile, Profiles, Setting, parse_profile_line

_TABLE = tomllib.loads(Path(__file__).with_name("convert.toml").read_text(encoding="ascii"))
_SUM = re.compile(r"([0-7]) (\S+)(.*)")
_PROFILE = re.compile(r"([0-9]+)-([A-Z_]+)(?:::([A-Za-z_]+))?=(.*)")


@dataclass
class Converted:
    """Today's policy and everything a reader has to know about it."""

    domain: DomainPolicy = field(default_factory=DomainPolicy)
    exception: ExceptionPolicy = field(default_factory=ExceptionPolicy)
    profile: Profiles = field(default_factory=Profiles)
    warnings: list[str] = field(default_factory=list)


class _Converter:
    def __init__(self) -> None:
        self.out = Converted()
        self._domain: Domain | None = None
        self._deny_rewrite: list[str] = []
        self._rewrite: list[tuple[str, str]] = []
        self._global: list[Acl] = []
        self._said: set[str] = set()

    def once(self, text: str) -> None:
        """Warn of something that holds for many lines."""
        if text not in self._said:
            self._said.add(text)
            self.out.warnings.append(text)

    def lost(self, line: Line, why: str) -> None:
        """Say that a line has no equivalent."""
        self.out.warnings.append(f"line {line.number}: {line.text}: {why}; left out")

    def line(self, line: Line) -> None:
        """Take one line."""
        text = line.text
        try:
            if text.startswith("<"):
                item = parse_domain_line(text)
                assert isinstance(item, DomainStart)
                self._domain = self.out.domain.add(item.name)
            elif found := _PROFILE.fullmatch(text):
                self._profile(line, found)
            elif text.startswith("PROFILE_VERSION="):
                self.once(
                    f"line {line.number}: {text}: replaced by PROFILE_VERSION={language.PROFILE_VERSION}"
                )
            elif not self._exception(line) and not self._access(line):
                self._today(line)
        except ValueError as error:
            self.lost(line, str(error))

    def _put(self, line: Line, acl: Acl) -> None:
        if self._domain is None:
            self._global.append(acl)
            self.once(
                "lines before any domain were global permissions: now acl_group 0, used by every domain"
            )
        elif acl not in self._domain.acls:
            self._domain.acls.append(acl)

    def _exception(self, line: Line) -> bool:
        keyword, _, rest = line.text.partition(" ")
        if keyword == "deny_rewrite":
            self._deny_rewrite.append(rest)
            return True
        if keyword == "allow_rewrite" and self._domain:
            self._rewrite.append((self._domain.name, rest))
            return True
        if keyword in ("initializer", "no_initializer"):
            control = keyword.replace("initializer", "initialize_domain")
            self.out.exception.add(parse_exception_line(f"{control} {rest}"))
            return True
        known = (*language.TRANSITION_CONTROLS, *language.GROUPS, "aggregator", "acl_group", "deny_autobind")
        if keyword in known:
            self.out.exception.add(parse_exception_line(line.text))
            return True
        gone = {
            "file_pattern": "learning no longer takes patterns, use rules of generalisation",
            "alias": "a domain is named by the program's real name, symbolic links are followed",
            "allow_argv0": "",
        }
        if gone.get(keyword):
            self.lost(line, gone[keyword])
            return True
        return False

    def _access(self, line: Line) -> bool:
        if found := _SUM.fullmatch(line.text):
            self._sum(line, int(found[1]), found[2], found[3].strip())
            return True
        keyword, _, rest = line.text.partition(" ")
        if not keyword.startswith("allow_"):
            return False
        if keyword in _TABLE["file"]:
            self._file(line, _TABLE["file"][keyword], rest)
        elif keyword == "allow_network":
            self._network(line, rest)
        elif keyword == "allow_env":
            self._put(line, parse_acl(f"misc env {rest}"))
        elif keyword == "allow_signal":
            self._put(line, parse_acl(f"ipc signal {rest}"))
        elif keyword == "allow_argv0":
            path, _, name = rest.partition(" ")
            self._put(line, parse_acl(f'file execute {path} exec.argv[0]="{name}"'))
        elif keyword == "allow_capability":
            name = _TABLE["capability"].get(rest)
            if name:
                self._put(line, parse_acl(f"capability {name}"))
            else:
                self.lost(line, "today's capability controls have no such name")
        else:
            self.lost(line, "unknown permission of the old language")
        return True

    def _sum(self, line: Line, value: int, path: str, rest: str) -> None:
        names = [name for bit, group in _TABLE["sum"].items() if value & int(bit) for name in group]
        if rest:
            self.once("conditions of the old language ('if ...') are kept where today's language has them")
        if not names:
            self.lost(line, "no permission at all (0)")
            return
        condition = f" {rest.removeprefix('if ')}" if rest else ""
        self._put(line, parse_acl(f"file {'/'.join(names)} {path}{condition}"))

    def _file(self, line: Line, operation: str, rest: str) -> None:
        shape = shape_of("file", operation.partition("/")[0])
        words = rest.split(" ")
        paths = {"path_number": 1, "device": 1, "mount": 3}.get(shape, len(words))
        numbers = _TABLE["number"].get(shape, [])
        if numbers and len(words) == paths:
            words += numbers
            self.once(
                f"'{operation}' had no number in the old language: any ({' '.join(numbers)}) is allowed now"
            )
        self._put(line, parse_acl(f"file {operation} {' '.join(words)}"))

    def _network(self, line: Line, rest: str) -> None:
        protocol, operation, *words = rest.split(" ")
        if protocol not in _TABLE["network"]:
            raise ValueError(f"unknown protocol {protocol!r}, one of {', '.join(_TABLE['network'])}")
        operation = {"UDP": {"connect": "send"}, "RAW": {"connect": "send"}}.get(protocol, {}).get(
            operation, operation
        )
        self._put(
            line, parse_acl(f"network inet {_TABLE['network'][protocol]} {operation} {' '.join(words)}")
        )

    def _today(self, line: Line) -> None:
        item = parse_domain_line(line.text)
        if isinstance(item, Acl):
            self._put(line, item)
        elif self._domain is None:
            raise ValueError("the line stands before any domain")
        elif isinstance(item, UseProfile):
            self._domain.profile = item.number
        elif isinstance(item, UseGroup):
            self._domain.groups = tuple(sorted({*self._domain.groups, item.number}))
        elif isinstance(item, Flag):
            self._domain.flags = tuple(sorted({*self._domain.flags, item.name}))

    def _profile(self, line: Line, found: re.Match[str]) -> None:
        number, name, sub, what = int(found[1]), found[2], found[3], found[4].strip()
        if number >= language.MAX_PROFILES:
            raise ValueError(f"profiles are 0 to {language.MAX_PROFILES - 1}")
        self.out.profile.versions["<kernel>"] = language.PROFILE_VERSION
        profile = self.out.profile.profiles.setdefault(("<kernel>", number), Profile())
        if name == "COMMENT":
            profile.comment = pathname.normalise_line(what)
            if profile.comment != what:
                self.out.warnings.append(f"line {line.number}: {line.text}: a comment keeps ASCII only")
            return
        if name in ("CONFIG", "PREFERENCE"):
            self._new_setting(profile, parse_profile_line(line.text))
            return
        if name in _TABLE["profile"]["preference"] and what.isdecimal():
            key = _TABLE["profile"]["preference"][name]
            profile.preference[key] = max(profile.preference.get(key, 0), int(what))
            return
        config = _TABLE["profile"]["config"].get(name)
        if name == "MAC_FOR_CAPABILITY" and sub and _TABLE["capability"].get(sub):
            config = f"capability::{_TABLE['capability'][sub]}"
        modes = _TABLE["profile"]["modes"]
        mode = modes[int(what)] if what.isdecimal() and int(what) < len(modes) else what
        if not config or mode not in modes:
            self.lost(line, "today's profiles have no such setting")
            return
        profile.config[config] = Config(mode)
        if config == "file":
            for key in _TABLE["profile"]["not_in_file"]:
                profile.config.setdefault(key, Config("disabled"))
            keys = ", ".join(_TABLE["profile"]["not_in_file"])
            self.once(f"MAC_FOR_FILE did not control {keys}: these are disabled")

    def _new_setting(self, profile: Profile, setting: Setting) -> None:
        if isinstance(setting.value, Config):
            profile.config[setting.name.removeprefix("CONFIG").removeprefix("::")] = setting.value
        elif isinstance(setting.value, tuple):
            profile.preference.update(setting.value)

    def finish(self) -> Converted:
        """What needs all lines: deny_rewrite, global permissions, spellings, undefined profiles."""
        self._apply_rewrite()
        for acl in self._global:
            self.out.exception.add(GroupAcl(0, acl))
        if self._global:
            for domain in self.out.domain.domains.values():
                domain.groups = tuple(sorted({0, *domain.groups}))
        used = sorted({d.profile for d in self.out.domain.domains.values()})
        undefined = [str(number) for number in used if not self.out.profile.profile(number)]
        if undefined:
            self.out.warnings.append(
                f"profiles {', '.join(undefined)} are used but not in this text, define them"
            )
        spellings(self._words(), self.out.warnings)
        return self.out

    def _words(self) -> Iterator[str]:
        for domain in self.out.domain.domains.values():
            yield from domain.name.split(" ")[1:]
            for acl in domain.acls:
                yield from (word for word in acl.arguments if word.startswith("/"))
        for item in self.out.exception.items():
            if isinstance(item, GroupMember):
                yield item.member

    def _denied(self, word: str) -> bool:
        names = self.out.exception.members("path_group", word[1:]) if word.startswith("@") else [word]
        return any(name == deny or matches(name, deny) for name in names for deny in self._deny_rewrite)

    def _apply_rewrite(self) -> None:
        """``deny_rewrite`` takes write and truncate, ``allow_rewrite`` gives them back."""
        for domain in self.out.domain.domains.values():
            allowed = [word for name, word in self._rewrite if name == domain.name]
            changed = []
            for acl in domain.acls:
                word = acl.arguments[0] if acl.arguments else ""
                names = acl.operations
                open_to = any(word == rule or matches(word, rule) for rule in allowed)
                if acl.head == "file" and acl.shape == "path" and self._denied(word) and not open_to:
                    names = tuple(name for name in names if name not in ("write", "truncate"))
                if names != acl.operations:
                    self.once(
                        "deny_rewrite: the files it names keep 'append' and lose 'write' and 'truncate'"
                    )
                if names:
                    changed.append(acl if names == acl.operations else Acl(acl.head, names, acl.arguments))
            domain.acls = changed


def convert(text: str) -> Converted:
    """Turn policy of the 1.x language, also out of print, into today's.

    :raises UserError: if no line of ``text`` is policy at all.
    """
    converter = _Converter()
    count = 0
    for line in unwrapped(text, converter.out.warnings):
        converter.line(line)
        count += 1
    out = converter.finish()
    if not count or not (out.domain.domains or out.exception.entries or out.profile.profiles):
        raise UserError("no line of policy found", mend="give a policy file of the 1.x language")
    return out
