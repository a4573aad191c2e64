# SPDX-License-Identifier: GPL-2.0-only
"""Every program the server runs has a domain of its own, with what it did."""

import pytest


def programs(policy, top):
    return {domain.name.removeprefix(top).strip() for domain in policy.below(top)}


@pytest.mark.parametrize(
    "chain",
    [
        "/usr/lib/cgi-bin/namazu.cgi",
        "/usr/lib/cgi-bin/ToMail.cgi",
        "/usr/lib/cgi-bin/DUMPshow.cgi",
    ],
)
def test_each_cgi_has_a_domain(policy, apache, chain):
    assert chain in programs(policy, apache)


def test_mail_goes_from_the_form_by_sh_and_sendmail_to_postdrop(policy, apache):
    chains = programs(policy, apache)
    assert any(
        words[0].endswith("/ToMail.cgi") and words[-1].endswith("/postdrop") and "/usr/sbin/sendmail" in words
        for words in (chain.split() for chain in chains if chain)
    ), sorted(chains)


def test_the_server_learned_what_it_read(policy, apache):
    lines = [acl.format() for acl in policy.domain(apache).acls]
    assert any("/var/www/html/index.html" in line for line in lines)


def test_the_forgotten_cgi_was_not_learned(policy, apache):
    """It ran while TOMOYO was disabled, so it has a domain; nothing of it was learned."""
    assert not any("multi.cgi" in acl.format() for acl in policy.domain(apache).acls)
    assert [acl for domain in policy.below(apache) if "multi.cgi" in domain.name for acl in domain.acls] == []


def test_own_domains_of_the_harness_are_exempt(policy):
    assert {domain.profile for domain in policy.below("<kernel> /usr/sbin/sshd")} == {0}
