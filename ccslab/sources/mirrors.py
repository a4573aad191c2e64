# SPDX-License-Identifier: GPL-2.0-only
"""Where Debian's archives are, as the host's own apt says at run time; no mirror is named in this tree.

Two archives matter: the one that has releases and their ``-updates``, and the one that has ``-security``.
A host that knows one release of an archive knows them all: the suites of an archive share its URL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from ccslab import process
from ccslab.errors import InfrastructureError, LabError

TARGETS = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)|$(RELEASE)", "Created-By: Packages"]
PRINTED = ["apt-get", "update", "--print-uris"]
PRINTED_LINE = re.compile(r"^'(?P<uri>\S+/)dists/(?P<suite>\S+)/(?:In)?Release'")
# Releases by name: without downloaded indices apt does not tell an archive's origin.
RELEASES = re.compile(
    r"^(buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)$"
)
USABLE = ("http:", "https:", "file:", "copy:")

Runner = Callable[[list[str]], str]


@dataclass(frozen=True)
class Mirrors:
    """The URL of each suite the host's apt knows."""

    suites: Mapping[str, str]

    def url(self, suite: str) -> str:
        """The archive URL for a suite (``trixie``, ``bookworm-security``), no end slash.

        :raises InfrastructureError: the host's apt has no source of that archive.
        """
        if suite in self.suites:
            return self.suites[suite]
        security = is_security(suite)
        for name in sorted(self.suites):
            if is_security(name) == security:
                return self.suites[name]
        kind = "Debian's security archive" if security else "Debian's archive"
        raise InfrastructureError(
            f"the host's apt has no source of {kind} (wanted for {suite})",
            where="/etc/apt/sources.list.d",
            mend="add a deb line for it, run apt-get update, and try again",
        )


def is_security(suite: str) -> bool:
    """Whether a suite is in the security archive."""
    return suite.endswith(("-security", "/updates"))


def base(suite: str) -> str:
    """The release a suite belongs to: ``bookworm`` of ``bookworm-security``."""
    return re.sub(r"(-(security|updates|proposed-updates|backports|backports-sloppy)|/updates)$", "", suite)


def parse_targets(text: str) -> dict[str, str]:
    """Suites and URLs from ``ORIGIN|URL|SUITE`` lines; only Debian's own origin counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        origin, _, rest = line.partition("|")
        uri, _, suite = rest.partition("|")
        if origin == "Debian" and suite and uri.startswith(USABLE):
            found.setdefault(suite, uri.rstrip("/"))
    return found


def parse_printed(text: str) -> dict[str, str]:
    """Suites and URLs from what ``apt-get update --print-uris`` prints, its word before a first update."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = PRINTED_LINE.match(line)
        if match and RELEASES.match(base(match["suite"])) and match["uri"].startswith(USABLE):
            found.setdefault(match["suite"], match["uri"].rstrip("/"))
    return found


def read(runner: Runner | None = None) -> Mirrors:
    """Ask the host's apt for its Debian mirrors.

    :param runner: runs an argument list and returns what it printed; for tests.
    :raises InfrastructureError: apt is missing or fails, or names no Debian archive.
    """
    ask = runner or _ask
    suites = parse_targets(ask(TARGETS)) or parse_printed(ask(PRINTED))
    if not suites:
        raise InfrastructureError(
            "the host's apt names no Debian archive",
            where="apt-get indextargets",
            mend="add a Debian source to /etc/apt/sources.list.d and run apt-get update",
        )
    return Mirrors(suites)


@cache
def host() -> Mirrors:
    """The host's mirrors, asked once a process."""
    return read()


def url(suite: str) -> str:
    """The URL of the archive that has this suite, by the host's apt; see :meth:`Mirrors.url`."""
    return host().url(suite)


def _ask(argv: list[str]) -> str:
    process.need(argv[0], "apt")
    try:
        return process.run(argv, timeout_s=60)[1]
    except LabError as error:
        raise InfrastructureError(
            f"cannot read the host's mirrors: {error.what}", mend="mend the host's apt sources"
        ) from error
