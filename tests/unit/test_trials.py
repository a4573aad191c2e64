# SPDX-License-Identifier: GPL-2.0-only
"""Trials: what is tried, what must come of it, and how a guest's words are read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.labs import definition, trials
from ccslab.labs.phases import trials as phase
from ccslab.labs.run import Run
from ccslab.labs.trials import Attempt, Outcome, Trial
from ccslab.policy import language
from ccslab.results import Grid, Results
from tests.checkout import ROOT

REBOOT = Trial("reboot", "capability::SYS_REBOOT", "capability SYS_REBOOT", refuses=("capability SYS_TIME",))
RECV = Trial(
    "recv",
    "network::inet_dgram_recv",
    "network inet dgram recv 127.0.0.1 4001",
    next="network inet dgram recv 127.0.0.1 4002",
    denied="ERRNO EAGAIN",
)
FREE = Trial("getpriority", "capability")
PROGRAMS = phase.PROGRAMS["x86_64"]


def expected(trial: Trial, mode: str, given: str = "") -> Outcome:
    return Attempt(trial, "controlcalls", mode, given).expected()


def test_what_a_control_does() -> None:
    rule = REBOOT.rule
    assert expected(REBOOT, "disabled") == Outcome("OK")
    assert expected(REBOOT, "learning") == Outcome("OK", (("learning", False, rule),), (rule,))
    assert expected(REBOOT, "permissive") == Outcome("OK", (("permissive", False, rule),))
    assert expected(REBOOT, "enforcing") == Outcome("ERRNO EPERM", (("enforcing", False, rule),))
    assert expected(REBOOT, "enforcing", rule) == Outcome("OK", (("enforcing", True, rule),), (rule,))
    other = REBOOT.refuses[0]
    denied = Outcome("ERRNO EPERM", (("enforcing", False, rule),), (other,))
    assert expected(REBOOT, "enforcing", other) == denied


def test_of_two_peers_the_second_is_served() -> None:
    away = (("enforcing", False, RECV.rule), ("enforcing", False, RECV.next))
    assert expected(RECV, "enforcing") == Outcome("ERRNO EAGAIN", away)
    served = (("enforcing", False, RECV.rule), ("enforcing", True, RECV.next))
    assert expected(RECV, "enforcing", RECV.next) == Outcome("NEXT", served, (RECV.next,))


def test_what_is_never_checked_is_never_logged() -> None:
    assert {expected(FREE, mode) for mode in language.MODES} == {Outcome("OK")}


def test_every_control_of_the_language_is_tried() -> None:
    known = trials.read(ROOT / "labs/controls")
    rules = {trial.rule for trial in known}
    for name in (
        *("use_route", "use_packet", "SYS_REBOOT", "SYS_VHANGUP", "SYS_TIME", "SYS_NICE", "SYS_SETHOSTNAME"),
        *("use_kernel_module", "SYS_KEXEC_LOAD", "SYS_PTRACE"),
    ):
        assert f"capability {name}" in rules
    assert {trial.control for trial in known} >= {
        *("network::inet_stream_accept", "network::unix_stream_accept", "network::unix_seqpacket_accept"),
        *("network::inet_dgram_recv", "network::inet_raw_recv", "network::unix_dgram_recv", "ipc::signal"),
    }
    tried = list(trials.attempts(known, "6.12.1", PROGRAMS))
    assert len(set(tried)) == len(tried)
    for trial in known:
        modes = {one.mode for one in tried if one.trial == trial and not one.given}
        assert modes == set(language.MODES)


def test_what_a_kernel_or_an_architecture_lacks_is_not_tried() -> None:
    late, wide = (
        Trial("pidfd", "ipc", since="6.9"),
        Trial("kexec_file_load", "capability", arches=("x86_64",)),
    )
    calls = {
        version: {(one.trial.call, one.program) for one in trials.attempts([late, wide], version, PROGRAMS)}
        for version in ("5.10.223", "6.12.1")
    }
    assert calls["5.10.223"] == {("kexec_file_load", "controlcalls")}
    assert calls["6.12.1"] - calls["5.10.223"] == {("pidfd", "controlcalls"), ("pidfd", "controlcalls32")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[trial\n", "is malformed"),
        ("", "lacks the key 'trial'"),
        ("trial = []\n", "trial: must be a list that is not empty"),
        ('[[trial]]\ncall = 5\ncontrol = "y"\n', "trial 1: call: must be a line of text"),
        ('[[trial]]\ncall = "x"\ncontrol = "y"\nsince = 6.9\n', "trial 1: since: must be a kernel version"),
        ('[[trial]]\ncall = "x"\n', "lacks the key 'control'"),
        (
            '[[trial]]\ncall = "x"\ncontrol = "y"\nrool = "z"\n',
            "trial 1: unknown key 'rool' - did you mean control, rule",
        ),
        ('[[trial]]\ncall = "x"\ncontrol = "y"\nrule = "capability SYS_REBOT"\n', "did you mean SYS_REBOOT"),
        (
            '[[trial]]\ncall = "x"\ncontrol = "y"\nrule = "ipc signal 9-9 <kernel>"\n',
            "trial 1: rule: is not as a kernel prints it: 'ipc signal 9-9 <kernel>'",
        ),
    ],
)
def test_malformed_trials_are_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / trials.FILE
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        trials.read(tmp_path)


HEAD = "#2026/11/23 01:24:39# profile=3 mode={} granted={} (global-pid=9) task={{ pid=9 ppid=1 uid=0 }}"
ATTEMPTS = [Attempt(REBOOT, "controlcalls", "learning"), Attempt(RECV, "controlcalls32", "enforcing")]


def said(number: int, program: str, mode: str, *requests: str, word: str = "OK", rules: str = "") -> str:
    """What the guest's first program says of an attempt."""
    head = HEAD.format(mode, "no")
    records = "".join(f"record|{head}\t<kernel> /bin/{program}\t{one}\t\r\n" for one in requests)
    return f"trial|{number}\r\nsaid|{word}\r\n{records}{rules}tried|{number}\r\n"


