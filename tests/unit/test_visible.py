# SPDX-License-Identifier: GPL-2.0-only
"""What a user, a file or a guest wrote, as it is echoed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.errors import UserError, unknown
from ccslab.visible import TEXT_MOST, WORD_MOST, one_line, shortened, told, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\tb\n", "a\tb\n"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("\udcff", r"\udcff"),
        ("日本 é", "日本 é"),
    ],
)
def test_what_steers_is_spelled_out(text: str, seen: str) -> None:
    assert visible(text) == seen


@given(st.text())
def test_what_is_visible_stays_so(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert "\n" not in one_line(text)


def test_a_long_word_is_cut_in_its_middle() -> None:
    assert shortened("abcdef", 4) == "ab ... 2 more ... ef"
    assert told("x " + "y" * 5000) == f"x {'y' * 100} ... {5000 - WORD_MOST} more ... {'y' * 100}"


# Repeated, for drawing so many characters one by one costs seconds.
@given(st.text(min_size=1).map(lambda text: text * TEXT_MOST))
def test_nothing_told_is_longer_than_a_reader_bears(text: str) -> None:
    assert len(told(text)) < 12 * TEXT_MOST


def test_an_argument_is_cut_before_it_is_echoed() -> None:
    error = unknown("lab", "z" * 100_000, ["apache-cgi"])
    assert len(str(error)) < 400
    assert str(error).endswith("there are: apache-cgi")
    assert str(UserError("a\x1b[2Jb", where="/\x9bx", mend="c\nd")) == r"/\x9bx: a\x1b[2Jb - c d"
