# SPDX-License-Identifier: GPL-2.0-only
"""The 2008 report's policy and the 2006 post's profiles in today's language."""

from __future__ import annotations

from pathlib import Path

import pytest
from policy_strategies import DATA

from ccslab.errors import UserError
from ccslab.policy.command import convert_file
from ccslab.policy.convert import convert
from ccslab.policy.domain import parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.profile import parse_profile

REPORT = (DATA / "report2008" / "policy.txt").read_text(encoding="utf-8")
POST = (DATA / "report2008" / "profiles2006.txt").read_text(encoding="utf-8")
HTTPD = "<kernel> /usr/sbin/httpd"


def formatted(text: str, domain: str = "<kernel> /x") -> list[str]:
    return [acl.format() for acl in convert(text).domain.domain(domain).acls]


def test_the_result_is_todays_language() -> None:
    for text in (REPORT, POST):
        result = convert(text)
        assert parse_domain_policy(result.domain.format()) == result.domain
        assert parse_exception_policy(result.exception.format()) == result.exception
        assert parse_profile(result.profile.format()) == result.profile


def test_every_line_of_the_report_is_converted() -> None:
    result = convert(REPORT)
    old = [
        line
        for line in REPORT.splitlines()
        if line[:2] in ("1 ", "2 ", "4 ", "6 ") or line.startswith("allow_")
    ]
    assert sum(len(domain.acls) for domain in result.domain.domains.values()) == len(old) == 262
    assert len(result.domain.domains) == 15
    assert all(domain.profile == 3 for domain in result.domain.domains.values())
    assert not [warning for warning in result.warnings if "left out" in warning]


def test_lines_of_the_report() -> None:
    domains = convert(REPORT).domain
    httpd = [acl.format() for acl in domains.domain(HTTPD).acls]
    assert "file execute /bin/sh" in httpd
    assert "file read/write/append /dev/null" in httpd
    assert "file read /etc/httpd/cert/\\*/\\*" in httpd
    assert "file write/append /var/log/httpd/access_log" in httpd
    assert "file link @WEB_CACHE @WEB_CACHE" in httpd
    assert "file create @WEB_CACHE 0-07777" in httpd
    postdrop = domains.domain(f"{HTTPD} /bin/sh /usr/sbin/sendmail.postfix /usr/sbin/postdrop")
    maildrop = "/var/spool/postfix/maildrop/\\*"
    assert f"file rename {maildrop} {maildrop}" in [acl.format() for acl in postdrop.acls]


def test_wrapped_domain_names_are_joined() -> None:
    cgi = f"{HTTPD} /var/sample/contents/ssl/cgi/ToMail.cgi /bin/sh /usr/sbin/sendmail.postfix"
    result = convert(REPORT)
    assert {cgi, f"{cgi} /usr/sbin/postdrop"} <= set(result.domain.domains)
    assert sum("continuation" in warning for warning in result.warnings) == 2


def test_both_printings_of_the_backslash() -> None:
    members = convert(REPORT).exception.members("path_group", "WEB_CONTENTS")
    assert members[0] == "/var/sample/web/\\*"
    assert members[1] == "/var/sample/web/\\*/\\*"
    assert not any("%" in member or "\u00a5" in member for member in members)
    assert formatted("<kernel> /x\n4 /a%20b\n4 /\u00a5$/%*\n") == ["file read /a%20b", "file read /\\$/\\*"]


def test_a_pattern_that_lost_its_backslash_is_said() -> None:
    result = convert("<kernel> /x\n4 /etc/*\n")
    assert [acl.format() for acl in result.domain.domain("<kernel> /x").acls] == ["file read /etc/\\*"]
    assert any("lost its backslash" in warning for warning in result.warnings)


def test_two_spellings_of_a_directory_are_kept_and_said() -> None:
    result = convert(REPORT)
    assert any("/ssl/cgi" in w and "/sslcgi" in w for w in result.warnings)
    assert "file execute /var/sample/contents/sslcgi/ToMail.cgi" in [
        acl.format() for acl in result.domain.domain(HTTPD).acls
    ]
    assert f"{HTTPD} /var/sample/contents/ssl/cgi/ToMail.cgi" in result.domain.domains