def test_a_guest_s_words_are_read() -> None:
    text = said(0, "controlcalls", "learning", REBOOT.rule, rules=f"rule|{REBOOT.rule}\r\n")
    text += said(1, "controlcalls32", "enforcing", RECV.rule, RECV.next, word="ERRNO EAGAIN")
    found = dict(phase.parse(f"[    1.0] noise\r\n{text}controls: all tried\r\n", ATTEMPTS))
    assert found == {number: one.expected() for number, one in enumerate(ATTEMPTS)}


def test_sockets_are_told_by_a_pattern() -> None:
    rule = r"file ioctl socket:[\$] 0x541B"
    trial = Trial("ioctl", "file::ioctl", rule)
    named = "file ioctl socket:[7619] 0x541B"
    text = said(0, "controlcalls", "learning", named, rules=f"rule|{named}\r\n")
    found = dict(phase.parse(text, [Attempt(trial, "controlcalls", "learning")]))
    assert found[0] == Outcome("OK", (("learning", False, rule),), (rule,))


def test_a_record_of_somebody_else_is_no_outcome() -> None:
    text = said(0, "target", "learning", REBOOT.rule)
    with pytest.raises(InfrastructureError, match="is no audit record of <kernel> /bin/controlcalls"):
        dict(phase.parse(text, ATTEMPTS))


def tried(known: list[Trial], kernel: str = "6.12") -> tuple[list[Attempt], Grid]:
    """All attempts of one program on a kernel, and the grid for them."""
    program = {"controlcalls": "x86_64"}
    attempts = list(trials.attempts(known, "6.12", program))
    judged = not kernel.startswith("stock")
    return attempts, phase.grid("calls of x86_64", attempts, "controlcalls", judged=judged)


def filled(grid: Grid, attempts: list[Attempt], *wrong: tuple[str, str, Outcome]) -> Grid:
    """The grid of a kernel that does as it should, but for (call, column, outcome)."""
    other = {(call, column): outcome for call, column, outcome in wrong}
    for attempt in attempts:
        outcome = other.get((attempt.trial.call, attempt.column), attempt.expected())
        phase.fill(grid.row(attempt.trial.call), attempt, outcome)
    return grid


def got(grid: Grid, call: str) -> dict[str, str]:
    return {column: cell.got for column, cell in grid.row(call).cells.items()}


