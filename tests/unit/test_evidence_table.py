# SPDX-License-Identifier: GPL-2.0-only
"""What the terminal shows fits it, says the verdict in words, and obeys nothing a guest printed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import evidence_sample as sample
import pytest
from rich.console import Console

from ccslab.evidence import table
from ccslab.results import Cell, Check, Grid, Measure, Phase, Results, Row

RUN = Path("runs/sample-lab-x86_64-6.12-20251122T120000Z")


def shown(results: Results, width: int = 80, *, terminal: bool = False) -> str:
    """What a terminal of that width shows, with the settings of the harness's console."""
    console = Console(
        file=io.StringIO(),
        width=width,
        highlight=False,
        soft_wrap=True,
        force_terminal=terminal,
        color_system=None,
    )
    table.show_results(results, Path.cwd() / RUN, 724.4, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("make", [sample.passed, sample.failed, sample.broken])
def test_everything_but_the_paths_fits(make: object, width: int) -> None:
    assert callable(make)
    *lines, last = shown(make(), width).splitlines()
    assert max(map(len, lines)) <= width
    assert str(RUN) in last


def test_a_long_title_is_wrapped_not_cut() -> None:
    words = set(shown(sample.passed()).split())
    assert set(sample.rows(sample.passed())[1].title.split()) <= words


def test_a_narrow_terminal_still_gets_every_verdict() -> None:
    text = shown(sample.passed(), 60)
    assert text.count("passed") == len(sample.PHASES)
    assert text.count("succeeded") == text.count("denied") == 2


def test_a_passed_run() -> None:
    text = shown(sample.passed())
    assert "Attacks: 2 of 2 as wanted" in text
    assert "A CGI reads /etc/shadow" in text
    assert "1.18 MiB" in text
    assert "1,234,567 bytes" in text
    assert "Drift from the golden policy: none" in text
    assert "What failed" not in text
    assert text.splitlines()[-1] == f"PASSED in 12 min 04 s: {RUN}/report.html"


def test_a_failed_run_says_what_failed() -> None:
    text = shown(sample.failed(), 160)
    assert "undenied !" in text
    assert "Attacks: 1 of 2 as wanted" in text
    assert "[red]812[/red] became 901" in text
    assert "the attacker got it although the policy is enforced" in text
    assert "Drift from the golden policy: 12 lines" in text
    assert "... 2 more in results.json" in text
    assert "failed, 1 of 2 checks" in text
    assert text.splitlines()[-1].startswith("FAILED in ")


def test_what_went_wrong_is_told_once_with_what_was_seen() -> None:
    text = shown(sample.failed(), 400)
    assert text.count("the attacker got it although the policy is enforced, HTTP 403 (wanted: denied)") == 1
    assert [name for _, name, _ in sample.failed().failures()] == [
        "the PIDs are unchanged",
        sample.rows(sample.failed())[1].title,
    ]


def many(judged: bool = True) -> Results:
    """A run that tried more than a terminal shows row by row."""
    results = sample.passed()
    rows = [
        Row(
            f"call {number}",
            f"Call number {number}",
            {mode: Cell("granted", "granted", True) for mode in ("learning", "enforcing")},
            group="first" if number < 30 else "second",
        )
        for number in range(table.ROWS + 1)
    ]
    rows[0].cells["enforcing"] = Cell("denied", "granted", False)
    del rows[-1].cells["learning"]
    results.grids = [Grid("calls", "attacked", ["learning", "enforcing"], rows, judged=judged)]
    return results


def test_many_rows_are_shown_by_their_groups() -> None:
    text = shown(many())
    lines = {line.split()[0]: " ".join(line.split()) for line in text.splitlines() if line.split()}
    assert lines["first"] == "first (30) granted 29 of 30 !"
    assert lines["second"] == "second (11) granted granted"
    assert "Call number 7" not in text
    for number in (0, table.ROWS):
        assert text.count(f"Call number {number}") == 2, "what went wrong is a row of the grid, and told why"


def test_what_is_not_judged_is_shown_without_a_verdict() -> None:
    results = many(judged=False)
    assert results.verdict == "passed"
    text = shown(results)
    assert "!" not in text
    assert "What failed" not in text
    assert "granted/denied" in text or "denied/granted" in text


def test_a_broken_run_claims_nothing_and_leaves_its_error_to_who_catches_it() -> None:
    text = shown(sample.broken())
    assert "the guest panicked" not in text
    assert "Drift" not in text, "it was not compared"
    assert text.splitlines()[-1].startswith("ERROR in ")


def test_a_guest_cannot_steer_the_terminal() -> None:
    results = sample.failed()
    results.checks.append(Check("boot\x1b[2m", "says\x1b]0;hello\x07", False, "\x1b[2Jgone\r\x9b31m"))
    results.phases[1].name, results.phases[1].counts = "[red]x\x1b[1m[/]", {"[b]request\x1b[21m": 1}
    results.grids[0].columns[0] = "[/x]\x1b[22m"
    results.grids[0].phase = "boot"
    sample.rows(results)[0].title = "\x1b[8mhidden"
    sample.rows(results)[1].cells["enforcing"].got = "\x1b[7mdenied"
    results.measures.append(Measure("\x1b[3mpolicy", "\x1b[4m", 1, "\x1b[6mbytes"))
    results.grids[0].name = "\x1b[9mattacks"
    results.drift = ["\x1b[1A"]
    results.error = "\x1b[5m"
    lines = [table.phase_line(phase, results).plain for phase in results.phases]
    text = "\n".join([shown(results, 400), *lines])
    assert "[red]x" in text, "brackets mean nothing"
    assert not set(text) & {"\x1b", "\x07", "\r", "\x9b"}
    assert "\\x1b[2Jgone" in text


def test_a_long_detail_is_cut_and_says_where_the_rest_is() -> None:
    results = sample.failed()
    results.checks.append(Check("boot", "the kernel took all", False, "x" * 5000))
    text = shown(results)
    assert text.count("x") < 500
    assert "junit.xml" in text


def test_a_path_elsewhere_is_shown_whole(tmp_path: Path) -> None:
    assert table.shown_path(tmp_path) == str(tmp_path)
    assert table.shown_path(Path.cwd() / RUN) == os.fspath(RUN)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"), (8.44, "8.4 s"), (59.97, "1 min 00 s"), (724.4, "12 min 04 s"),
        (3599.6, "1 h 00 min"), (7261, "2 h 01 min"),
    ],
)  # fmt: skip
def test_durations(seconds: float, said: str) -> None:
    assert table.duration(seconds) == said


def test_a_phases_line() -> None:
    results = sample.failed()
    ended = {phase.name: table.phase_line(phase, results).plain for phase in results.phases}
    assert ended["boot"] == "  boot          10.5 s  20 requests, 3 violations      passed"
    assert ended["enforcing"].endswith("failed (1 of 2 checks)")
    assert ended["attacked"].endswith("failed (1 of 2 attacks)")
    one = table.phase_line(Phase("repair", 1.0, {"request": 1, "violation": 1}), results).plain
    assert "1 request, 1 violation " in one


def test_the_phase_that_an_error_ended_has_not_passed() -> None:
    results = sample.broken()
    ended = [table.phase_line(phase, results).plain.split()[-1] for phase in results.phases]
    assert ended == ["passed", "passed", "error"]


def test_attacks_that_go_on_do_not_fail_an_earlier_phase() -> None:
    results = sample.passed()
    shadow = sample.rows(results)[0]
    shadow.cells = {"disabled": shadow.cells["disabled"]}
    assert table.phase_line(results.phases[1], results).plain.endswith("passed")
