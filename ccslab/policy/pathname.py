# SPDX-License-Identifier: GPL-2.0-only
"""Names of the policy language: which are valid, and what a pattern matches.

The matcher serves generalisation, comparison and coverage.  It is never a verdict: only
the kernel decides.  Facts from security/tomoyo/util.c (6.12).
"""

from __future__ import annotations

import re
from functools import lru_cache

_OCTAL = re.compile(r"\\([0-3][0-7][0-7])")
_PATTERN_ELEMENT = re.compile(r"\\\\|\\[0-3][0-7]{2}|\\.|[^\\]")
_SINGLE = "\\+?xa-"
_REPEATED = "*@$XA{}"
_MAX_REPEATED = 20


def normalise_line(line: str) -> str:
    """The line as the kernel stores it: blanks and non-ASCII bytes separate words."""
    return " ".join(word for word in re.split(r"[^!-~]+", line) if word)


def encode(text: str | bytes) -> str:
    """A file name in policy spelling: backslash doubled, bytes outside 0x21-0x7E as ``\\ooo``."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return "".join(
        "\\\\" if byte == 0x5C else chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03o}" for byte in data
    )


def _escape_fault(word: str, at: int) -> str:
    """What is wrong with the escape that begins at the backslash ``word[at]``, or ""."""
    following = word[at + 1 : at + 2]
    if following and following in "0123":
        octal = _OCTAL.match(word, at)
        if octal and 0x20 < int(octal[1], 8) < 0x7F:
            return f"\\{octal[1]} is a printable character, write it as {chr(int(octal[1], 8))!r}"
        return "" if octal else rf"\{word[at + 1 : at + 4]} is not an octal byte"
    if not following or following not in _SINGLE + _REPEATED:
        return rf"unknown pattern \{following}"
    return ""


def _repetition_fault(word: str) -> str:
    r"""What is wrong with the ``/\{dir\}/`` of a word, or ""."""
    for component in word.split("/"):
        opened, closed = component.count(r"\{"), component.count(r"\}")
        whole = component.startswith(r"\{") and component.endswith(r"\}")
        if (opened or closed) and not (whole and opened == closed == 1):
            return r"a repetition is a whole component: /\{dir\}/"
    if word.startswith(r"\{") or word.endswith(r"\}"):
        return r"a repetition stands between slashes: /\{dir\}/"
    return ""


def word_fault(word: str) -> str:
    """Why ``word`` breaks the naming rules of the kernel, or "" if it keeps them."""
    if not word:
        return "empty word"
    repeated, at = 0, 0
    plain = []
    while at < len(word):
        if word[at] != "\\":
            if not "!" <= word[at] <= "~":
                return f"character {word[at]!r} must be written \\ooo"
            plain.append(word[at])
            at += 1
            continue
        if fault := _escape_fault(word, at):
            return fault
        following = word[at + 1]
        plain.append("" if following == "\\" else word[at : at + 2])
        repeated += following in _REPEATED
        at += 4 if following in "0123" else 2
    if repeated > _MAX_REPEATED:
        return f"more than {_MAX_REPEATED} repeating patterns"
    return _repetition_fault("".join(plain))


def is_word(word: str) -> bool:
    """True if the kernel accepts ``word`` as a name."""
    return not word_fault(word)


def is_path(word: str) -> bool:
    """True if the kernel accepts ``word`` as a pathname (``/x``, ``proc:/x``): a slash, no dot before it.

    ``auto_domain_transition="/x"`` is a condition (our kernels; a stock kernel takes it for a pathname).
    """
    if word.startswith("auto_domain_transition="):
        return False
    slash, dot = word.find("/"), word.find(".")
    return slash >= 0 and (dot < 0 or slash < dot) and is_word(word)


def is_namespace(word: str) -> bool:
    """True for ``<kernel>`` and other namespace names."""
    return len(word) > 2 and word[0] == "<" and word[-1] == ">" and is_word(word[1:-1])


def is_domain(name: str) -> bool:
    """True if the kernel accepts ``name`` as a domain name."""
    first, *rest = name.split(" ")
    return is_namespace(first) and all(is_path(word) for word in rest)


def constant_length(word: str) -> int:
    """Length of the part before the first wildcard (``\\\\`` and ``\\ooo`` are no wildcards)."""
    at = 0
    while at < len(word):
        if word[at] != "\\":
            at += 1
        elif word[at + 1 : at + 2] == "\\":
            at += 2
        elif _OCTAL.match(word, at):
            at += 4
        else:
            break
    return at


@lru_cache(maxsize=16384)
def is_pattern(word: str) -> bool:
    """True if the kernel would compare ``word`` as a pattern and not by equality."""
    return constant_length(word) < len(word)


# One element of a name: any but slash, and (for \@) but slash and dot.
_ANY = r"(?:\\\\|\\[0-3][0-7]{2}|[^\\/])"
_NO_DOT = r"(?:\\\\|\\[0-3][0-7]{2}|[^\\/.])"
_CLASSES = {
    "*": _ANY + "*",
    "@": _NO_DOT + "*",
    "?": _ANY,
    "$": "[0-9]+",
    "+": "[0-9]",
    "X": "[0-9A-Fa-f]+",
    "x": "[0-9A-Fa-f]",
    "A": "[A-Za-z]+",
    "a": "[A-Za-z]",
}


def _translate(part: str) -> str:
    """One component without subtraction as a regular expression."""
    out = []
    for element in _PATTERN_ELEMENT.findall(part):
        if element.startswith("\\") and element[1] in _CLASSES:
            out.append(_CLASSES[element[1]])
        else:
            out.append(re.escape(element))
    return "".join(out)


def _component(pattern: str) -> str:
    """One component, subtraction included, as a regular expression that ends before a slash or the end."""
    parts = [""]
    for element in _PATTERN_ELEMENT.findall(pattern):
        if element == "\\-":
            parts.append("")
        else:
            parts[-1] += element
    without = "".join(f"(?!{_translate(part)}(?:/|\\Z))" for part in parts[1:])
    return without + _translate(parts[0])


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    components = pattern.split("/")
    out: list[str] = []
    for at, component in enumerate(components):
        if at and not out[-1].endswith("/)+"):
            out.append("/")
        if component.startswith("\\{") and component.endswith("\\}"):
            out.append(f"(?:{_component(component[2:-2])}/)+")
        else:
            out.append(_component(component))
    # The kernel ignores a last component of nothing but \\* and \\@ when the name ends before it, provided
    # that a wildcard stands earlier: /a/\\*/\\* matches /a/b, while /a/\\* does not match /a.
    earlier = constant_length(pattern) <= pattern.rfind("/")
    if earlier and re.fullmatch(r"(?:\\[*@])+", components[-1]) and not out[-2].endswith("/)+"):
        out[-2:] = [f"(?:{out[-2]}{out[-1]})?"]
    return re.compile("".join(out))


def matches(name: str, pattern: str) -> bool:
    """True if ``name`` (in policy spelling) is what ``pattern`` stands for.

    A name ending in ``/`` is a directory and is matched only by a pattern ending in ``/``.
    """
    if not is_pattern(pattern):
        return name == pattern
    if name.endswith("/") != pattern.endswith("/"):
        return False
    return _compiled(pattern).fullmatch(name) is not None