def test_a_grid_has_what_came_of_each_call() -> None:
    attempts, grid = tried([REBOOT, FREE])
    assert not grid.passed, "nothing was tried yet"
    filled(grid, attempts)
    assert grid.passed
    assert got(grid, "reboot") == {
        "disabled": "passed",
        "learning": "learned",
        "permissive": "logged",
        "enforcing": "denied",
        "granted": "granted",
        "refused": "denied",
    }
    assert got(grid, "getpriority") == dict.fromkeys(language.MODES, "passed")
    assert [row.group for row in grid.rows] == ["SYS_REBOOT", "capability"]


@pytest.mark.parametrize("column", phase.COLUMNS)
def test_a_call_that_goes_wrong_in_one_column_is_wrong(column: str) -> None:
    attempts, grid = tried([REBOOT, FREE])
    filled(grid, attempts, ("reboot", column, Outcome("ERRNO EIO")))
    assert [row.name for row in grid.wrong] == ["reboot"]
    assert not grid.passed
    cell = grid.row("reboot").cells[column]
    assert not cell.right
    assert "is ERRNO EIO; log: nothing" in cell.why
    assert "should be " in cell.why


def test_a_denial_that_is_not_logged_or_a_rule_that_is_not_learned_is_wrong() -> None:
    attempts, grid = tried([REBOOT])
    unlogged = Outcome("ERRNO EPERM")
    unlearned = Outcome("OK", (("learning", False, REBOOT.rule),))
    filled(grid, attempts, ("reboot", "enforcing", unlogged), ("reboot", "learning", unlearned))
    cells = grid.row("reboot").cells
    assert (cells["enforcing"].got, cells["enforcing"].right) == ("denied, unlogged", False)
    assert not cells["learning"].right


def test_of_several_rules_in_one_column_the_wrong_one_stays() -> None:
    attempts, grid = tried([RECV])
    row = grid.row("recv")
    refused = [attempt for attempt in attempts if attempt.column == "refused"]
    two = [refused[0], Attempt(RECV, "controlcalls", "enforcing", RECV.next)]
    phase.fill(row, two[0], Outcome("OK"))
    phase.fill(row, two[1], two[1].expected())
    assert not row.cells["refused"].right


def test_a_stock_kernel_is_shown_and_not_judged() -> None:
    attempts, grid = tried([REBOOT], "stock-6.12")
    for attempt in attempts:
        phase.fill(grid.row("reboot"), attempt, Outcome("OK"))
    assert grid.wrong
    assert grid.passed
    assert got(grid, "reboot")["enforcing"] == "passed"


class Played(Run):
    """A run whose small guest has said it all."""

    def __init__(self, folder: Path, text: str) -> None:
        lab = definition.load(ROOT / "labs/controls")
        super().__init__(lab, Results("controls", "i386", "6.12"), folder, observe=lambda phase: None)
        self.text = text
        self.machine = SimpleNamespace(folder=folder)  # type: ignore[assignment]
        self.work_on(SimpleNamespace(release="6.12.1"))  # type: ignore[arg-type]

    def small(self, files: Any, *, until: str) -> Any:
        """It was booted."""

    def expect(self, pattern: str, timeout_s: float) -> Any:
        """It came."""

    def console_log(self) -> str:
        return self.text


def told(number: int, attempt: Attempt) -> str:
    """What the guest says of an attempt that went as it should."""
    wanted = attempt.expected()
    records = "".join(
        f"record|{HEAD.format(mode, 'yes' if granted else 'no')}\t<kernel> /bin/controlcalls\t{request}\t\n"
        for mode, granted, request in wanted.records
    )
    rules = "".join(f"rule|{rule}\n" for rule in wanted.rules)
    return f"trial|{number}\nsaid|{wanted.says}\n{records}{rules}tried|{number}\n"


def test_an_attempt_that_the_guest_does_not_tell_of_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that was lost says nothing of the kernel, whatever else was granted in that column."""
    monkeypatch.setattr(trials, "read", lambda folder: [REBOOT])
    monkeypatch.setattr(phase, "_files", lambda run, attempts: {})
    attempts = list(trials.attempts([REBOOT], "6.12.1", phase.PROGRAMS["i386"]))
    texts = [told(number, attempt) for number, attempt in enumerate(attempts)]
    whole = Played(tmp_path, "".join(texts))
    whole.go()
    assert whole.results.passed
    for number in range(len(attempts)):
        lost = Played(tmp_path, "".join(texts[:number] + texts[number + 1 :]))
        with pytest.raises(InfrastructureError, match="does not say what came of 'reboot "):
            lost.go()
