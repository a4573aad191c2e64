# SPDX-License-Identifier: GPL-2.0-only
"""Conditions of an ACL: ``task.uid=0``, ``exec.argv[0]!="sh"``, ``path1.type=file``."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from ccslab.policy import language, pathname, value

_ARGV = re.compile(r"exec\.argv\[(0|[1-9][0-9]*)\]")
_ENVP = re.compile(r'exec\.envp\["([^"]*)"\]')


@dataclass(frozen=True, order=True)
class Condition:
    """One comparison, both sides in the kernel's spelling."""

    left: str
    equals: bool
    right: str

    def format(self) -> str:
        """As it stands in a policy line."""
        return f"{self.left}{'=' if self.equals else '!='}{self.right}"


def _quoted(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        raise ValueError(f"{text} must stand in double quotes")
    inner = text[1:-1]
    if inner and (fault := pathname.word_fault(inner)):
        raise ValueError(f"{text}: {fault}")
    return text


def _group(text: str) -> str:
    if fault := pathname.word_fault(text[1:]):
        raise ValueError(f"group {text}: {fault}")
    return text


def _operand(text: str, *, group: bool) -> str:
    if text in language.CONDITION_NUMBERS or text in language.CONDITION_CONSTANTS:
        return text
    if group and text.startswith("@"):
        return _group(text)
    if text[:1].isdigit():
        return value.number(text)
    known = [*language.CONDITION_NUMBERS, *language.CONDITION_CONSTANTS, *language.CONDITION_NAMES]
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.6)
    raise ValueError(f"unknown condition {text!r}" + (f", did you mean {near[0]}?" if near else ""))


def _is_preference(word: str) -> bool:
    """True if a domain transition can be to ``word``: a pathname, a domain or a keyword."""
    return word in language.TRANSITION_PREFERENCES or pathname.is_path(word) or pathname.is_domain(word)


def parse_condition(word: str) -> Condition:
    """Read one word such as ``task.uid!=0``.

    :raises ValueError: with the reason, if the kernel would drop the line for it.
    """
    left, sign, right = word.partition("=")
    if not sign or not left or left == "!":
        raise ValueError(f"{word!r} is not a condition (LEFT=RIGHT or LEFT!=RIGHT)")
    equals = not left.endswith("!")
    left = left if equals else left[:-1]
    if right.startswith("="):
        raise ValueError(f"{word!r}: comparison is written with one '='")
    if left == "auto_domain_transition":
        if not equals:
            raise ValueError("auto_domain_transition takes '=' only")
        if not _is_preference(right.strip('"')):
            raise ValueError(
                f"{word}: a pathname, a domain, or one of {', '.join(language.TRANSITION_PREFERENCES)}"
            )
        return Condition(left, True, _quoted(right))
    if left.startswith("exec.argv["):
        if not _ARGV.fullmatch(left):
            raise ValueError(f"{left} must be exec.argv[NUMBER]")
        return Condition(left, equals, _quoted(right))
    if left.startswith("exec.envp["):
        found = _ENVP.fullmatch(left)
        if not found or not pathname.is_word(found[1]):
            raise ValueError(f'{left} must be exec.envp["NAME"]')
        return Condition(left, equals, right if right == "NULL" else _quoted(right))
    if left in language.CONDITION_NAMES:
        return Condition(left, equals, _group(right) if right.startswith("@") else _quoted(right))
    return Condition(_operand(left, group=False), equals, _operand(right, group=True))
