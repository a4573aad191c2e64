# SPDX-License-Identifier: GPL-2.0-only
"""Permissive everywhere but in the harness's own domains; the policy is the generalised one."""


def test_web_server_is_permissive(policy, apache):
    assert {domain.profile for domain in policy.below(apache)} == {2}


def test_own_domains_of_the_harness_are_exempt(policy):
    assert {domain.profile for domain in policy.below("<kernel> /usr/sbin/sshd")} == {0}


def test_content_is_a_group_by_depth(host, policy, apache):
    groups = {
        name for acl in policy.domain(apache).acls for kind, name in acl.groups() if kind == "path_group"
    }
    assert "WEB_CONTENTS" in groups
    members = host.tomoyo.exceptions.members("path_group", "WEB_CONTENTS")
    assert sorted(member.count("/") for member in members) == list(range(4, 4 + len(members)))
    assert len(members) >= 6, members
    assert all(member.startswith("/var/www/html/") for member in members)


def test_the_forgotten_cgi_was_added(policy, apache):
    assert any("multi.cgi" in domain.name for domain in policy.below(apache))
