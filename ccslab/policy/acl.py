# SPDX-License-Identifier: GPL-2.0-only
"""One access control line, of a domain or of an acl_group."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from ccslab.policy import language, pathname, value
from ccslab.policy.condition import Condition, parse_condition

#: The shape of each argument, by what the operations take.
SHAPES: dict[str, tuple[str, ...]] = {
    "path": ("path",),
    "path_path": ("path", "path"),
    "path_number": ("path", "number"),
    "device": ("path", "number", "number", "number"),
    "mount": ("path", "path", "path", "number"),
    "inet": ("address", "port"),
    "unix": ("path",),
    "env": ("name",),
    "capability": (),
    "signal": ("number", "domains"),
    "task_domain": ("domain",),
    "task_program": ("program",),
}


@dataclass(frozen=True, order=True)
class Acl:
    """An access control line; operations, numbers and addresses in the kernel's order and spelling.

    :param head: ``file``, ``network inet stream``, ..., ``misc``, ``capability``, ``ipc`` or ``task``.
    :param operations: for ``file`` and ``network`` one or more, else exactly one.
    :param arguments: words as written; ``@GROUP`` refers to a group.
    :param transition: preference of ``file execute`` (``keep``, ``<domain>``, a pathname, ...), or "".
    :param grant_log: ``yes``, ``no`` or "".
    """

    head: str
    operations: tuple[str, ...]
    arguments: tuple[str, ...]
    transition: str = ""
    conditions: tuple[Condition, ...] = ()
    grant_log: str = ""

    def format(self) -> str:
        """The line as the kernel prints it."""
        words = [self.head, "/".join(self.operations), *self.arguments]
        if self.transition:
            words.append(self.transition)
        automatic = [one.format() for one in self.conditions if one.left == "auto_domain_transition"]
        words += [one.format() for one in self.conditions if one.left != "auto_domain_transition"]
        if self.grant_log:
            words.append(f"grant_log={self.grant_log}")
        return " ".join(words + automatic)

    @property
    def shape(self) -> str:
        """Key into :data:`SHAPES`."""
        return shape_of(self.head, self.operations[0])

    def single(self) -> Iterator[Acl]:
        """The same line for each of its operations alone."""
        for operation in self.operations:
            yield replace(self, operations=(operation,))

    def groups(self) -> Iterator[tuple[str, str]]:
        """``(kind, name)`` of every group the line refers to; kind as in the exception policy."""
        kinds = {
            "path": "path_group",
            "address": "address_group",
            "number": "number_group",
            "port": "number_group",
        }
        for kind, word in zip(SHAPES[self.shape], self.arguments, strict=True):
            if word.startswith("@") and kind in kinds:
                yield kinds[kind], word[1:]
        for condition in self.conditions:
            if condition.right.startswith("@"):
                names = condition.left in language.CONDITION_NAMES
                yield "path_group" if names else "number_group", condition.right[1:]

    def only_18(self) -> list[str]:
        """The words of the line that a 2.6 kernel does not know."""
        new = language.ONLY_18
        words = [self.head] if self.head in new["heads"] else []
        if self.head.startswith("network"):
            words += [word for word in self.operations if word in new["network"]]
        if self.head == "task":
            words += [word for word in self.operations if word in new["task"]]
        return words + [c.left for c in self.conditions if c.left in new["conditions"]]


def shape_of(head: str, operation: str) -> str:
    """Key into :data:`SHAPES` for one operation of a head."""
    if head == "file":
        return language.file_shape(operation)
    if head.startswith("network"):
        return head.split(" ")[1]
    if head == "task":
        return "task_domain" if operation in language.TASK["domain"] else "task_program"
    return {"misc": "env", "capability": "capability", "ipc": "signal"}[head]


def order_of(head: str, operation: str) -> list[str]:
    """All operations that may be joined with ``operation``, in the kernel's order."""
    if head == "file":
        return language.FILE[language.file_shape(operation)]
    if head.startswith("network"):
        _, family, protocol = head.split(" ")
        return language.NETWORK[family, protocol]
    return [operation]


def _unknown(kind: str, word: str, known: Iterable[str]) -> ValueError:
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return ValueError(
        f"unknown {kind} {word!r}, " + (f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}")
    )


def _operations(kind: str, word: str, known: list[str]) -> list[str]:
    given = word.split("/")
    for name in given:
        if name not in known:
            raise _unknown(kind, name, known)
    return [name for name in known if name in given]


def _name(word: str) -> str:
    if fault := pathname.word_fault(word.removeprefix("@")):
        raise ValueError(f"{word!r}: {fault}")
    return word


def _environment(word: str) -> str:
    if "=" in word:
        raise ValueError(f"{word!r}: the name of an environment variable has no '='")
    if fault := pathname.word_fault(word):
        raise ValueError(f"{word!r}: {fault}")
    return word


def _program(word: str) -> str:
    if not word.startswith("/") or not pathname.is_path(word) or pathname.is_pattern(word):
        raise ValueError(f"{word!r} is not the pathname of a program")
    return word


def _or_group(read: Callable[[str], str]) -> Callable[[str], str]:
    return lambda word: _name(word) if word.startswith("@") else read(word)


