# SPDX-License-Identifier: GPL-2.0-only
"""Profiles: which mode each control has, per profile and namespace."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ccslab.policy import language
from ccslab.policy.source import Statement, namespaced, read, refuse

_BRACES = re.compile(r"\{ ?(.*?) ?\}")
_LINE = re.compile(r"([0-9]+)-([A-Za-z_:]+)=(.*)")


@dataclass(frozen=True)
class Config:
    """The right side of a ``CONFIG`` line; "" where nothing is said, mode may be ``use_default``."""

    mode: str = ""
    grant_log: str = ""
    reject_log: str = ""

    def format(self) -> str:
        """As the kernel prints it."""
        if self.mode == "use_default":
            return "use_default"
        said = (("mode", self.mode), ("grant_log", self.grant_log), ("reject_log", self.reject_log))
        return " ".join(["{", *(f"{name}={what}" for name, what in said if what), "}"])


@dataclass
class Profile:
    """One profile.

    :param preference: numbers by name; enforcing_penalty in tenths of a second.
    :param config: by key, "" for ``CONFIG``, ``file`` or ``file::read`` for ``CONFIG::...``.
    """

    comment: str = ""
    preference: dict[str, int] = field(default_factory=dict)
    config: dict[str, Config] = field(default_factory=dict)

    def mode(self, key: str) -> str:
        """The mode in force for ``file::execute`` and the like: own, else category, else default."""
        for name in (key, key.partition("::")[0], ""):
            config = self.config.get(name)
            if config and config.mode not in ("", "use_default"):
                return config.mode
        return "disabled"


@dataclass(frozen=True)
class Setting:
    """One line: ``number`` is None for PROFILE_VERSION."""

    number: int | None
    name: str
    value: int | str | Config | tuple[tuple[str, int], ...]


@dataclass
class Profiles:
    """All profiles by namespace and number."""

    versions: dict[str, int] = field(default_factory=dict)
    profiles: dict[tuple[str, int], Profile] = field(default_factory=dict)

    def profile(self, number: int, namespace: str = "<kernel>") -> Profile | None:
        """The profile, or None if it is not defined."""
        return self.profiles.get((namespace, number))

    def format(self) -> str:
        """The text for ``profile``, in the kernel's order."""
        spaces = list(dict.fromkeys([*self.versions, *(space for space, _ in self.profiles)]))
        out = []
        for space in spaces:
            prefix = "" if spaces == ["<kernel>"] else f"{space} "
            if space in self.versions:
                out.append(f"{prefix}PROFILE_VERSION={self.versions[space]}")
            for (owner, number), profile in sorted(self.profiles.items()):
                if owner == space:
                    out += [f"{prefix}{number}-{line}" for line in _format_profile(profile)]
        return "".join(f"{line}\n" for line in out)


def _format_profile(profile: Profile) -> Iterator[str]:
    yield f"COMMENT={profile.comment}"
    if profile.preference:
        known = [name for name in language.PREFERENCES if name in profile.preference]
        words = [f"{name}={profile.preference[name]}" for name in known]
        yield "PREFERENCE={ " + " ".join(words) + " }"
    for key in ("", *language.CONFIG):
        if key in profile.config:
            yield f"CONFIG{'::' if key else ''}{key}={profile.config[key].format()}"


def _pairs(text: str, known: dict[str, list[str] | None]) -> dict[str, str]:
    """The ``name=value`` words between braces; known maps a name to its values, None for a number."""
    found = _BRACES.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} must be {{ name=value ... }}")
    out = {}
    for word in found[1].split():
        name, sign, what = word.partition("=")
        if name not in known or not sign:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise ValueError(f"unknown setting {word!r}" + (f", did you mean {near[0]}?" if near else ""))
        values = known[name]
        if (what not in values) if values else not what.isdecimal():
            raise ValueError(f"{word!r}: must be {' or '.join(values) if values else 'a number'}")
        out[name] = what
    return out


def _config(text: str) -> Config:
    if text == "use_default":
        return Config("use_default")
    yes_no = ["yes", "no"]
    return Config(**_pairs(text, {"mode": language.MODES, "grant_log": yes_no, "reject_log": yes_no}))


def parse_profile_line(line: str) -> Setting:
    """Read one normalised line without its namespace.

    :raises ValueError: with the reason, where the kernel would drop the line.
    """
    if line.startswith("PROFILE_VERSION="):
        text = line.partition("=")[2]
        if not text.isdecimal():
            raise ValueError("PROFILE_VERSION takes a number such as 20150505")
        return Setting(None, "PROFILE_VERSION", int(text))
    found = _LINE.fullmatch(line)
    if not found:
        raise ValueError("not NUMBER-NAME=VALUE")
    number, name, rest = int(found[1]), found[2], found[3]
    if number >= language.MAX_PROFILES:
        raise ValueError(f"profile {number}: profiles are 0 to {language.MAX_PROFILES - 1}")
    if name == "COMMENT":
        return Setting(number, name, rest)
    if name == "PREFERENCE":
        pairs = _pairs(rest, dict.fromkeys(language.PREFERENCES))
        return Setting(number, name, tuple((key, int(what)) for key, what in pairs.items()))
    keys = {"CONFIG": "", **{f"CONFIG::{key}": key for key in language.CONFIG}}
    if name not in keys:
        near = difflib.get_close_matches(name, [*keys, "COMMENT", "PREFERENCE"], n=1, cutoff=0.5)
        raise ValueError(f"unknown name {name!r}" + (f", did you mean {near[0]}?" if near else ""))
    return Setting(number, name, _config(rest))


def scan_profile(text: str) -> Iterator[Statement[Setting]]:
    """Every line with its namespace and its meaning or fault; never raises."""
    for number, space, rest, line in namespaced(text):
        item, fault = read(parse_profile_line, rest)
        yield Statement(number, line, space, item, fault)


def parse_profile(text: str, source: str = "") -> Profiles:
    """Read the profiles of 2.6 or 1.8; a later line overrides what an earlier one says.

    :raises UserError: for the first malformed line.
    """
    out = Profiles()
    for statement in refuse(scan_profile(text), source):
        setting = statement.item
        assert setting is not None
        if setting.number is None:
            assert isinstance(setting.value, int)
            out.versions[statement.scope] = setting.value
            continue
        profile = out.profiles.setdefault((statement.scope, setting.number), Profile())
        match setting.value:
            case str(comment):
                profile.comment = comment
            case Config() as config:
                key = setting.name.removeprefix("CONFIG").removeprefix("::")
                profile.config[key] = _over(profile.config.get(key, Config()), config)
            case tuple(pairs):
                profile.preference.update(pairs)
    return out


def _over(old: Config, new: Config) -> Config:
    """What holds after ``new`` was written over ``old``: unsaid settings stay."""
    if new.mode == "use_default" or old.mode == "use_default":
        return new
    return Config(new.mode or old.mode, new.grant_log or old.grant_log, new.reject_log or old.reject_log)
