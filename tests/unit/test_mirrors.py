# SPDX-License-Identifier: GPL-2.0-only
"""The mirrors are whatever the host's apt says, in both of its tongues."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
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


def test_the_security_archive_is_found_beside_the_main_one() -> None:
    """A host whose apt has only ``trixie main``."""
    only = mirrors.read(lambda argv: "Debian|http://mirror.invalid/pub/debian/|trixie\n")
    assert only.url("bookworm-security") == "http://mirror.invalid/pub/debian-security"
    assert only.url("bullseye") == "http://mirror.invalid/pub/debian"


def test_a_missing_security_archive_is_named() -> None:
    only = mirrors.Mirrors({"bookworm": "http://mirror.invalid/main"})
    with pytest.raises(InfrastructureError, match=r"security archive .*bookworm-security.*lab\.mirror"):
        only.url("bookworm-security")


def test_without_a_main_archive_nothing_is_guessed() -> None:
    only = mirrors.Mirrors({"bookworm-security": "http://mirror.invalid/debian-security"})
    with pytest.raises(InfrastructureError, match=r"no source of Debian's archive .*bookworm\)"):
        only.url("bookworm")


NAMED = "http://near.invalid/debian/ http://near.invalid/debian-security bullseye=https://old.invalid/debian"


@pytest.mark.parametrize("targets", [TARGETS, "", "Ubuntu|http://host.invalid/ubuntu/|noble\n"])
@pytest.mark.parametrize(
    ("suite", "url"),
    [
        ("sid", "http://near.invalid/debian"),
        ("bookworm-security", "http://near.invalid/debian-security"),
        ("bullseye", "https://old.invalid/debian"),
    ],
)
def test_what_the_user_names_is_taken_on_any_host(suite: str, url: str, targets: str) -> None:
    found = mirrors.read(lambda argv: targets, mirrors.parse_named(NAMED))
    assert found.url(suite) == url


def test_of_a_host_that_is_no_debian_one_named_mirror_is_enough() -> None:
    found = mirrors.read(lambda argv: "", mirrors.parse_named("http://near.invalid/debian"))
    assert found.url("bookworm-security") == "http://near.invalid/debian-security"


@pytest.mark.parametrize(
    "text",
    [
        "near",
        "http://x/?a=b=c d",
        "ftp://near.invalid/debian",
        "Big=http://x",
        "=http://x",
        "sid=",
        "http:near",
        "5",
    ],
)
def test_a_named_mirror_that_is_no_address(text: str) -> None:
    with pytest.raises(UserError, match=r"^invoke\.yaml: lab\.mirror must be addresses"):
        mirrors.parse_named(text)


def test_keys_are_the_configured_ones(tmp_path: Path) -> None:
    keys = tmp_path / "keys.gpg"
    mirrors.configure("", str(keys))
    try:
        with pytest.raises(
            InfrastructureError, match=r"keys\.gpg: Debian's keys are missing - name them in lab"
        ):
            mirrors.keyring()
        keys.touch()
        assert mirrors.keyring() == keys
    finally:
        mirrors.configure("", "")


@pytest.mark.parametrize("suite", ["bookworm", "bookworm-updates", "bookworm-security", "bookworm/updates"])
def test_the_release_of_a_suite(suite: str) -> None:
    assert mirrors.base(suite) == "bookworm"
