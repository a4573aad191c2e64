# SPDX-License-Identifier: GPL-2.0-only
"""Where a run's time went adds up to the whole of it, and the table says so."""

from __future__ import annotations

import contextlib
import io

import evidence_sample as sample
import pytest
from rich.console import Console

from ccslab.evidence.timings import timings
from ccslab.labs.stopwatch import Stopwatch
from ccslab.results import Phase, Results, Spent, What


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_outermost_span_gets_the_time_and_the_rest_is_the_harness(clock: Clock) -> None:
    watch = Stopwatch(clock)
    clock.now += 1
    for _ in range(2):
        with watch.span(What.AUDIT):
            clock.now += 2
            with watch.span(What.CONSOLE):
                clock.now += 3
    with watch.span(What.CONSOLE):
        clock.now += 0.5
    assert watch.take() == {
        What.AUDIT: Spent(10.0, 2),
        What.CONSOLE: Spent(0.5, 1),
        What.REST: Spent(1.0, 1),
    }
    clock.now += 4
    assert watch.take() == {What.REST: Spent(4.0, 1)}


def test_a_span_that_fails_counts_and_is_over(clock: Clock) -> None:
    watch = Stopwatch(clock)
    with contextlib.suppress(RuntimeError), watch.span(What.HTTP):
        clock.now += 2
        raise RuntimeError
    with watch.span(What.SSH):
        clock.now += 1
    assert watch.take()[What.HTTP] == Spent(2.0, 1)


def test_parts_of_a_phase_add_up() -> None:
    result = Phase("attacked")
    result.add({What.HTTP: Spent(1.0, 2)}, 1.5)
    result.add({What.HTTP: Spent(0.5, 1), What.SAVE: Spent(2.0, 1)}, 2.54)
    assert result.seconds == 4.0
    assert result.spent == {What.HTTP: Spent(1.5, 3), What.SAVE: Spent(2.0, 1)}


def test_what_a_phase_did_is_counted() -> None:
    phase = Phase("disabled")
    phase.count("request", 2)
    phase.count("violation", 0)
    phase.count("request", 3)
    assert phase.counts == {"request": 5, "violation": 0}


def test_the_table_has_a_line_a_phase_and_fits_a_terminal() -> None:
    results = Results("sample-lab", "x86_64", "6.12")
    for name in sample.PHASES:
        result = Phase(name)
        result.add({what: Spent(100.25, 40) for what in What}, 802.0)
        results.phases.append(result)
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(timings(results))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.split()}
    assert "…" not in text
    assert lines["permissive"] == ["permissive", "802.0", *["100.2"] * len(What)]
    assert lines["together"][1:3] == ["7218.0", "902.2"]
    assert lines["times"][1:] == ["360"] * len(What)


def test_what_no_phase_waited_for_has_no_column() -> None:
    results = Results("sample-lab", "x86_64", "6.12", phases=[Phase("boot", 1.0)])
    results.phases[0].spent = {What.SSH: Spent(0.5, 1)}
    assert [column.header for column in timings(results).columns] == ["phase", "all", "ssh"]


def test_a_phase_s_name_is_no_markup_and_steers_nothing() -> None:
    results = Results("sample-lab", "x86_64", "6.12", phases=[Phase("[/x]\x1b[2J", 1.0)])
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(timings(results))
    assert "[/x]\\x1b[2J" in console.file.getvalue()  # type: ignore[attr-defined]
