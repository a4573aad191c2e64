# SPDX-License-Identifier: GPL-2.0-only
"""Which lines of a policy allow something, and which of them a granted request may owe its grant to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ccslab.policy.audit import Record
from ccslab.policy.domain import parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.lines import Line, Lines

APACHE = "<kernel> /usr/sbin/apache2"
DOMAINS = f"""\
{APACHE}
use_profile 3
use_group 0

file read /etc/hosts
file read/write /var/www/\\*
file read @WEB
network inet stream connect @HERE 25

<kernel> /usr/sbin/cron
use_profile 3
use_group 1

file read /etc/hosts
"""
EXCEPTIONS = """\
initialize_domain /usr/sbin/apache2 from any
path_group WEB /var/www/\\*
path_group WEB /var/www/\\*/\\*/\\*
path_group OTHER /other
address_group HERE 127.0.0.1
acl_group 0 file read /etc/passwd
acl_group 1 file read /etc/crontab
acl_group 2 file read /nobody
"""


@pytest.fixture
def lines() -> Lines:
    return Lines(parse_domain_policy(DOMAINS), parse_exception_policy(EXCEPTIONS))


def record(domain: str, request: str) -> Record:
    return Record(
        time=datetime(2026, 1, 1, tzinfo=UTC),
        profile=3,
        mode="enforcing",
        granted=True,
        pid=1,
        task={},
        domain=domain,
        request=request,
    )


def test_all_that_allows_something(lines: Lines) -> None:
    assert [str(line) for line in lines.all()] == [
        f"{APACHE}: file read /etc/hosts",
        f"{APACHE}: file read/write /var/www/\\*",
        f"{APACHE}: file read @WEB",
        f"{APACHE}: network inet stream connect @HERE 25",
        "<kernel> /usr/sbin/cron: file read /etc/hosts",
        "(exception policy): acl_group 0 file read /etc/passwd",
        "(exception policy): acl_group 1 file read /etc/crontab",
        "(exception policy): path_group WEB /var/www/\\*",
        "(exception policy): path_group WEB /var/www/\\*/\\*/\\*",
        "(exception policy): address_group HERE 127.0.0.1",
    ]


@pytest.mark.parametrize(
    ("domain", "request_", "granting"),
    [
        (APACHE, "file read /etc/hosts", ["file read /etc/hosts"]),
        (
            APACHE,
            "file read /var/www/index.html",
            ["file read @WEB", "file read/write /var/www/\\*", "path_group WEB /var/www/\\*"],
        ),
        (APACHE, "file read /var/www/a/b/c", ["file read @WEB", "path_group WEB /var/www/\\*/\\*/\\*"]),
        (APACHE, "file write /var/www/index.html", ["file read/write /var/www/\\*"]),
        (APACHE, "file read /etc/passwd", ["acl_group 0 file read /etc/passwd"]),
        (APACHE, "file read /etc/crontab", []),
        (APACHE, "file read /etc/shadow", []),
        (
            APACHE,
            "network inet stream connect 127.0.0.1 25",
            ["address_group HERE 127.0.0.1", "network inet stream connect @HERE 25"],
        ),
        ("<kernel> /unknown", "file read /etc/hosts", []),
    ],
)
def test_granting(lines: Lines, domain: str, request_: str, granting: list[str]) -> None:
    assert sorted(line.text for line in lines.granting(record(domain, request_))) == granting


def test_removal() -> None:
    assert Line(APACHE, "file read /x").removal() == [f"select {APACHE}", "delete file read /x"]
    assert Line("", "path_group WEB /x").removal() == ["delete path_group WEB /x"]
