# SPDX-License-Identifier: GPL-2.0-only
"""Random policies and random requests, the same for the same seed: what two kernels are to answer alike.

Names come from a small world, so that rules and requests meet often; patterns of every kind, groups,
subtraction, conditions, ``use_group`` and the three modes that look at rules all occur.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DOMAIN = "<kernel> /bin/ccsask"
FOLDERS = ("/t/", "/t/a/", "/t/a/b/", "/t/a/b/c/", "/t/d1/", "/t/d1/0f/")
NAMES = (
    "f",
    "g",
    "f1",
    "f12",
    "f.txt",
    "g.txt",
    "12",
    "0",
    "ab",
    "abc",
    "DEAD",
    "be.ef",
    "x-y",
    "new",
    "\\303\\244",
)
ONE = ("read", "write", "append", "unlink", "getattr", "rmdir", "truncate", "symlink", "execute")
NUMBERED = ("create", "mkdir", "mkfifo", "mksock", "ioctl", "chmod", "chown", "chgrp")
TWO = ("link", "rename")
NUMBERS = ("0640", "0600", "0755", "7", "0x5401", "0-7", "0600-0640", "@NUMBERS")
WILD = ("\\*", "\\@", "\\?", "\\$", "\\+", "\\X", "\\x", "\\A", "\\a")
TRANSITIONS = ("", "", "keep", "child", "initialize", "/t/other")
CONDITIONS = (
    "task.uid=0",
    "task.uid!=0",
    "task.gid=@NUMBERS",
    "path1.uid=0",
    "path1.uid=7",
    "path1.gid!=7",
    "path1.type=file",
    "path1.type!=directory",
    "path1.perm=0644",
    "path1.perm=0755",
    "path1.parent.uid=0",
    "path1.parent.perm!=0700",
    "path1.uid=path1.gid",
    "path1.perm=owner_read",
    "grant_log=no",
    "grant_log=yes",
)
FILES = tuple(f"{folder}{name}" for folder in FOLDERS for name in NAMES[:9])
GROUPS = 4
"""How many ``path_group`` a policy has."""
ACL_GROUPS = 256
"""How many there are: TOMOYO_MAX_ACL_GROUPS."""
LEARNING = 1
ANY = ("\\*", "\\@", "\\*\\*", "\\*\\-.\\*")
"""Patterns of nearly any name."""
MAKING = ("create", "mkdir", "mkfifo", "mksock", "mkchar", "symlink", "bind")
# What a pattern could stand for; what follows a subtraction is not for a name.
STANDS_FOR = {"*": "ab", "@": "x", "?": "f", "$": "12", "+": "0", "X": "DEAD", "x": "b", "A": "abc", "a": "g"}
PATTERN = re.compile(r"\\([*@?$+XxAa])|\\-.*|\\([0-7]{3})")


@dataclass(frozen=True)
class Trial:
    """A policy, and what is asked of it."""

    name: str
    exceptions: tuple[str, ...]
    rules: tuple[str, ...]
    requests: tuple[str, ...]
    files: tuple[str, ...] = FILES
    """What is there before it begins."""

    def script(self) -> str:
        """As askinit reads it."""
        lines = [f"t {self.name}", *(f"e {line}" for line in self.exceptions), "n"]
        lines += [f"d {line}" for line in self.rules]
        lines += [f"m {folder.rstrip('/')}" for folder in FOLDERS[1:]]
        lines += [f"f {file}" for file in self.files]
        lines += [f"r {request}" for request in self.requests]
        return "\n".join([*lines, "."]) + "\n"


def trials(count: int, seed: int, *, rules: int = 30, requests: int = 40) -> Iterator[Trial]:
    """As many trials as asked for.

    :param seed: the same gives the same trials.
    :param rules: of each at most; a few have ten times as many.
    :param requests: of each.
    """
    for number in range(count):
        yield trial(number, seed, rules=rules, requests=requests)


def trial(number: int, seed: int, *, rules: int = 30, requests: int = 40) -> Trial:
    """One trial by its number."""
    maker = _Maker(random.Random(f"{seed}/{number}"), number)  # noqa: S311
    most = rules * 10 if number % 20 == 19 else rules
    exceptions, rules_made = maker.exceptions(), maker.domain(most)
    asked = tuple(maker.request(rules_made, exceptions) for _ in range(requests))
    # Four in five of those asked for are there: a check comes after the lookup.
    there = {
        path
        for operation, path, *_ in map(str.split, asked)
        if operation not in MAKING
        and path.rpartition("/")[0] + "/" in FOLDERS
        and maker.random.random() < 0.8
    }
    files = tuple(sorted({*FILES, *there} - {folder.rstrip("/") for folder in FOLDERS}))
    return Trial(f"{seed}/{number}", tuple(exceptions), tuple(rules_made), asked, files)


class _Maker:
    def __init__(self, source: random.Random, number: int) -> None:
        self.random = source
        # Of this trial alone: what the one before deleted may not be collected yet, and would come back.
        self.groups = [f"G{number}_{group}" for group in range(GROUPS)]
        first = number * 2 % (ACL_GROUPS - 2) + 1
        self.shared = (first, first + 1)

    def exceptions(self) -> list[str]:
        """Groups of patterns and numbers, and rules that domains with ``use_group`` share."""
        lines = [f"path_group {group} {member}" for group in self.groups for member in self.members()]
        gone = [line for line in lines if self.random.random() < 0.15]
        lines += [f"delete {line}" for line in gone]
        lines += [line for line in gone if self.random.random() < 0.3]
        lines += [f"number_group NUMBERS {number}" for number in ("7", "0600-0640", "0x5401")[: self.few()]]
        lines += [f"acl_group {group} {self.rule()}" for group in self.shared for _ in range(self.few())]
        return lines

    def domain(self, most: int) -> list[str]:
        profile = self.random.choice((1, 2, 3, 3, 3))
        lines = [f"use_profile {profile}"]
        lines += [f"use_group {group}" for group in (0, *self.shared) if self.random.random() < 0.5]
        rules = [self.rule() for _ in range(self.random.randint(0, most))]
        # Some go again, and of those some come back: what is deleted stays in the list until it is collected.
        # Where it is if it is learned again would be a matter of time: in learning mode all come back.
        gone = [rule for rule in rules if self.random.random() < 0.1]
        back = [rule for rule in gone if profile == LEARNING or self.random.random() < 0.3]
        return [*lines, *rules, *(f"delete {rule}" for rule in gone), *back]

    def rule(self) -> str:
        kind = self.random.random()
        if kind < 0.1:
            # A group's member names the domain.
            who = f"@{self.random.choice(self.groups)}" if self.random.random() < 0.5 else self.operand()
            told = f"file execute {who} {self.random.choice(TRANSITIONS)}".rstrip()
        elif kind < 0.15:
            return f"network unix stream bind {self.operand()}"
        elif kind < 0.65:
            operations = self.random.sample(ONE, self.random.randint(1, 3))
            told = f"file {'/'.join(operations)} {self.operand()}"
        elif kind < 0.85:
            operation = self.random.choice(NUMBERED)
            told = f"file {operation} {self.operand()} {self.random.choice(NUMBERS)}"
        elif kind < 0.9:
            told = f"file mkchar {self.operand()} 0600 {self.random.choice(('1', '0-9'))} 3"
        else:
            told = f"file {self.random.choice(TWO)} {self.operand()} {self.operand()}"
        if self.random.random() < 0.25:
            told += "".join(f" {one}" for one in self.random.sample(CONDITIONS, self.random.randint(1, 2)))
        return told

    def operand(self) -> str:
        return f"@{self.random.choice(self.groups)}" if self.random.random() < 0.2 else self.pathname()

    def pathname(self) -> str:
        """A pathname or a pattern, of a file or of a directory."""
        folder = self.random.choice(FOLDERS)
        kind = self.random.random()
        if kind < 0.1:
            folder = self.random.choice(
                ("/t/\\{a\\}/", "/t/\\{\\a\\}/", "/t/\\{\\*\\}/", "/\\{\\*\\}/", "/t/\\{a\\-b\\}/")
            )
        elif kind < 0.25:
            parts = folder.strip("/").split("/")
            at = self.random.randrange(len(parts))
            parts[at] = self.wildcard(parts[at])
            folder = f"/{'/'.join(parts)}/"
        name = self.random.choice(NAMES)
        if self.random.random() < 0.5:
            name = self.wildcard(name)
        return folder if self.random.random() < 0.08 else f"{folder}{name}"

    def wildcard(self, name: str) -> str:
        """A component with a pattern in it, perhaps without some names."""
        one = self.random.choice(WILD)
        if name.startswith("\\"):
            return one
        at = self.random.randint(0, len(name))
        made = f"{name[:at]}{one}{self.random.choice(('', name[at:], name[at + 1 :]))}"
        if self.random.random() < 0.2:
            made += "".join(f"\\-{self.subtracted()}" for _ in range(self.random.randint(1, 2)))
        return made

    def subtracted(self) -> str:
        names = [name for name in NAMES if "-" not in name and not name.startswith("\\")]
        name = self.random.choice(names)
        return f"{name[0]}{self.random.choice(WILD)}" if self.random.random() < 0.3 else name

    def request(self, rules: Sequence[str], exceptions: Sequence[str]) -> str:
        """Something that a rule is about, more often than not."""
        about = [rule.split() for rule in rules if rule.startswith("file ")]
        about += [["file", *rule.split()[3:]] for rule in rules if rule.startswith("network ")]
        if about and self.random.random() < 0.7:
            words = self.random.choice(about)
            operation = self.random.choice(words[1].split("/"))
            path, other = (self.meant(word, exceptions) for word in (*words[2:4], "/t/f")[:2])
        else:
            operation = self.random.choice((*ONE, *ONE, *NUMBERED, *TWO, "mkchar", "bind"))
            path, other = (f"{self.random.choice(FOLDERS)}{self.name()}" for _ in range(2))
        if operation in ("rmdir", "getattr") and self.random.random() < 0.3:
            path = self.random.choice(FOLDERS[1:]).rstrip("/")
        if operation in TWO:
            return f"{operation} {path} {other}"
        return f"{operation} {path} target" if operation == "symlink" else f"{operation} {path}"

    def meant(self, operand: str, exceptions: Sequence[str]) -> str:
        """A pathname that an operand could stand for."""
        if operand.startswith("@"):
            members = [
                line.split()[2] for line in exceptions if line.startswith(f"path_group {operand[1:]} ")
            ]
            operand = self.random.choice(members) if members else "/t/f"
        if not operand.startswith("/"):
            return "/t/f"
        recursive = re.sub(r"\\\{.*?\\\}", lambda _: self.random.choice(("a", "a/b", "d1")), operand)
        parts = [PATTERN.sub(self.stood_for, part) for part in recursive.split("/")]
        path = "/".join(parts).rstrip("/")
        # What is made elsewhere would stay there for the next trial.
        return path if path == "/t" or path.startswith("/t/") else f"/t{path}"

    def stood_for(self, match: re.Match[str]) -> str:
        if match[2]:
            return "\N{LATIN SMALL LETTER A WITH DIAERESIS}" if match[2] == "303" else ""
        return STANDS_FOR.get(match[1] or "", "") if self.random.random() < 0.9 else self.name()

    def name(self) -> str:
        """As a program says it: octal spelling is policy's."""
        name = self.random.choice(NAMES)
        return "\N{LATIN SMALL LETTER A WITH DIAERESIS}" if name.startswith("\\") else name

    def members(self) -> list[str]:
        """Few, as a rule; before or behind some of them a pattern that they match too."""
        count = self.few() if self.random.random() < 0.8 else self.random.randint(8, 20)
        made = [self.pathname() for _ in range(count)]
        for _ in range(self.random.randint(0, count)):
            folder, _, name = self.random.choice(made).rpartition("/")
            if name:
                wider = f"{folder}/{self.random.choice(ANY)}"
                made.insert(self.random.randint(0, len(made)), wider)
        return list(dict.fromkeys(made))

    def few(self) -> int:
        return self.random.randint(1, 3)
