# SPDX-License-Identifier: GPL-2.0-only
"""Differences in meaning are shown, differences in spelling are not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import domain_policies

from ccslab.policy.acl import merge
from ccslab.policy.diff import diff_domains, diff_exceptions, diff_managers, diff_profiles
from ccslab.policy.domain import Domain, DomainPolicy, parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.manager import parse_manager
from ccslab.policy.profile import parse_profile

HEAD = "<kernel> /x\nuse_profile 1\n\n"


def lines(a: str, b: str) -> list[str]:
    return diff_domains(parse_domain_policy(HEAD + a), parse_domain_policy(HEAD + b)).lines()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("file read/write /x\n", "file write /x\nfile read /x\n"),
        ("file create /x 0x10\n", "file create /x 16\n"),
        ("file read /x task.uid=0 path1.uid=0\n", "file read /x path1.uid=0x0 task.uid=0\n"),
        (
            "network inet stream bind/listen ::1 80\n",
            "network inet stream listen 0::1 80\nnetwork inet stream bind ::1 80\n",
        ),
        ("use_group 1\nuse_group 2\n", "use_group 2\nuse_group 1\n"),
    ],
)
def test_spelling_is_no_difference(a: str, b: str) -> None:
    assert lines(a, b) == []


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("file read/write /x\n", "file read /x\n", ["-file write /x"]),
        ("", "file read/write /x\n", ["+file read/write /x"]),
        ("file read /x\n", "file read /x task.uid=0\n", ["-file read /x", "+file read /x task.uid=0"]),
        ("file execute /x\n", "file execute /x keep\n", ["-file execute /x", "+file execute /x keep"]),
        ("file read /x grant_log=no\n", "file read /x\n", ["-file read /x grant_log=no", "+file read /x"]),
        (
            "",
            "use_profile 3\nuse_group 7\nquota_exceeded\n",
            ["-use_profile 1", "+use_profile 3", "+quota_exceeded", "+use_group 7"],
        ),
    ],
)
def test_differences_are_shown_line_by_line(a: str, b: str, expected: list[str]) -> None:
    assert lines(a, b) == ["@@ <kernel> /x @@", *expected]


def test_whole_domains_are_marked() -> None:
    a, b = parse_domain_policy(HEAD), parse_domain_policy("<kernel> /y\nuse_profile 0\nfile read /z\n")
    found = diff_domains(a, b)
    assert [section.state for section in found.sections] == ["removed", "added"]
    assert found.lines()[2:] == ["@@ +<kernel> /y @@", "+use_profile 0", "+file read /z"]
    assert found.data()[1]["added"] == ["use_profile 0", "file read /z"]
    assert bool(found)


@settings(max_examples=15, deadline=None)
@given(domain_policies(), st.randoms(use_true_random=False))
def test_reordered_and_split_policy_means_the_same(policy: DomainPolicy, chance: random.Random) -> None:
    other = DomainPolicy()
    for domain in chance.sample(list(policy.domains.values()), len(policy.domains)):
        acls = [one for acl in domain.acls for one in acl.single()]
        chance.shuffle(acls)
        other.domains[domain.name] = Domain(domain.name, domain.profile, domain.flags, domain.groups, acls)
    assert not diff_domains(policy, other)
    for domain in other.domains.values():
        domain.acls = merge(domain.acls)
    assert not diff_domains(other, policy)


@settings(max_examples=15, deadline=None)
@given(domain_policies(), domain_policies())
def test_a_difference_is_empty_only_for_the_same_meaning(a: DomainPolicy, b: DomainPolicy) -> None:
    there, back = diff_domains(a, b), diff_domains(b, a)
    assert bool(there) == bool(back)
    assert [s.added for s in there.sections] == [s.removed for s in back.sections]
    assert not diff_domains(a, a)


def test_exceptions_profiles_and_managers() -> None:
    found = diff_exceptions(
        parse_exception_policy(
            "acl_group 1 file read/write /x\nnumber_group N 0x10\nkeep_domain /a from any\n"
        ),
        parse_exception_policy("acl_group 1 file read /x\nnumber_group N 16\nkeep_domain /b from any\n"),
    )
    assert found.lines() == [
        "@@ <kernel> @@",
        "-acl_group 1 file write /x",
        "-keep_domain /a from any",
        "+keep_domain /b from any",
    ]
    old, new = parse_profile("3-CONFIG={ mode=permissive }\n"), parse_profile("3-CONFIG={ mode=enforcing }\n")
    assert diff_profiles(old, new).lines()[1:] == [
        "-3-CONFIG={ mode=permissive }",
        "+3-CONFIG={ mode=enforcing }",
    ]
    assert diff_managers(parse_manager("/a\n/b\n"), parse_manager("/b\n/c\n")).lines()[1:] == ["-/a", "+/c"]
