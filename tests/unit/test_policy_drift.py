# SPDX-License-Identifier: GPL-2.0-only
"""Drift is told in sentences, and nothing of it is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.policy.audit import Record, parse_records
from ccslab.policy.domain import parse_domain_policy
from ccslab.policy.drift import since, tell
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.lines import Lines

APACHE = "@@ <kernel> /usr/sbin/apache2 @@"
CGI = "@@ <kernel> /usr/sbin/apache2 /usr/lib/cgi-bin/ToMail.cgi @@"


@pytest.mark.parametrize(
    ("scope", "line", "said"),
    [
        (APACHE, "+file read /etc/mime.types", "apache2 may now also read /etc/mime.types"),
        (APACHE, "-file read/write @WEB", "apache2 may no longer read @WEB or write to @WEB"),
        (
            CGI,
            '+file execute /usr/bin/date exec.realpath="/usr/bin/date" exec.argv[0]="date"',
            "ToMail.cgi may now also execute /usr/bin/date (started by apache2)",
        ),
        (
            "@@ exception policy @@",
            "+path_group WEB /var/www/html/\\*",
            "the group WEB now also has /var/www/html/\\*",
        ),
        (
            "@@ exception policy @@",
            "-acl_group 0 file read /etc/passwd",
            "every program of acl_group 0 may no longer read /etc/passwd",
        ),
        (
            "@@ exception policy @@",
            "+initialize_domain /usr/sbin/cron from any",
            "the exception policy now also has: initialize_domain /usr/sbin/cron from any",
        ),
        (APACHE, "+use_group 3", "<kernel> /usr/sbin/apache2 now also has: use_group 3"),
    ],
)
def test_a_line_is_a_sentence(scope: str, line: str, said: str) -> None:
    assert tell([scope, line]) == [said]


def granting(request: str) -> Record:
    """The kernel's record of a granted request of Apache."""
    head = "#2026/11/22 10:00:00# profile=2 mode=permissive granted=yes (global-pid=9) task={ pid=9 ppid=1 }"
    (record,) = parse_records(f"{head}\n<kernel> /usr/sbin/apache2\n{request}\n", source="grant.log")
    return record


def test_what_came_is_told_with_the_step_that_asks_for_it() -> None:
    policy = parse_domain_policy(
        "<kernel> /usr/sbin/apache2\nuse_profile 2\nuse_group 0\n\n"
        "file read @WEB\nfile read/write /etc/types\nfile read /etc/passwd\n"
    )
    lines = Lines(policy, parse_exception_policy("path_group WEB /var/www/a\npath_group WEB /var/www/b\n"))
    records = {
        "static page": ["file read /var/www/a"],
        "manual": ["file read /var/www/b", "file write /etc/types"],
        "again": ["file read /etc/types"],
    }
    granted = {step: [granting(one) for one in asked] for step, asked in records.items()}
    drift = [
        *(APACHE, "-file read /srv/a", "+file read/write /etc/types", "+file read /etc/passwd"),
        *("@@ exception policy @@", "+path_group WEB /var/www/b"),
    ]
    assert tell(drift, since(drift, lines, granted)) == [
        "apache2 may no longer read /srv/a",
        "apache2 may now also read /etc/types or write to /etc/types, since the workload does: manual",
        "apache2 may now also read /etc/passwd",
        "the group WEB now also has /var/www/b, since the workload does: manual",
    ]


@given(st.lists(st.text() | st.sampled_from(["@@ exception policy @@", APACHE, "+path_group", "-file"])))
def test_every_line_is_told(lines: list[str]) -> None:
    scopes = [line for line in lines if line.startswith("@@ ") and line.endswith(" @@")]
    assert len(tell(lines)) == len(lines) - len(scopes)
