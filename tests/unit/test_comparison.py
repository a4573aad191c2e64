# SPDX-License-Identifier: GPL-2.0-only
"""A comparison says which way two kernels differ, and what in policy stands against each attack."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import evidence_sample as sample
import pytest
from rich.console import Console

from ccslab.errors import UserError
from ccslab.evidence import markdown
from ccslab.evidence.results import write_results
from ccslab.labs import definition
from ccslab.labs.attacking import Outcome
from ccslab.labs.definition import Lab
from ccslab.results import Check, Results, Row
from ccslab.runs import comparison
from ccslab.runs.comparison import Finding, compare_runs, control_of

ROOT = Path(__file__).resolve().parents[2]
LAB = definition.find("apache-cgi", ROOT)
MOUNT = "<kernel> /usr/sbin/apache2 /usr/local/sbin/mediactl: file mount tmpfs /var/www/html/docs/ tmpfs 0x0"
NOISE = "<kernel> /usr/sbin/apache2: file read /etc/group"
CALL = "<kernel> /usr/sbin/apache2: network inet stream connect 127.0.0.1 4444"


def records(row: Row, **left: list[str]) -> None:
    """Let an attack have left these records, by mode."""
    for mode, cell in row.cells.items():
        cell.records = left.get(mode, [])


def left(folder: Path, kernel: str, *, hole: bool = False, change: Results | None = None) -> Path:
    """A run of a kernel, that of one which does not see the new mount calls if there is a hole."""
    results = change or sample.passed()
    results.lab, results.kernel = LAB.name, kernel
    call = sample.attack("reverse-connection", "Call back to the intruder's port")
    records(call, permissive=[NOISE, CALL], enforcing=[NOISE, CALL])
    outcomes = {"permissive": Outcome.UNLOGGED, "enforcing": Outcome.UNDENIED} if hole else {}
    mount = sample.attack("mount-new", "Hide the documents under an empty file system", **outcomes)
    records(mount, **({} if hole else {"permissive": [MOUNT], "enforcing": [NOISE, MOUNT]}))
    old = sample.attack("mount-old", "The same by mount(2)")
    records(old, enforcing=[MOUNT])
    results.grids = [sample.attacks(call, mount, old)]
    if hole:
        results.checks.append(Check("disabled", "the interface is in /proc/ccs", False, "it is not"))
    folder.mkdir(parents=True)
    write_results(results, folder)
    return folder


def console(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False, soft_wrap=True, markup=False)


def said(target: Console) -> str:
    return str(target.file.getvalue())  # type: ignore[attr-defined]


@pytest.fixture
def stock_and_patched(tmp_path: Path) -> tuple[Path, Path]:
    return left(tmp_path / "a", "stock-6.12", hole=True), left(tmp_path / "b", "6.12")


def test_what_a_patch_buys(tmp_path: Path, stock_and_patched: tuple[Path, Path]) -> None:
    found = compare_runs(LAB, *stock_and_patched)
    assert {row.attack: (row.control, row.finding) for row in found.rows} == {
        "reverse-connection": ("network inet stream connect", Finding.SAME),
        "mount-new": ("file mount", Finding.MORE),
        "mount-old": ("file mount", Finding.SAME),
    }
    assert found.checks == {"disabled: the interface is in /proc/ccs": Finding.MORE}
    assert found.unexpected == []
    first, second = found.controls
    assert (first.control, first.by_a, first.by_b, first.passed_a) == ("file mount", 1, 2, ("mount-new",))
    assert (second.control, second.by_a, second.by_b) == ("network inet stream connect", 1, 1)
    target = console()
    assert comparison.report(found, tmp_path, target) == 0
    (folder,) = (tmp_path / "compare").glob("apache-cgi-x86_64-stock-6.12-6.12-*")
    kept = json.loads((folder / "comparison.json").read_bytes())
    assert kept["attacks"][1]["outcomes"][0] == {
        "disabled": "succeeded",
        "permissive": "unlogged",
        "enforcing": "undenied",
    }
    assert "6.12 stops what stock-6.12 lets through: mount-new." in (folder / "comparison.md").read_text()
    assert "EXPECTED: " in said(target)


def test_the_other_way_round_it_is_unexpected(tmp_path: Path, stock_and_patched: tuple[Path, Path]) -> None:
    found = compare_runs(LAB, *reversed(stock_and_patched))
    assert found.unexpected == ["attack mount-new", "disabled: the interface is in /proc/ccs"]
    assert found.more == []
    target = console()
    assert comparison.report(found, tmp_path, target) == 1
    assert "UNEXPECTED: " in said(target)
    assert "stock-6.12 stops nothing that 6.12 lets through; unexpected: attack mount-new" in said(target)


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("disabled", Outcome.FAILED),  # the attack itself does not work there
        ("enforcing", Outcome.MISLED),
        ("enforcing", Outcome.UNDENIED),
        ("permissive", Outcome.UNLOGGED),
    ],
)
def test_what_the_second_kernel_does_worse(tmp_path: Path, mode: str, outcome: Outcome) -> None:
    a, b = left(tmp_path / "a", "stock-6.12"), left(tmp_path / "b", "6.12")
    assert compare_runs(LAB, a, b).unexpected == []
    results = comparison.read_results(b)
    sample.set_outcome(results, 0, mode, outcome)
    write_results(results, b)
    assert compare_runs(LAB, a, b).unexpected == ["attack reverse-connection"]


def test_an_attack_that_does_not_work_on_the_first_kernel_proves_nothing(tmp_path: Path) -> None:
    a, b = left(tmp_path / "a", "stock-6.12", hole=True), left(tmp_path / "b", "6.12")
    results = comparison.read_results(a)
    sample.set_outcome(results, 1, "disabled", Outcome.FAILED)
    write_results(results, a)
    assert compare_runs(LAB, a, b).unexpected == ["attack mount-new"]


def test_equal_kernels_differ_in_nothing(tmp_path: Path) -> None:
    found = compare_runs(LAB, left(tmp_path / "a", "6.1"), left(tmp_path / "b", "6.12"))
    assert not found.more
    assert not found.unexpected
    assert comparison.summary(found) == "6.12 stops nothing that 6.1 lets through"


def test_the_terminal_fits(tmp_path: Path, stock_and_patched: tuple[Path, Path]) -> None:
    target = console()
    comparison.show_comparison(compare_runs(LAB, *stock_and_patched), target)
    lines = said(target).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(
        re.match(r" *mount-new +unlogged !, undenied ! +logged, denied +denies more", line) for line in lines
    )
    assert any(re.match(r" *file mount +1/2 +2/2 +mount-new", line) for line in lines)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"lab": "other-lab"}, "is a run of other-lab, not of apache-cgi"),
        ({"finished": False, "error": "it panicked"}, "did not come to its end: it panicked"),
        ({"arch": "i386"}, "one run is on x86_64, the other on i386"),
        (
            {"grids": [sample.attacks()]},
            "have not the same attacks: mount-new, mount-old, reverse-connection",
        ),
        ({"grids": []}, "lab apache-cgi tries no attacks - name a lab that does"),
    ],
)
def test_runs_that_cannot_be_compared(tmp_path: Path, change: dict[str, object], wrong: str) -> None:
    a, b = left(tmp_path / "a", "stock-6.12"), left(tmp_path / "b", "6.12")
    results = comparison.read_results(b)
    vars(results).update(change)
    write_results(results, b)
    with pytest.raises(UserError, match=re.escape(wrong)):
        compare_runs(LAB, a, b)


def attack(name: str, lab: Lab = LAB) -> definition.Attack:
    return next(one for one in lab.attacks if one.name == name)


def test_the_control_is_that_of_the_attacks_own_record() -> None:
    untried, denied, logged = Row("x", "x"), sample.attack("x", "x"), sample.attack("x", "x")
    records(denied, enforcing=[NOISE, MOUNT])
    records(logged, permissive=[NOISE, MOUNT])
    assert control_of(attack("mount-new"), denied) == "file mount"
    assert control_of(attack("mount-new"), untried, logged) == "file mount"
    assert control_of(None, denied) == "file read"
    assert control_of(attack("ld-preload"), denied) == "-"


def test_a_markdown_table_is_not_broken_by_what_it_holds() -> None:
    head, rule, row = markdown.table(("a", "b"), [("x|y", "two\nlines \x1b[31m")]).splitlines()
    assert row == "| x\\|y | two lines \\x1b[31m |"
    assert len(head) == len(rule) == len(row)
