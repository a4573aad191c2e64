# SPDX-License-Identifier: GPL-2.0-only
"""Audit records of a 6.12 kernel, whole, cut and mixed with other text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import KERNEL

from ccslab.errors import UserError
from ccslab.policy.audit import acl_of, parse_records, scan_records
from ccslab.policy.canonical import atom_set
from ccslab.policy.domain import parse_domain_policy

LOG = (KERNEL / "audit.log").read_text()
RECORDS = parse_records(LOG)
EXEC = (
    "#2026/11/22 05:42:56# profile=3 mode=enforcing granted=no (global-pid=82) "
    "task={ pid=82 ppid=1 uid=33 gid=33 euid=33 egid=33 suid=33 sgid=33 fsuid=33 fsgid=33 } "
    "path1={ uid=0 gid=0 ino=29 major=0 minor=2 perm=0755 type=file } "
    "path1.parent={ uid=0 gid=0 ino=18 perm=0755 } "
    'exec={ realpath="/bin/dash" argc=3 envc=2 argv[]={ "sh" "-c" "echo\\040{\\040}\\040path1={" } '
    'envp[]={ "A="x"" "B=\\040}" } }\n<kernel> /usr/sbin/apache2\nfile execute /bin/sh'
)


def test_every_record_of_a_real_log_is_read() -> None:
    records = parse_records(LOG)
    assert len(records) == LOG.count("#2026/") > 50
    assert {record.mode for record in records} == {"disabled", "learning", "permissive"}
    assert all(record.domain.startswith("<kernel> /bin/act") for record in records)
    first = records[0]
    assert (first.time, first.profile, first.granted) == (
        datetime(2026, 11, 22, 5, 42, 55, tzinfo=UTC),
        0,
        False,
    )


def test_attributes_of_a_real_record() -> None:
    record = next(r for r in parse_records(LOG) if r.request == "file symlink /tmp/sl")
    assert record.symlink_target == "target"
    assert record.paths["path1.parent"]["perm"].startswith("0")
    assert record.task["uid"] == 0
    mkchar = next(r for r in parse_records(LOG) if r.request.startswith("file ioctl /dev/console"))
    assert mkchar.paths["path1"]["dev_major"] == "5"
    assert mkchar.paths["path1"]["type"] == "char"


def test_execution_is_taken_apart() -> None:
    (record,) = parse_records(EXEC)
    assert record.execution is not None
    assert record.execution.argv == ("sh", "-c", "echo\\040{\\040}\\040path1={")
    assert record.execution.envp == ('A="x"', "B=\\040}")
    assert record.execution.complete
    assert set(record.paths) == {"path1", "path1.parent"}
    assert record.task["fsgid"] == 33


def test_a_cut_argument_list_is_marked() -> None:
    cut = EXEC.replace('"-c" "echo\\040{\\040}\\040path1={" ', "... ")
    (record,) = parse_records(cut)
    assert record.execution is not None
    assert not record.execution.complete
    assert record.execution.argv == ("sh",)


def test_the_line_that_would_have_allowed_it_has_the_conditions_of_learning() -> None:
    (record,) = parse_records(EXEC)
    assert [acl.format() for acl in acl_of(record)] == [
        'file execute /bin/sh exec.realpath="/bin/dash" exec.argv[0]="sh"'
    ]
    assert [acl.format() for acl in acl_of(record, conditions=False)] == ["file execute /bin/sh"]


def test_learning_wrote_the_same_lines_as_acl_of_gives() -> None:
    learned = parse_domain_policy((KERNEL / "printed" / "learned").read_text())
    records = [r for r in parse_records(LOG) if r.mode == "learning" and not r.granted]
    assert len(records) > 25
    for record in records:
        wanted = atom_set(acl_of(record))
        if wanted and record.domain == "<kernel> /bin/act" and "domain_policy" not in record.request:
            assert wanted <= atom_set(learned.domain(record.domain).acls), record.request


@pytest.mark.parametrize("line", ["use_profile 0", "use_group 3", "quota_exceeded", "transition_failed"])
def test_records_of_bookkeeping_ask_for_no_line(line: str) -> None:
    (record,) = parse_records(EXEC.replace("file execute /bin/sh", line))
    assert acl_of(record) == []


def test_auditd_text_with_empty_lines_gives_the_same_records() -> None:
    assert parse_records(LOG.replace("\0", "\n")) == parse_records(LOG)


def test_a_cut_log_names_the_offset_and_keeps_the_rest() -> None:
    at = LOG.index("\0", len(LOG) // 2) + 40
    cut = LOG[:at]
    start = cut.rindex("\0") + 1
    with pytest.raises(UserError, match=f"audit.log, offset {start}"):
        parse_records(cut, source="audit.log")
    whole = parse_records(cut, strict=False)
    assert whole == parse_records(LOG)[: len(whole)]
    assert len(whole) == cut.count("#2026/") - 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, len(LOG)), st.integers(0, 400), st.text(max_size=12))
def test_garbage_never_raises_and_whole_records_survive(at: int, length: int, junk: str) -> None:
    damaged = LOG[:at] + junk + LOG[at + length :]
    scanned = list(scan_records(damaged))
    found = [record for _, record, _ in scanned if record]
    before = LOG[:at].count("\0")
    assert found[:before] == RECORDS[:before]
    for offset, record, fault in scanned:
        assert 0 <= offset <= len(damaged)
        assert (record is None) == bool(fault)


def test_a_request_outside_the_language_is_named() -> None:
    (record,) = parse_records(EXEC.replace("file execute /bin/sh", "file frobnicate /bin/sh"))
    with pytest.raises(UserError, match="frobnicate"):
        acl_of(record)
