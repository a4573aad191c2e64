# SPDX-License-Identifier: GPL-2.0-only
"""Enforcing for the web server and its CGIs, permissive elsewhere."""


def test_web_server_is_enforcing(host, apache):
    assert host.tomoyo.domain(apache).profile == 3


def test_every_cgi_is_enforcing(policy, apache):
    assert {domain.profile for domain in policy.below(apache)} == {3}


def test_the_rest_is_permissive_and_the_harness_exempt(policy):
    assert policy.domain("<kernel>").profile == 2
    assert policy.domain("<kernel> /usr/sbin/cron").profile == 2
    assert {domain.profile for domain in policy.below("<kernel> /usr/sbin/sshd")} == {0}


def test_the_running_server_is_in_its_domain(host, apache):
    pid = int(host.file("/run/apache2/apache2.pid").content_string)
    assert host.tomoyo.domain_of(pid) == apache


def test_nothing_was_denied(host):
    assert host.tomoyo.stat.violations["enforcing"].count == 0
