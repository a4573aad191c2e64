# SPDX-License-Identifier: GPL-2.0-only
"""Reading and writing policy: what is written is read back the same, what is wrong is named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from policy_strategies import DATA, KERNEL, acls, domain_policies, exception_policies, profiles

from ccslab.errors import UserError
from ccslab.policy.acl import Acl, merge, parse_acl
from ccslab.policy.canonical import atom_set
from ccslab.policy.domain import DomainPolicy, parse_domain_policy
from ccslab.policy.exception import ExceptionPolicy, parse_exception_policy
from ccslab.policy.manager import parse_manager
from ccslab.policy.profile import Profiles, parse_profile
from ccslab.policy.stat import parse_stat


@settings(max_examples=80, deadline=None)
@given(acls())
def test_acl_round_trip(acl: Acl) -> None:
    assert parse_acl(acl.format()) == acl


@settings(max_examples=15, deadline=None)
@given(domain_policies())
def test_domain_policy_round_trip(policy: DomainPolicy) -> None:
    assert parse_domain_policy(policy.format()) == policy


@settings(max_examples=15, deadline=None)
@given(exception_policies)
def test_exception_policy_round_trip(policy: ExceptionPolicy) -> None:
    assert parse_exception_policy(policy.format()) == policy


@settings(max_examples=15, deadline=None)
@given(profiles)
def test_profile_round_trip(given_profiles: Profiles) -> None:
    assert parse_profile(given_profiles.format()) == given_profiles


@settings(max_examples=15, deadline=None)
@given(domain_policies())
def test_merging_keeps_the_meaning(policy: DomainPolicy) -> None:
    for domain in policy.domains.values():
        merged = merge(domain.acls)
        assert atom_set(merged) == atom_set(domain.acls)
        assert merge(merged) == merged


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("file write/read /x", "file read/write /x"),
        ("file execute/read/read /x", "file execute/read /x"),
        ("file create /x 0x1f-0x1f", "file create /x 0x1F"),
        ("file create /x 00644", "file create /x 0644"),
        ("file mkchar /x 0600 1 3-3 task.uid=0", "file mkchar /x 0600 1 3 task.uid=0"),
        (
            "network inet stream connect/bind 2001:0DB8::0:1 80",
            "network inet stream bind/connect 2001:db8::1 80",
        ),
        ("network inet dgram send 10.0.0.1-10.0.0.1 @P", "network inet dgram send 10.0.0.1 @P"),
        ("task manual_domain_transition <kernel> /a /b task.uid=0", None),
        ("file execute /x <kernel> /y /z exec.argc=1 grant_log=yes", None),
        ('file execute /x keep exec.envp["A"]!=NULL', None),
        ("ipc signal 9-15 <kernel> /usr/sbin/x", None),
        ("network unix dgram recv \\000abstract", None),
        ("network inet stream accept ::ffff:7f00:1 4001", "network inet stream accept ::ffff:127.0.0.1 4001"),
        ("network inet dgram recv fe80::5efe:a00:1 5", "network inet dgram recv fe80::5efe:10.0.0.1 5"),
        ("network inet dgram recv ::7f00:1 5", None),
    ],
)
def test_lines_take_the_spelling_of_the_kernel(written: str, printed: str | None) -> None:
    assert parse_acl(written).format() == (printed or written)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("file reed /x", "did you mean read?"),
        ("fil read /x", "did you mean file?"),
        ("network inet stream lisen 1.2.3.4 5", "did you mean listen?"),
        ("misc enw PATH", "did you mean env?"),
        ("file read/create /x", "a line for each"),
        ("file create /x", "takes 2 argument"),
        ("file create /x y", "is not a number"),
        ("file read /x task.uuid=0", "did you mean task.uid?"),
        ("file read /x keep", "only 'file execute'"),
        ("network inet stream bind 1.2.3.4 70000", "greater than 65535"),
        ("file read /x grant_log=maybe", "grant_log=yes or"),
        ("file read /a\\q", "unknown pattern"),
        ("use_profile 256", "0 to 255"),
        ("delete file read /x", "a command to the kernel"),
    ],
)
def test_malformed_lines_name_place_and_mend(line: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_domain_policy(f"<kernel>\nuse_profile 0\n\n{line}\n", "some/domain_policy.conf")
    assert hint in str(caught.value)
    assert caught.value.where == "some/domain_policy.conf:4"
    assert caught.value.mend


def test_lines_before_any_domain_are_refused() -> None:
    with pytest.raises(UserError, match="before any"):
        parse_domain_policy("file read /x\n")


@pytest.mark.parametrize(
    "line", ["3-CONFIG::fil={ mode=enforcing }", "3-CONFIG={ mode=enforce }", "256-COMMENT=", "x"]
)
def test_malformed_profiles_are_refused(line: str) -> None:
    with pytest.raises(UserError, match="p:2"):
        parse_profile(f"PROFILE_VERSION=20150505\n{line}\n", "p")


@pytest.mark.parametrize(
    "line", ["initialise_domain /x", "initialize_domain x", "aggregator /a /\\*", "number_group N @M"]
)
def test_malformed_exceptions_are_refused(line: str) -> None:
    with pytest.raises(UserError, match="e:1"):
        parse_exception_policy(line, "e")


def test_the_mode_of_a_control_is_its_own_or_its_categorys_or_the_default() -> None:
    modes = {"": "learning", "::file": "enforcing", "::file::open": "disabled"}
    found = parse_profile("".join(f"1-CONFIG{k}={{ mode={m} }}\n" for k, m in modes.items())).profile(1)
    assert found is not None
    assert [found.mode(k) for k in ("file::open", "file::create", "network::inet_stream_bind")] == [
        "disabled",
        "enforcing",
        "learning",
    ]


def test_debians_first_configuration_is_read_and_written_back() -> None:
    folder = DATA / "debian"
    text = (folder / "exception_policy.conf").read_text()
    entries = parse_exception_policy(text)
    assert entries.format().splitlines() == list(dict.fromkeys(text.splitlines()))
    for name, parse in (("profile", parse_profile), ("manager", parse_manager)):
        text = (folder / f"{name}.conf").read_text()
        assert parse(text).format() == text
    assert parse_domain_policy((folder / "domain_policy.conf").read_text()).domain("<kernel>").groups == (0,)
    assert parse_stat((folder / "stat.conf").read_text()).memory["audit log"].used_bytes == 16 << 20


def test_what_the_kernel_prints_is_read_and_written_back_byte_for_byte() -> None:
    printed = KERNEL / "printed"
    for name, parse in (
        ("domain_policy", parse_domain_policy),
        ("learned", parse_domain_policy),
        ("exception_policy", parse_exception_policy),
        ("profile", parse_profile),
        ("manager", parse_manager),
        ("stat", parse_stat),
        ("stat-after", parse_stat),
    ):
        text = (printed / name).read_text()
        assert parse(text, name).format() == text, name


def test_stat_tells_memory_and_violations() -> None:
    stat = parse_stat((KERNEL / "printed" / "stat").read_text())
    assert stat.memory["policy"].used_bytes == 21216
    assert stat.memory["query message"].quota_bytes == 1 << 20
    assert stat.total_bytes == sum(memory.used_bytes for memory in stat.memory.values())
    assert stat.violations["enforcing"].count == 0
    assert stat.updates is not None
    assert stat.updates.last.startswith("20")


def test_an_unknown_domain_is_named_with_the_nearest() -> None:
    policy = parse_domain_policy("<kernel> /usr/sbin/apache2\n")
    with pytest.raises(UserError, match="apache2"):
        policy.domain("<kernel> /usr/sbin/apache")
