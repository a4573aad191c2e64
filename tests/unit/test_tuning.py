# SPDX-License-Identifier: GPL-2.0-only
"""From audit records to policy, and a run's policy against the golden one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccslab.errors import UserError
from ccslab.labs import tuning
from ccslab.labs.definition import Lab, load
from ccslab.policy.audit import Record
from ccslab.policy.domain import parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.settings import ROOT

APACHE = "<kernel> /usr/sbin/apache2"


@pytest.fixture
def lab() -> Lab:
    return load(ROOT / "labs/apache-cgi")


def record(request: str, domain: str = APACHE) -> Record:
    return Record(
        time=datetime(2026, 1, 1, tzinfo=UTC),
        profile=2,
        mode="permissive",
        granted=False,
        pid=1,
        task={},
        domain=domain,
        request=request,
    )


def test_programs_are_named_once_in_order() -> None:
    records = [
        record("file read /etc/x"),
        record("file execute /usr/lib/cgi-bin/b.cgi"),
        record("file execute /usr/bin/df", f"{APACHE} /usr/lib/cgi-bin/b.cgi"),
        record("file execute /usr/lib/cgi-bin/b.cgi"),
    ]
    assert tuning.named_programs(records) == ["/usr/lib/cgi-bin/b.cgi", "/usr/bin/df"]


def test_additions_make_the_new_programs_domain(lab: Lab) -> None:
    cgi = f"{APACHE} /usr/lib/cgi-bin/b.cgi"
    policy, _ = tuning.additions(
        lab, [record("file execute /usr/lib/cgi-bin/b.cgi"), record("file read /etc/motd", cgi)], 3
    )
    assert policy.domain(cgi).profile == 3
    assert [acl.format() for acl in policy.domain(cgi).acls] == ["file read /etc/motd"]


def test_additions_bring_the_members_their_group_lacks(lab: Lab) -> None:
    deep = "/var/www/html/a/b/c/d/e/f/g/h/i/page.html"
    policy, exceptions = tuning.additions(lab, [record(f"file read {deep}")], 3)
    assert [acl.format() for acl in policy.domain(APACHE).acls] == ["file read @WEB_CONTENTS"]
    members = exceptions.members("path_group", "WEB_CONTENTS")
    assert max(member.count("/") for member in members) == deep.count("/")


def test_no_drift_against_itself_whatever_the_profile(lab: Lab) -> None:
    folder = tuning.golden_folder(lab)
    golden = parse_domain_policy((folder / tuning.DOMAIN_FILE).read_text())
    exceptions = parse_exception_policy((folder / tuning.EXCEPTION_FILE).read_text())
    for domain in golden.domains.values():
        domain.profile = 3
    assert tuning.drift(lab, golden, exceptions) == []


def test_drift_names_the_line(lab: Lab) -> None:
    folder = tuning.golden_folder(lab)
    golden = parse_domain_policy((folder / tuning.DOMAIN_FILE).read_text())
    exceptions = parse_exception_policy((folder / tuning.EXCEPTION_FILE).read_text())
    lost = golden.domain(APACHE).acls.pop()
    assert f"-{lost.format()}" in tuning.drift(lab, golden, exceptions)


def translated(lab: Lab) -> tuple[str, str]:
    """The golden policy as a run on i386 would have it."""
    folder, table = tuning.golden_folder(lab), tuning.declared(lab)
    texts = [(folder / name).read_text() for name in (tuning.DOMAIN_FILE, tuning.EXCEPTION_FILE)]
    domain, exception = (table.translate(text, "i386") for text in texts)
    return domain, exception.replace("acl_group 0 file read /usr/lib64/lib\\*.so\\*\n", "")


def test_the_golden_policy_holds_on_another_architecture(lab: Lab) -> None:
    domain, exception = translated(lab)
    assert "i386-linux-gnu" in exception
    policies = parse_domain_policy(domain), parse_exception_policy(exception)
    assert tuning.drift(replace(lab, arch="i386"), *policies) == []
    assert "-path_group PERL_LIBRARY /usr/lib/x86_64-linux-gnu/perl-base/\\*" in tuning.drift(lab, *policies)


def test_what_is_not_declared_is_drift_on_another_architecture(lab: Lab) -> None:
    domain, exception = translated(lab)
    more = exception + "acl_group 0 file read /usr/lib/x86_64-linux-gnu/lib\\*.so\\*\n"
    found = tuning.drift(replace(lab, arch="i386"), parse_domain_policy(domain), parse_exception_policy(more))
    assert found == [
        "@@ exception policy @@",
        "+acl_group 0 file read /usr/lib/x86_64-linux-gnu/lib\\*.so\\*",
    ]


def test_the_rules_are_translated(lab: Lab) -> None:
    roots = [
        next(rule.root for rule in tuning.rules(one).groups if rule.name == "PERL_LIBRARY")
        for one in (lab, replace(lab, arch="i386"))
    ]
    assert roots == ["/usr/lib/x86_64-linux-gnu/perl-base", "/usr/lib/i386-linux-gnu/perl-base"]


def test_a_golden_policy_is_of_the_reference_architecture(lab: Lab) -> None:
    other = replace(lab, arch="i386")
    tuning.examine(other)
    tuning.examine(lab, update_golden=True)
    with pytest.raises(UserError, match="written by runs on x86_64, and translated for i386"):
        tuning.examine(other, update_golden=True)


def test_an_architecture_nobody_declared_is_refused(lab: Lab) -> None:
    with pytest.raises(UserError, match="unknown architecture 'sparc' - there are: i386, x86_64"):
        tuning.examine(replace(lab, arch="sparc"))


def test_other_domains_are_no_drift(lab: Lab) -> None:
    folder = tuning.golden_folder(lab)
    golden = parse_domain_policy((folder / tuning.DOMAIN_FILE).read_text())
    golden.add("<kernel> /usr/sbin/cron").groups = (0,)
    exceptions = parse_exception_policy((folder / tuning.EXCEPTION_FILE).read_text())
    assert tuning.drift(lab, golden, exceptions) == []


def test_golden_policy_is_written_for_protected_domains_only(lab: Lab, tmp_path: Path) -> None:
    moved = replace(lab, folder=tmp_path / "labs/apache-cgi")
    policy = parse_domain_policy(
        f"{APACHE}\nuse_profile 3\n\nfile read /a\n\n<kernel> /sbin/x\nuse_profile 2\n\nfile read /b\n"
    )
    folder = tuning.write_golden(moved, policy, parse_exception_policy("path_group G /a/\\*\n"))
    text = (folder / tuning.DOMAIN_FILE).read_text()
    assert "file read /a" in text
    assert "/sbin/x" not in text
    assert "use_profile 3" not in text
