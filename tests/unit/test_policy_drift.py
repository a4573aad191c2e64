# SPDX-License-Identifier: GPL-2.0-only
"""Drift is told in sentences, and nothing of it is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.policy.drift import tell

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


@given(st.lists(st.text() | st.sampled_from(["@@ exception policy @@", APACHE, "+path_group", "-file"])))
def test_every_line_is_told(lines: list[str]) -> None:
    scopes = [line for line in lines if line.startswith("@@ ") and line.endswith(" @@")]
    assert len(tell(lines)) == len(lines) - len(scopes)