def test_profiles_of_the_post() -> None:
    result = convert(POST)
    six = result.profile.profile(6)
    three = result.profile.profile(3)
    assert six is not None
    assert three is not None
    assert (six.mode("file::open"), six.mode("network::inet_stream_bind")) == ("permissive", "permissive")
    assert (three.mode("file::open"), three.mode("network::inet_stream_bind")) == ("enforcing", "disabled")
    assert three.mode("file::getattr") == "disabled"
    assert six.comment == "FILE and NETWORK with Permissive Mode"
    assert result.domain.domain("<kernel> /usr/sbin/sshd").profile == 7


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1 /a", "file execute /a"),
        ("7 @G", "file execute/read/write/append @G"),
        ("allow_mkchar /a", "file mkchar /a 0-07777 0-0xFFFFFFFF 0-0xFFFFFFFF"),
        ("allow_chmod /a 0644", "file chmod /a 0644"),
        ("allow_network TCP listen 0.0.0.0 80", "network inet stream listen 0.0.0.0 80"),
        ("allow_network UDP connect 1.2.3.4 53", "network inet dgram send 1.2.3.4 53"),
        ("allow_env PATH", "misc env PATH"),
        ("allow_signal 9 <kernel> /y", "ipc signal 9 <kernel> /y"),
        ("allow_capability SYS_TIME", "capability SYS_TIME"),
        ("allow_argv0 /a -sh", 'file execute /a exec.argv[0]="-sh"'),
        ("allow_read/write /a", "file read/write/append /a"),
        ("file read /a", "file read /a"),
        ("4 /a if task.uid=0", "file read /a task.uid=0"),
    ],
)
def test_each_word_of_the_old_language(old: str, new: str) -> None:
    assert formatted(f"<kernel> /x\n{old}\n") == [new]


@pytest.mark.parametrize(
    "line",
    ["alias /a /b", "file_pattern /x\\*", "allow_capability SYS_KILL", "frobnicate /a", "0 /a", "4 a\\q"],
)
def test_what_has_no_equivalent_is_said(line: str) -> None:
    result = convert(f"<kernel> /x\n{line}\n")
    assert result.domain.domain("<kernel> /x").acls == []
    assert any("line 2" in warning and "left out" in warning for warning in result.warnings)


def test_append_only_files() -> None:
    old = "deny_rewrite /var/log/\\*\n<kernel> /x\n2 /var/log/a\n6 /tmp/b\nallow_truncate /var/log/a\n"
    assert formatted(old) == ["file append /var/log/a", "file read/write/append /tmp/b"]
    assert formatted(old + "allow_rewrite /var/log/a\n")[0] == "file write/append /var/log/a"


def test_global_permissions_and_transitions() -> None:
    result = convert(
        "allow_read /etc/ld.so.cache\n"
        "initializer /usr/sbin/httpd\nkeep_domain /bin/sh from <kernel>\n<kernel> /x\n"
    )
    assert result.exception.format().splitlines() == [
        "initialize_domain /usr/sbin/httpd from any",
        "keep_domain /bin/sh from <kernel>",
        "acl_group 0 file read /etc/ld.so.cache",
    ]
    assert result.domain.domain("<kernel> /x").groups == (0,)


def test_todays_policy_stays_as_it_is() -> None:
    result = convert(REPORT)
    again = convert(result.domain.format() + result.exception.format())
    assert again.domain == result.domain
    assert again.exception == result.exception


def test_text_without_policy_is_refused() -> None:
    with pytest.raises(UserError, match="no line of policy"):
        convert("nothing of that kind\n")


def test_bytes_that_policy_cannot_hold_are_named_with_their_line(tmp_path: Path) -> None:
    old = tmp_path / "old.conf"
    old.write_bytes(b"<kernel>\n4 /etc/\xff\n1-COMMENT=caf\xe9\nallow_read /ok\n")
    for out in (None, tmp_path / "new"):
        text = convert_file(old, out).text
        assert "line 2: 4 /etc/\udcff: " in text
        assert "line 3: 1-COMMENT=caf\udce9: a comment keeps ASCII only" in text
    assert (tmp_path / "new/profile.conf").read_bytes().endswith(b"1-COMMENT=caf\n")
