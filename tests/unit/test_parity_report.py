# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.parity`` judges, shows and leaves, from what two runs kept of their policies."""

from __future__ import annotations

import io
import json
from pathlib import Path

import matrix_sample as cells_sample
import pytest
from rich.console import Console

from ccslab.errors import UserError
from ccslab.labs import definition
from ccslab.runs import parity
from ccslab.runs.cell import State

ROOT = Path(__file__).resolve().parents[2]
LAB = definition.find("apache-cgi", ROOT)
LIBRARY = {"x86_64": "x86_64-linux-gnu", "i386": "i386-linux-gnu"}


def left(folder: Path, arch: str, *, more: str = "", learned: str = "", elsewhere: str = "") -> Path:
    """A run's folder with policies as they are on that architecture, and further lines."""
    for stage in parity.STAGES:
        place = folder / "policy" / stage
        place.mkdir(parents=True)
        lines = ["<kernel> /usr/sbin/apache2", "use_profile 3", "use_group 0", "file read /etc/group"]
        lines += [f"file read /usr/lib/{LIBRARY[arch]}/libc.so.6"]
        lines += [learned if stage == "learned" else "", more if stage == "enforcing" else "", ""]
        lines += ["<kernel> /usr/sbin/cron", "use_profile 2", elsewhere]
        (place / "domain_policy.conf").write_text("".join(f"{line}\n" for line in lines if line))
        (place / "exception_policy.conf").write_text("acl_group 0 file read /etc/ld.so.cache\n")
    return folder


def compared(tmp_path: Path, **i386: str) -> parity.Pair:
    folders = {"x86_64": left(tmp_path / "a", "x86_64"), "i386": left(tmp_path / "b", "i386", **i386)}
    return parity.compare_runs(LAB, "6.12", folders)


def reported(pair: parity.Pair, folder: Path) -> tuple[int, str, str, dict[str, object]]:
    """Exit code, terminal, parity.md and parity.json."""
    target = Console(file=io.StringIO(), width=80, highlight=False, soft_wrap=True, markup=False)
    code = parity.report(LAB, pair, folder, target)
    (made,) = (folder / "parity").glob("apache-cgi-6.12-*")
    kept = json.loads((made / "parity.json").read_bytes())
    return code, target.file.getvalue(), (made / "parity.md").read_text(), kept  # type: ignore[attr-defined]


def test_what_differs_as_declared_passes(tmp_path: Path) -> None:
    pair = compared(tmp_path)
    code, shown, text, kept = reported(pair, tmp_path)
    assert code == 0
    assert kept["passed"] is True
    assert kept["stages"]["enforcing"] == {"equal": 4, "declared": 1, "undeclared": []}  # type: ignore[index]
    assert "PASSED: " in shown
    assert "  1 line differs by library folder" in shown
    assert "**passed**" in text
    rows = [line for line in text.splitlines() if line.startswith("| library folder")]
    assert len(rows) == len(parity.STAGES)
    assert "x86_64-linux-gnu/libc.so.6` | `" in rows[0]
    assert "i386-linux-gnu/libc.so.6` |" in rows[0]


def test_what_differs_otherwise_fails_and_is_shown(tmp_path: Path) -> None:
    pair = compared(tmp_path, more="file read /etc/shadow")
    code, shown, text, kept = reported(pair, tmp_path)
    assert code == 1
    assert kept["passed"] is False
    assert "FAILED: " in shown
    assert "enforcing: +file read /etc/shadow" in shown
    assert "**failed: 1 line may not differ and do**" in text
    assert "    +file read /etc/shadow\n" in text
    assert max(len(line) for line in shown.splitlines() if "parity.md" not in line) <= 80


def test_names_made_up_while_learning_are_not_judged_but_counted(tmp_path: Path) -> None:
    pair = compared(tmp_path, learned="file create /tmp/phpXkcd42 0600")
    assert pair.passed
    code, shown, text, _ = reported(pair, tmp_path)
    assert code == 0
    assert "no: made-up names" in shown
    assert "+file create /tmp/phpXkcd42 0600" in text


def test_only_protected_domains_count(tmp_path: Path) -> None:
    assert compared(tmp_path, elsewhere="file read /etc/shadow").passed


def test_many_undeclared_lines_are_cut_on_the_terminal_only(tmp_path: Path) -> None:
    many = "\n".join(f"file read /srv/{number}" for number in range(40))
    _, shown, text, _ = reported(compared(tmp_path, more=many), tmp_path)
    assert shown.count("+file read /srv/") < 20
    assert "more" in shown
    assert text.count("+file read /srv/") == 40


def test_a_run_without_policy_is_named(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match="b: holds no learned policy"):
        parity.compare_runs(LAB, "6.12", {"x86_64": left(tmp_path / "a", "x86_64"), "i386": tmp_path / "b"})


def test_a_matrix_has_a_pair_for_each_kernel_with_a_verdict_on_both(tmp_path: Path) -> None:
    cells = cells_sample.cells("6.12/x86_64", "6.12/i386", "6.1/x86_64", "6.1/i386", "5.10/x86_64")
    for number, cell in enumerate(cells):
        cell.state, cell.run = State.PASSED, str(number)
        left(tmp_path / cell.run, cell.arch)
    cells[1].state = State.FAILED  # a verdict, too
    cells[3].state = State.ERROR
    (pair,) = parity.of_cells(LAB, cells, tmp_path)
    assert (pair.kernel, pair.arches) == ("6.12", ("x86_64", "i386"))
    assert pair.passed
