# SPDX-License-Identifier: GPL-2.0-only
"""What long work says of itself where there is no terminal: a line now and then, and no time left made up."""

from __future__ import annotations

import re

import pytest
from rich.table import Table
from rich.text import Text

from ccslab import progress


def test_what_is_printed_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("a\x1b[2J")
    table.add_row(Text("b\x9b31m\u202e"), "c\x1b]0;title\x07")
    progress.console.print("d\x1b[2J", table)
    said = capsys.readouterr().out
    assert not set(said) & {"\x1b", "\x9b", "\x07", "\u202e"}
    # A table cuts its cells to the width that they would have had.
    for spelled in (r"a\x1", r"b\x9", r"c\x1b]0;", r"d\x1b[2J"):
        assert spelled in said


def test_rich_s_own_codes_are_left(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = progress.Terminal(force_terminal=True, color_system="standard", width=80)
    terminal.print(Text("red", style="red"))
    assert "\x1b[31mred" in capsys.readouterr().out


@pytest.fixture
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)


def test_the_time_left_is_said_while_it_is_known(
    every_line: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.step("Building", 3) as step:
        step.advance(2, note="init/main.o")
    title, line, done = capsys.readouterr().out.splitlines()
    assert title == "  Building ..."
    assert re.fullmatch(r"  Building: 2 of 3, \d+ s left", line)
    assert re.fullmatch(r"  Building: done in \d+\.\d s", done)


def test_more_than_was_expected_has_no_time_left(
    every_line: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.step("Building", 3) as step:
        step.advance(4, note="init/main.o")
    assert re.fullmatch(r"  Building: \d+ s init/main\.o", capsys.readouterr().out.splitlines()[1])


def test_lines_come_no_oftener_than_they_should(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("Building", 3) as step:
        step.advance()
    assert len(capsys.readouterr().out.splitlines()) == 2
