# SPDX-License-Identifier: GPL-2.0-only
"""What the terminal shows fits it, says the verdict in words, and obeys nothing a guest printed."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace

import evidence_sample as sample
import pytest
from rich.console import Console

from ccslab.errors import InfrastructureError
from ccslab.evidence import table
from ccslab.labs.engine import Engine
from ccslab.labs.stopwatch import Stopwatch
from ccslab.results import Check, Outcome, Phase, PhaseResult, Results

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
    assert set(sample.passed().attacks[1].title.split()) <= words


def test_a_narrow_terminal_still_gets_every_verdict() -> None:
    text = shown(sample.passed(), 60)
    assert text.count("passed") == len(Phase)
    assert text.count("succeeded") == text.count("denied") == 2


def test_a_passed_run() -> None:
    text = shown(sample.passed())
    assert "Attacks: 2 of 2 met their fate" in text
    assert "A CGI reads /etc/shadow" in text
    assert "1.18 MiB" in text
    assert "1234567" in text
    assert "Drift from the golden policy: none" in text
    assert "What failed" not in text
    assert text.splitlines()[-1] == f"PASSED in 12 min 04 s: {RUN}/report.html"


def test_a_failed_run_says_what_failed() -> None:
    text = shown(sample.failed(), 160)
    assert "undenied !" in text
    assert "Attacks: 1 of 2 met their fate" in text
    assert "[red]812[/red] became 901" in text
    assert "the attacker got it although the policy is enforced" in text
    assert "Drift from the golden policy: 12 lines" in text
    assert "... 2 more in results.json" in text
    assert "failed, 1 of 2 checks" in text
    assert text.splitlines()[-1].startswith("FAILED in ")


def test_an_attack_is_told_once() -> None:
    results = sample.failed()
    name = "attack injection is denied"
    results.checks.append(Check("attacked", name, False, "undenied; status 200"))
    text = shown(results, 160)
    assert text.count("undenied; status 200") == 1
    assert "the attacker got it" not in text


def test_a_broken_run_claims_nothing_and_leaves_its_error_to_who_catches_it() -> None:
    text = shown(sample.broken())
    assert "the guest panicked" not in text
    assert "Drift: not compared" in shown(Results("l", "a", "k"))
    assert text.splitlines()[-1].startswith("ERROR in ")


def test_a_guest_cannot_steer_the_terminal() -> None:
    results = sample.failed()
    results.checks.append(Check("boot", "says\x1b]0;hello\x07", False, "\x1b[2Jgone\r\x9b31m"))
    results.attacks[0].title = "\x1b[8mhidden"
    results.drift = ["\x1b[1A"]
    results.error = "\x1b[5m"
    text = shown(results, 200)
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
    assert ended["boot"] == "  boot          10.5 s  20 requests  3 violations   passed"
    assert ended["enforcing"].endswith("failed (1 of 2 checks)")
    assert ended["attacked"].endswith("failed")
    one = table.phase_line(Phase("repair", 1.0, 1, 1), results).plain
    assert "1 request " in one
    assert "1 violation " in one


def test_the_phase_that_an_error_ended_has_not_passed() -> None:
    results = sample.broken()
    ended = [table.phase_line(phase, results).plain.split()[-1] for phase in results.phases]
    assert ended == ["passed", "passed", "error"]


def test_the_engine_tells_of_a_phase_that_an_error_ended(tmp_path: Path) -> None:
    results = Results("sample-lab", "x86_64", "6.12")
    told: list[str] = []
    machine = SimpleNamespace(
        what=SimpleNamespace(kernel=tmp_path / "bzImage"),
        watch=SimpleNamespace(splats=SimpleNamespace(take=lambda timeout_s: []), patience=1.0),
        alive=lambda: False,
    )
    guest = SimpleNamespace(lab=SimpleNamespace(attacks=()), machine=machine, stopwatch=Stopwatch())
    engine = Engine(
        guest,  # type: ignore[arg-type]
        results,
        tmp_path,
        observe=lambda phase: told.append(table.phase_line(phase, results).plain.split()[-1]),
    )
    with engine.phase("boot"):
        pass
    with pytest.raises(InfrastructureError), engine.phase("disabled"):
        raise InfrastructureError("the guest panicked")
    assert told == ["passed", "error"]


def test_attacks_that_go_on_do_not_fail_an_earlier_phase() -> None:
    results = sample.passed()
    results.attacks[0].outcomes = {"disabled": Outcome.SUCCEEDED}
    assert table.phase_line(results.phases[1], results).plain.endswith("passed")