_READ: dict[str, Callable[[str], str]] = {
    "path": _name,
    "number": _or_group(value.number),
    "port": _or_group(lambda word: value.number(word, maximum=65535)),
    "address": _or_group(value.address),
    "name": _environment,
    "program": _program,
}


def _domain(words: list[str]) -> str:
    """Take a domain name off the front of ``words``."""
    count = 1
    while count < len(words) and pathname.is_path(words[count]):
        count += 1
    name = " ".join(words[:count])
    if not pathname.is_domain(name):
        raise ValueError(f"{name!r} is not a domain name (<kernel> /program ...)")
    del words[:count]
    return name


def _head(words: list[str]) -> tuple[str, tuple[str, ...]]:
    """Take keyword and operations off the front of ``words``."""
    first = words.pop(0)
    if first == "file":
        given = words.pop(0) if words else ""
        every = [name for names in language.FILE.values() for name in names]
        names = _operations("file operation", given, every)
        shapes = {language.file_shape(name) for name in names}
        if len(shapes) > 1:
            raise ValueError(f"{given}: these operations take different arguments, write a line for each")
        return "file", tuple(names)
    if first == "network":
        family, protocol, given = [*words, "", "", ""][:3]
        if family not in ("inet", "unix"):
            raise _unknown("address family", family, ("inet", "unix"))
        protocols = [name for kind, name in language.NETWORK if kind == family]
        if protocol not in protocols:
            raise _unknown("protocol", protocol, protocols)
        del words[:3]
        operations = _operations("network operation", given, language.NETWORK[family, protocol])
        return f"network {family} {protocol}", tuple(operations)
    known = {
        "misc": ["env"],
        "capability": language.CAPABILITIES,
        "ipc": ["signal"],
        "task": [*language.TASK["domain"], *language.TASK["program"]],
    }
    if first not in known:
        raise _unknown("keyword", first, ["file", "network", *known])
    given = words.pop(0) if words else ""
    if given not in known[first]:
        raise _unknown(f"{first} operation", given, known[first])
    return first, (given,)


def _transition(words: list[str]) -> str:
    if words and words[0].startswith("<"):
        return _domain(words)
    if words and (words[0] in language.TRANSITION_PREFERENCES or pathname.is_path(words[0])):
        return words.pop(0)
    return ""


def _automatic_fault(head: str, operations: tuple[str, ...], automatic: list[str], transition: str) -> str:
    """What is wrong with the ``auto_domain_transition=`` of a line, or ""."""
    if not automatic:
        return ""
    if len(automatic) > 1 or transition:
        return "a line leads to one domain only"
    executes = head == "file" and "execute" in operations
    if head in ("misc", "task") or (executes and len(operations) > 1):
        return f"{head} {'/'.join(operations)} takes no auto_domain_transition="
    if not executes and automatic[0] in language.TRANSITION_PREFERENCES:
        return f"{automatic[0]} is for 'file execute' only"
    return ""


def parse_acl(line: str) -> Acl:
    """Read one normalised line.

    :raises ValueError: with the reason, where the kernel would drop the line or a part of it.
    """
    words = line.split(" ")
    head, operations = _head(words)
    arguments = []
    kinds = SHAPES[shape_of(head, operations[0])]
    for at, kind in enumerate(kinds):
        if not words:
            raise ValueError(f"{head} {'/'.join(operations)} takes {len(kinds)} argument(s), {at} given")
        arguments.append(_domain(words) if kind in ("domain", "domains") else _READ[kind](words.pop(0)))
    transition = _transition(words)
    if transition and (head != "file" or operations != ("execute",)):
        raise ValueError(f"unexpected {transition!r}: only 'file execute' takes a domain transition")
    conditions: list[Condition] = []
    grant_log = ""
    for word in words:
        if word.startswith("grant_log"):
            if grant_log or word not in ("grant_log=yes", "grant_log=no"):
                raise ValueError(f"{word!r} must be grant_log=yes or grant_log=no, once")
            grant_log = word.removeprefix("grant_log=")
        else:
            conditions.append(parse_condition(word))
    automatic = [one.right.strip('"') for one in conditions if one.left == "auto_domain_transition"]
    if fault := _automatic_fault(head, operations, automatic, transition):
        raise ValueError(fault)
    return Acl(head, operations, tuple(arguments), transition, tuple(conditions), grant_log)


def merge(acls: Iterable[Acl]) -> list[Acl]:
    """Join lines that differ only in their operations, as the kernel does, in order of mention.

    An ``execute`` line with a transition stays alone: the kernel accepts it only so.
    """
    joined: dict[tuple[object, ...], Acl] = {}
    for acl in acls:
        key: tuple[object, ...] = (
            acl.head,
            acl.shape,
            acl.arguments,
            acl.transition,
            acl.conditions,
            acl.grant_log,
        )
        if acl.head == "file" or acl.head.startswith("network"):
            before = joined.get(key)
            if before:
                order = order_of(acl.head, acl.operations[0])
                names = {*before.operations, *acl.operations}
                joined[key] = replace(before, operations=tuple(name for name in order if name in names))
                continue
        else:
            key += (acl.operations,)
        joined.setdefault(key, acl)
    return list(joined.values())
