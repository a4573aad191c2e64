# SPDX-License-Identifier: GPL-2.0-only
"""The controls' trials: what is tried, what must come of it, and how a guest's words are read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.labs import controls, trials
from ccslab.labs.trials import Attempt, Outcome, Trial
from ccslab.policy import language
from ccslab.runs import controls as evidence
from ccslab.runs import folder as runs
from ccslab.runs.controls import COLUMNS, Tried, across
from ccslab.settings import Settings
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
PROGRAMS = controls.PROGRAMS["x86_64"]


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
    known = trials.read(ROOT)
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
        ('[[trial]]\ncall = "x"\n', "lacks the key 'control'"),
        (
            '[[trial]]\ncall = "x"\ncontrol = "y"\nrool = "z"\n',
            "unknown key 'rool' .did you mean control, rule",
        ),
        ('[[trial]]\ncall = "x"\ncontrol = "y"\nrule = "capability SYS_REBOT"\n', "did you mean SYS_REBOOT"),
        (
            '[[trial]]\ncall = "x"\ncontrol = "y"\nrule = "ipc signal 9-9 <kernel>"\n',
            "has a rule not as a kernel prints it: 'ipc signal 9-9 <kernel>'",
        ),
    ],
)
def test_malformed_trials_are_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / trials.FILE
    path.parent.mkdir(parents=True)
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
    found = dict(controls.parse(f"[    1.0] noise\r\n{text}controls: all tried\r\n", ATTEMPTS))
    assert found == {number: one.expected() for number, one in enumerate(ATTEMPTS)}


def test_sockets_are_told_by_a_pattern() -> None:
    rule = r"file ioctl socket:[\$] 0x541B"
    trial = Trial("ioctl", "file::ioctl", rule)
    named = "file ioctl socket:[7619] 0x541B"
    text = said(0, "controlcalls", "learning", named, rules=f"rule|{named}\r\n")
    found = dict(controls.parse(text, [Attempt(trial, "controlcalls", "learning")]))
    assert found[0] == Outcome("OK", (("learning", False, rule),), (rule,))


def test_a_record_of_somebody_else_is_no_outcome() -> None:
    text = said(0, "target", "learning", REBOOT.rule)
    with pytest.raises(InfrastructureError, match="is no audit record of <kernel> /bin/controlcalls"):
        dict(controls.parse(text, ATTEMPTS))


def test_the_table_shows_what_was_not_right() -> None:
    attempts = list(trials.attempts([REBOOT, FREE], "6.12", PROGRAMS))
    outcomes = [one.expected() for one in attempts]
    kernel = Tried("6.12", "x86_64", "6.12.1", attempts, outcomes)
    assert kernel.passed
    assert next(iter(kernel.rows())) == [
        *("reboot", REBOOT.rule, "passed", "learned", "logged", "denied", "granted", "denied")
    ]
    assert list(kernel.rows())[1] == ["getpriority", "(never checked)", *["passed"] * 4, "-", "-"]
    passes = Outcome("OK")
    (at,) = [
        number
        for number, one in enumerate(attempts)
        if (one.trial, one.program, one.mode, one.given) == (REBOOT, "controlcalls32", "enforcing", "")
    ]
    outcomes[at] = passes
    assert not kernel.passed
    assert kernel.wrong() == [(attempts[at], passes)]
    assert next(iter(kernel.rows()))[2 + COLUMNS.index("enforcing")] == "denied/passed"
    assert kernel.document()["attempts"][at]["right"] is False
    stock = Tried("stock-6.12", "x86_64", "6.12.1", attempts, [passes] * len(attempts))
    assert stock.passed, "what lacks the controls is only shown"


def test_kernels_are_set_side_by_side() -> None:
    attempts = list(trials.attempts([REBOOT, FREE], "6.12", {"controlcalls": "x86_64"}))
    right = [one.expected() for one in attempts]
    passes = [Outcome("OK")] * len(attempts)
    # With a rule it is not what comes of enforcing none.
    stock = [Outcome("ERRNO EPERM" if one.given else "OK") for one in attempts]
    kernels = [
        Tried("6.12", "x86_64", "6.12.1", attempts, right),
        Tried("7.2", "x86_64", "7.2.1", attempts, passes),
        Tried("stock-6.12", "x86_64", "6.12.1", attempts, stock),
        Tried("5.10", "i386", "5.10.1", attempts[:6], right[:6]),
    ]
    assert list(across(kernels)) == [
        ["capability::SYS_REBOOT", "6", "5 of 6 wrong", "passed", "6"],
        ["capability", "4", "4", "passed", "-"],
    ]


@pytest.fixture
def controlled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """lab.controls on three kernels that do as they should, with guests that need none."""
    monkeypatch.setattr(Settings, "runs", tmp_path / "runs")
    monkeypatch.setattr(trials, "read", lambda root: [REBOOT, RECV, FREE])

    def build(settings: Settings) -> Path:
        folder = tmp_path / settings.kernel
        folder.mkdir(exist_ok=True)
        (folder / "manifest.json").write_text(json.dumps({"release": f"{settings.kernel}.1"}))
        return folder

    def control(fails: dict[str, BaseException], asked: list[str], **options: Any) -> int:
        def attempt(
            settings: Settings, kernel: Path, attempts: list[Attempt], *_: Any, **__: Any
        ) -> list[Outcome]:
            asked.append(settings.kernel)
            if error := fails.get(settings.kernel):
                raise error
            return [one.expected() for one in attempts]

        monkeypatch.setattr(evidence.command, "build", build)
        monkeypatch.setattr(controls, "attempt", attempt)
        return evidence.control(Settings(kernel="5.10,6.12,7.2"), **options)

    return control


def test_a_kernel_that_cannot_be_tried_costs_no_other_s_results(
    controlled: Callable[..., int], tmp_path: Path
) -> None:
    def document() -> dict[str, Any]:
        (run,) = runs.listed(tmp_path / "runs/controls")
        told: dict[str, Any] = json.loads((run.folder / evidence.FILE).read_text())
        assert (run.folder / evidence.REPORT).is_file()
        return told

    asked: list[str] = []
    with pytest.raises(InfrastructureError, match=r"1 of 3 kernels .* 6\.12 x86_64: the guest died"):
        controlled({"6.12": InfrastructureError("the guest died")}, asked)
    assert asked == ["5.10", "6.12", "7.2"]
    told = document()
    assert [one["kernel"] for one in told["kernels"]] == ["5.10", "7.2"]
    assert told["missing"] == ["6.12 x86_64"]

    asked.clear()
    with pytest.raises(KeyboardInterrupt):
        controlled({"6.12": KeyboardInterrupt()}, asked, resume=True)
    assert [one["kernel"] for one in document()["kernels"]] == ["5.10", "7.2"]

    asked.clear()
    assert controlled({}, asked, resume=True) == 0
    assert asked == ["6.12"]
    told = document()
    assert [one["kernel"] for one in told["kernels"]] == ["5.10", "6.12", "7.2"]
    assert told["missing"] == []
    assert all(attempt["right"] for one in told["kernels"] for attempt in one["attempts"])


def test_another_kernel_is_not_gone_on_with(controlled: Callable[..., int], tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError):
        controlled({"7.2": InfrastructureError("the guest died")}, [])
    (run,) = runs.listed(tmp_path / "runs/controls")
    path = run.folder / "journal.jsonl"
    path.write_text(re.sub('"kernel 5.10 x86_64": "', '"kernel 5.10 x86_64": "0', path.read_text()))
    with pytest.raises(UserError, match=r"the run's kernel 5\.10 x86_64 is not what is here now"):
        controlled({}, [], resume=True)
