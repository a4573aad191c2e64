# SPDX-License-Identifier: GPL-2.0-only
"""Audit records as sentences: real ones, every operation of the language, and what is no record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from policy_strategies import HEADS, KERNEL, acls

from ccslab.errors import UserError
from ccslab.policy import command
from ccslab.policy.acl import Acl
from ccslab.policy.audit import parse_records
from ccslab.policy.explain import explain, phrase

LOG = KERNEL / "audit.log"
DENIED = (
    "#2026/11/22 05:42:56# profile=3 mode=enforcing granted=no (global-pid=82) "
    "task={ pid=82 ppid=1 uid=33 gid=33 euid=33 egid=33 suid=33 sgid=33 fsuid=33 fsgid=33 } "
    "path1={ uid=0 gid=42 ino=29 major=0 minor=2 perm=0640 type=file } "
    "path1.parent={ uid=0 gid=0 ino=18 perm=0755 }\n<kernel> /usr/sbin/apache2\nfile read /etc/shadow\n"
)


def test_a_denied_request() -> None:
    (told,) = explain(parse_records(DENIED))
    assert told.sentence == (
        "apache2 (as uid 33) wanted to read /etc/shadow, a file of uid 0 and gid 42 with mode 0640, "
        "and was denied: no line of policy allows it"
    )
    assert told.lines == ("file read /etc/shadow",)
    assert told.format().splitlines() == [
        f"2026-11-22 05:42:56 {told.sentence}",
        "    in  <kernel> /usr/sbin/apache2",
        "    add file read /etc/shadow",
    ]


@pytest.mark.parametrize(
    ("mode", "granted", "said", "lines"),
    [
        ("permissive", False, "and was let, though no line of policy allows it", 1),
        ("learning", False, "and was let: it was learned", 1),
        ("enforcing", True, "and was let, as policy says", 0),
    ],
)
def test_what_became_of_it(mode: str, granted: bool, said: str, lines: int) -> None:
    (record,) = parse_records(DENIED)
    (told,) = explain([replace(record, mode=mode, granted=granted)])
    assert told.sentence.endswith(said)
    assert len(told.lines) == lines


def test_only_files_have_an_owner() -> None:
    (record,) = parse_records(DENIED.replace("file read /etc/shadow", "misc env SHELL"))
    (told,) = explain([record])
    assert told.sentence.startswith(
        "apache2 (as uid 33) wanted to start with the environment variable SHELL and"
    )


def test_the_same_is_said_once_with_the_last_time() -> None:
    later = DENIED.replace("05:42:56", "06:00:00").replace("pid=82", "pid=90")
    (told,) = explain(parse_records(f"{DENIED}\n{later}"))
    assert (told.times, told.record.pid) == (2, 90)
    assert told.format().startswith("2026-11-22 06:00:00 (2 times, the last) apache2")


def test_another_user_is_another_matter() -> None:
    told = explain(parse_records(f"{DENIED}\n{DENIED.replace('=33', '=0')}"))
    assert [one.sentence.partition(" wanted")[0] for one in told] == [
        "apache2 (as uid 33)",
        "apache2 (as root)",
    ]


def test_a_real_log_is_told_whole() -> None:
    records = parse_records(LOG.read_text())
    told = explain(records)
    assert sum(one.times for one in told) == len(records)
    assert any(one.sentence == "the kernel noted: use_profile 0" for one in told)
    assert any(
        one.sentence.startswith("act (as root) wanted to send the device control request") for one in told
    )
    # What the kernel put between the braces of a program's arguments is in the line, not in the sentence.
    assert not any("exec=" in one.sentence for one in told)


@pytest.mark.parametrize(("head", "operation"), HEADS)
def test_every_operation_has_its_phrase(head: str, operation: str) -> None:
    arguments = ("FIRST", "SECOND", "THIRD", "FOURTH")
    said = phrase(Acl(head, (operation,), arguments))
    assert "{" not in said
    assert ("FIRST" in said) == (head != "capability")


@given(acls())
def test_a_phrase_names_every_argument(acl: Acl) -> None:
    said = phrase(acl)
    assert all(argument in said for argument in acl.arguments)
    assert said.count(" or ") >= len(acl.operations) - 1


def test_the_command_takes_a_log_or_a_folder_and_names_what_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(f"{DENIED}\n#2026/11/22 05:42:57# profile=3 mode=enf")
    for path in (log, tmp_path):
        told = command.explain_log(path)
        assert told.status == 0
        first, *_, last = told.text.splitlines()
        assert "apache2 (as uid 33) wanted to read /etc/shadow" in first
        assert last.startswith(f"{log}, offset ")
        assert "left out" in last


def test_a_file_without_a_record_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text("file read /etc/shadow\n")
    with pytest.raises(UserError, match="no audit record in it"):
        command.explain_log(log)
    with pytest.raises(UserError):
        command.explain_log(tmp_path / "nothing")
