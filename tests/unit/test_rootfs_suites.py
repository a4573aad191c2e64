# SPDX-License-Identifier: GPL-2.0-only
"""Bad weather at the mirror: what is retried, what is left out, and what is said when nothing helps.

The texts are what apt 2.6 and mmdebstrap 1.3.5 printed when a mirror was broken on purpose.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.rootfs import suites

URLS = {
    "bookworm": "http://m.invalid/debian",
    "bookworm-updates": "http://m.invalid/debian",
    "bookworm-security": "http://m.invalid/debian-security",
}
INDEX = "http://m.invalid/debian-security/dists/bookworm-security/main/binary-amd64/by-hash/SHA256/d3a458"
UNEXPECTED_SIZE = f"""\
I: running apt-get update...
Get:1 http://m.invalid/debian-security bookworm-security InRelease [34.8 kB]
Err:3 http://m.invalid/debian-security bookworm-security/main amd64 Packages
  File has unexpected size (5000 != 376904). Mirror sync in progress? [IP: ::1]
  Hashes of expected file:
   - Filesize:376904 [weak]
E: Failed to fetch {INDEX}  File has unexpected size (5000 != 376904). Mirror sync in progress? [IP: ::1]
   Hashes of expected file:
    - Filesize:376904 [weak]
E: Some index files failed to download. They have been ignored, or old ones used instead.
E: apt-get update --error-on=any -oAPT::Status-Fd=<$fd> -oDpkg::Use-Pty=false failed
I: main() received signal PIPE: waiting for setup...
E: mmdebstrap failed to run
"""
NO_NETWORK = """\
Err:1 http://m.invalid/debian bookworm InRelease
  Could not resolve 'm.invalid'
E: Failed to fetch http://m.invalid/debian/dists/bookworm/InRelease  Could not resolve 'm.invalid'
E: Failed to fetch http://m.invalid/debian/dists/bookworm-updates/InRelease  Could not resolve 'm.invalid'
E: Some index files failed to download. They have been ignored, or old ones used instead.
"""
NO_PACKAGE = """\
E: Unable to locate package nonesuch-pkg
E: setup failed: E: apt-get --yes install failed
"""
GONE_DEB = """\
E: Failed to fetch http://m.invalid/debian/pool/main/n/nkf/nkf_2.1.5_amd64.deb  404  Not Found [IP: ::1]
E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?
"""


class Archive:
    """An attempt that fails as long as ``fails`` says so; remembers what it was asked."""

    def __init__(self, fails: Callable[[int, tuple[str, ...]], str]) -> None:
        self.fails = fails
        self.asked: list[tuple[str, ...]] = []
        self.pauses: list[float] = []
        self.warnings: list[str] = []

    def __call__(self, names: tuple[str, ...]) -> tuple[int, str]:
        self.asked.append(names)
        said = self.fails(len(self.asked), names)
        return (1, said) if said else (0, "I: success in 59.0 seconds")

    def settle(self) -> suites.Settled:
        return suites.persist(
            ["bookworm"],
            ["bookworm-updates", "bookworm-security"],
            URLS,
            self,
            recipe="rootfs/recipes/webserver.toml",
            warn=self.warnings.append,
            pause=self.pauses.append,
        )


def test_a_good_mirror_is_asked_once() -> None:
    archive = Archive(lambda turn, names: "")
    assert archive.settle() == suites.Settled(tuple(URLS), {}, 1)
    assert archive.pauses == []


def test_a_passing_inconsistency_is_waited_out() -> None:
    archive = Archive(lambda turn, names: UNEXPECTED_SIZE if turn < 3 else "")
    settled = archive.settle()
    assert settled == suites.Settled(tuple(URLS), {}, 3)
    assert archive.pauses == list(suites.PAUSES_S)


def test_a_lasting_inconsistency_costs_only_the_suite_at_fault() -> None:
    archive = Archive(lambda turn, names: UNEXPECTED_SIZE if "bookworm-security" in names else "")
    settled = archive.settle()
    assert settled.suites == ("bookworm", "bookworm-updates")
    why = "bookworm-security: File has unexpected size (5000 != 376904). Mirror sync in progress?"
    assert settled.left_out == {"bookworm-security": why}
    assert any("left out after 3 tries" in warning for warning in archive.warnings)


def test_without_a_network_no_suite_is_left_out_and_the_error_says_what_was_tried() -> None:
    archive = Archive(lambda turn, names: NO_NETWORK)
    with pytest.raises(InfrastructureError, match=r"bookworm: Could not resolve .*asked 3 times.* - check"):
        archive.settle()
    assert archive.asked == [tuple(URLS)] * 3


def test_a_package_file_that_is_gone_is_laid_at_the_optional_suites_of_its_archive_first() -> None:
    archive = Archive(lambda turn, names: GONE_DEB)
    with pytest.raises(InfrastructureError, match=r"404  ?Not Found"):
        archive.settle()
    assert archive.asked[0] == tuple(URLS)
    assert archive.asked[-1] == ("bookworm",)


def test_an_unknown_package_is_the_recipes_fault_at_once() -> None:
    archive = Archive(lambda turn, names: NO_PACKAGE)
    with pytest.raises(UserError, match=r"webserver\.toml: no suite has nonesuch-pkg"):
        archive.settle()
    assert len(archive.asked) == 1


def test_any_other_failure_is_not_retried() -> None:
    archive = Archive(lambda turn, names: "E: Sub-process /usr/bin/dpkg returned an error code (1)")
    with pytest.raises(InfrastructureError, match="Sub-process"):
        archive.settle()
    assert len(archive.asked) == 1


@pytest.mark.parametrize(
    ("uri", "suite"),
    [
        (INDEX, "bookworm-security"),
        ("http://m.invalid/debian-security/pool/updates/main/p/php.deb", "bookworm-security"),
        ("http://m.invalid/debian/dists/bookworm/InRelease", "bookworm"),
        ("http://m.invalid/debian/dists/bookworm-updates/InRelease", "bookworm-updates"),
        ("http://m.invalid/debian/pool/main/n/nkf.deb", ""),
    ],
)
def test_whose_fault_a_missing_file_is(uri: str, suite: str) -> None:
    found = suites.faults(f"E: Failed to fetch {uri}  Hash Sum mismatch\n", URLS)
    assert [fault.suite for fault in found] == [suite]


@pytest.mark.parametrize(
    "said",
    [
        # apt 2.6 (gpgv), and apt 3.0 (sqv), asked with another release's keys.
        "W: GPG error: http://m.invalid/debian-security bookworm-security InRelease: The following signatures"
        " couldn't be verified because the public key is not available: NO_PUBKEY 54404762BBB6E853",
        "W: OpenPGP signature verification failed: http://m.invalid/debian-security bookworm-security"
        " InRelease: Sub-process /usr/bin/sqv returned an error code (1), error message is: Missing key 4CB5",
    ],
)
def test_a_wrong_signature_is_its_suites_fault_whichever_apt_says_so(said: str) -> None:
    unsigned = (
        "E: The repository 'http://m.invalid/debian-security bookworm-security InRelease' is not signed."
    )
    found = suites.faults(f"{said}\n{unsigned}\n", URLS)
    assert [fault.suite for fault in found] == ["bookworm-security"]
    assert found[0].why == said.partition("InRelease: ")[2]
