# SPDX-License-Identifier: GPL-2.0-only
"""Names and patterns: the kernel's rules, an outside opinion, and a slow reference."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from policy_strategies import DATA, literal_path, pattern

from ccslab.policy import pathname

ELEMENT = re.compile(r"\\\\|\\[0-3][0-7]{2}|\\.|.")
DIGITS, HEX = "0123456789", "0123456789abcdefABCDEF"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
ONE = {"+": DIGITS, "x": HEX, "a": LETTERS}
MORE = {"$": DIGITS, "X": HEX, "A": LETTERS}


def slow_part(name: list[str], part: list[str]) -> bool:
    """One component without subtraction, by trying everything."""
    if not part:
        return not name
    head, rest = part[0], part[1:]
    kind = head[1] if len(head) == 2 and head != "\\\\" else ""
    if kind in ("*", "@"):
        stops = (at for at, c in enumerate(name) if c == "." and kind == "@")
        longest = next(stops, len(name))
        return any(slow_part(name[n:], rest) for n in range(longest + 1))
    if kind in MORE:
        longest = next((at for at, c in enumerate(name) if c not in MORE[kind]), len(name))
        return any(slow_part(name[n:], rest) for n in range(1, longest + 1))
    if not name:
        return False
    fits = True if kind == "?" else name[0] in ONE[kind] if kind in ONE else name[0] == head
    return fits and slow_part(name[1:], rest)


def slow_component(name: str, wanted: str) -> bool:
    parts: list[list[str]] = [[]]
    for element in ELEMENT.findall(wanted):
        if element == "\\-":
            parts.append([])
        else:
            parts[-1].append(element)
    verdicts = [slow_part(ELEMENT.findall(name), part) for part in parts]
    return verdicts[0] and not any(verdicts[1:])


def slow_components(names: list[str], wanted: list[str], wild: bool) -> bool:
    """``wild``: a wildcard stood before."""
    if not names or not wanted:
        only = len(wanted) == 1 and re.fullmatch(r"(\\[*@])+", wanted[0])
        return (not names and not wanted) or bool(not names and only and wild)
    head, rest = wanted[0], wanted[1:]
    if head.startswith("\\{"):
        for count in range(1, len(names)):
            if not slow_component(names[count - 1], head[2:-2]):
                return False
            if slow_components(names[count:], rest, True):
                return True
        return False
    return slow_component(names[0], head) and slow_components(
        names[1:], rest, wild or pathname.is_pattern(head)
    )


def slow_matches(name: str, wanted: str) -> bool:
    if name.endswith("/") != wanted.endswith("/"):
        return False
    return slow_components(name.split("/"), wanted.split("/"), False)


@settings(max_examples=150, deadline=None)
@given(literal_path, pattern)
@example("/1", "/\\*/\\*")
@example("/a/", "/\\{a\\}/")
@example("/a/b", "/\\*\\-a/b")
def test_matcher_agrees_with_a_slow_reference(name: str, wanted: str) -> None:
    assert pathname.matches(name, wanted) == slow_matches(name, wanted)


def table() -> list[tuple[str, str, bool]]:
    rows = [line.split(" ") for line in (DATA / "matches.txt").read_text().splitlines() if line[0] != "#"]
    return [(wanted, name, verdict == "yes") for wanted, name, verdict in rows]


def test_matcher_agrees_with_tomoyo_patternize() -> None:
    rows = table()
    assert len(rows) > 900
    assert sum(verdict for _, _, verdict in rows) > 300
    wrong = [(w, n) for w, n, verdict in rows if pathname.matches(n, w) != verdict]
    assert wrong == []


@pytest.mark.parametrize(("wanted", "name", "verdict"), table()[::9])
def test_slow_reference_agrees_with_tomoyo_patternize(wanted: str, name: str, verdict: bool) -> None:
    assert slow_matches(name, wanted) == verdict


@settings(max_examples=40, deadline=None)
@given(literal_path)
def test_every_literal_matches_itself_and_is_valid(name: str) -> None:
    assert pathname.is_word(name)
    assert not pathname.is_pattern(name)
    assert pathname.matches(name, name)


@settings(max_examples=40, deadline=None)
@given(pattern)
def test_generated_patterns_are_valid(wanted: str) -> None:
    assert pathname.word_fault(wanted) == ""


@pytest.mark.parametrize(
    "word",
    [
        "",
        "/a b",
        "/\\q",
        "/\\08",
        "/\\101",
        "/\\400",
        "/\\",
        "/a\\{b\\}/",
        "/\\{a",
        "/\\{a/b\\}/",
        "/\\{a\\}b",
        "/\\*" * 21,
    ],
)
def test_malformed_words_have_a_reason(word: str) -> None:
    assert pathname.word_fault(word)


@pytest.mark.parametrize(
    ("word", "good"),
    [
        ("/x", True),
        ("proc:/self/x", True),
        ("a.b/c", False),
        ("x", False),
        ("securityfs:/tomoyo/stat", True),
        ("<a>/b", True),
    ],
)
def test_pathname_begins_with_a_slash_before_any_dot(word: str, good: bool) -> None:
    assert pathname.is_path(word) == good


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("<kernel>", True),
        ("<kernel> /a /b", True),
        ("<a>", True),
        ("<>", False),
        ("<kernel> a", False),
        ("kernel", False),
    ],
)
def test_domain_names(name: str, good: bool) -> None:
    assert pathname.is_domain(name) == good


def test_names_are_encoded_as_the_kernel_prints_them() -> None:
    assert pathname.encode("/a b\\c\u00e9") == "/a\\040b\\\\c\\303\\251"


def test_lines_are_normalised_as_the_kernel_does() -> None:
    assert pathname.normalise_line("\t file  read\u00a0 /x \r") == "file read /x"
