# SPDX-License-Identifier: GPL-2.0-only
"""The mirrors are whatever the host's apt says, in both of its tongues."""

from __future__ import annotations

import pytest

from ccslab.errors import InfrastructureError
from ccslab.sources import mirrors

TARGETS = """\
Debian|http://mirror.invalid/debian/|bookworm
Debian|http://mirror.invalid/debian/|bookworm-updates
Debian|http://other.invalid/debian-security/|bookworm-security
Somebody|http://mirror.invalid/thing/|bookworm
Debian|cdrom:[disc]/|stable
"""
PRINTED = """\
'http://mirror.invalid/debian/dists/bookworm/InRelease' mirror_InRelease 0
'http://other.invalid/debian-security/dists/bookworm-security/InRelease' other_InRelease 0
'http://mirror.invalid/node/dists/nodistro/InRelease' node_InRelease 0
'http://mirror.invalid/debian/dists/bookworm/main/binary-amd64/Packages.xz' packages 0
"""


def test_targets_of_other_origins_do_not_count() -> None:
    assert mirrors.parse_targets(TARGETS) == {
        "bookworm": "http://mirror.invalid/debian",
        "bookworm-updates": "http://mirror.invalid/debian",
        "bookworm-security": "http://other.invalid/debian-security",
    }


@pytest.mark.parametrize(
    ("suite", "url"),
    [
        ("bookworm", "http://mirror.invalid/debian"),
        ("trixie", "http://mirror.invalid/debian"),
        ("sid", "http://mirror.invalid/debian"),
        ("bullseye-security", "http://other.invalid/debian-security"),
        ("bookworm-security", "http://other.invalid/debian-security"),
    ],
)
def test_an_archive_serves_suites_the_host_does_not_use(suite: str, url: str) -> None:
    assert mirrors.read(lambda argv: TARGETS).url(suite) == url


def test_before_a_first_update_the_printed_uris_tell() -> None:
    found = mirrors.read(lambda argv: "" if "indextargets" in argv else PRINTED)
    assert found.suites == {
        "bookworm": "http://mirror.invalid/debian",
        "bookworm-security": "http://other.invalid/debian-security",
    }


def test_no_debian_source_is_said_in_one_line() -> None:
    with pytest.raises(InfrastructureError, match=r"names no Debian archive.*apt-get update"):
        mirrors.read(lambda argv: "")


def test_a_missing_security_archive_is_named() -> None:
    only = mirrors.Mirrors({"bookworm": "http://mirror.invalid/debian"})
    with pytest.raises(InfrastructureError, match="security archive"):
        only.url("bookworm-security")


def test_the_host_knows_its_mirrors() -> None:
    assert "://" in mirrors.url("bookworm")


@pytest.mark.parametrize("suite", ["bookworm", "bookworm-updates", "bookworm-security", "bookworm/updates"])
def test_the_release_of_a_suite(suite: str) -> None:
    assert mirrors.base(suite) == "bookworm"
