# SPDX-License-Identifier: GPL-2.0-only
"""Where Debian's archives are, as ``lab.mirror`` or the host's own apt says; no mirror is named in this tree.

Two archives matter: the one that has releases and their ``-updates``, and the one that has ``-security``.
A host that knows one release of an archive knows them all: the suites of an archive share its URL.  A host
that knows only the first finds the second beside it: mirrors have them as ``debian`` and ``debian-security``.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ccslab import process
from ccslab.errors import InfrastructureError, LabError, UserError

TARGETS = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)|$(RELEASE)", "Created-By: Packages"]
PRINTED = ["apt-get", "update", "--print-uris"]
PRINTED_LINE = re.compile(r"^'(?P<uri>\S+/)dists/(?P<suite>\S+)/(?:In)?Release'")
# Releases by name: without downloaded indices apt does not tell an archive's origin.
RELEASES = re.compile(
    r"^(buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)$"
)
USABLE = ("http:", "https:", "file:", "copy:")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MAIN, SECURITY = "*", "*-security"
SUITE = re.compile(r"[a-z][a-z0-9.-]*(/updates)?")

Runner = Callable[[list[str]], str]


@dataclass(frozen=True)
class Mirrors:
    """The URL of each suite the host's apt knows, and those the user named instead."""

    suites: Mapping[str, str]
    named: Mapping[str, str] = field(default_factory=dict)
    """By suite, or by archive: ``*`` and ``*-security``."""

    def __str__(self) -> str:
        known = [f"the host's apt: {', '.join(sorted(self.suites))}"] if self.suites else []
        return "; ".join([*(["lab.mirror: " + ", ".join(self.named.values())] if self.named else []), *known])

    def url(self, suite: str) -> str:
        """The archive URL for a suite (``trixie``, ``bookworm-security``), no end slash.

        :raises InfrastructureError: no source of that archive is known, nor can it be told from the other's.
        """
        security = is_security(suite)
        archive = SECURITY if security else MAIN
        for known in (self.named.get(suite), self.named.get(archive), self.suites.get(suite)):
            if known:
                return known
        for name in sorted(self.suites):
            if is_security(name) == security:
                return self.suites[name]
        if security and (beside := _beside(self.url(base(suite)))):
            return beside
        kind = "Debian's security archive" if security else "Debian's archive"
        raise InfrastructureError(
            f"the host's apt has no source of {kind} (wanted for {suite})",
            where="/etc/apt/sources.list.d",
            mend="name its address in lab.mirror (invoke.yaml), or add a deb line and run apt-get update",
        )


def _beside(main: str) -> str:
    """Where a mirror of Debian's archive has the security archive, "" if its path does not tell."""
    parent, _, last = main.rpartition("/")
    return f"{parent}/debian-security" if last == "debian" else ""


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


def parse_named(text: str) -> dict[str, str]:
    """What ``lab.mirror`` names: words ``URL`` (of either archive) and ``SUITE=URL``.

    :raises UserError: a word is neither.
    """
    found: dict[str, str] = {}
    for word in text.split():
        suite, equals, url = word.partition("=")
        if not equals or not SUITE.fullmatch(suite):
            suite, url = "", word
        url = url.rstrip("/")
        if not url.startswith(USABLE) or "://" not in url:
            raise UserError(
                f"lab.mirror must be addresses (URL, or SUITE=URL), not {word!r}",
                where="invoke.yaml",
                mend="name a mirror as apt would",
            )
        found[suite or (SECURITY if url.endswith("security") else MAIN)] = url
    return found


def read(runner: Runner | None = None, named: Mapping[str, str] | None = None) -> Mirrors:
    """Ask the host's apt for its Debian mirrors.

    :param runner: runs an argument list and returns what it printed; for tests.
    :param named: what the user named instead.
    :raises InfrastructureError: apt is missing or fails, or nobody names a Debian archive.
    """
    ask = runner or _ask
    named = named or {}
    suites = parse_targets(ask(TARGETS)) or parse_printed(ask(PRINTED))
    if not suites and not named:
        raise InfrastructureError(
            f"the apt of this host ({_host_name()}) names no Debian archive",
            where="apt-get indextargets",
            mend="name a mirror in lab.mirror (invoke.yaml), or add a Debian source and run apt-get update",
        )
    return Mirrors(suites, named)


def _host_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "of an unknown system"


@dataclass
class Configured:
    """What the user's configuration says of the archive, in this process."""

    named: Mapping[str, str] = field(default_factory=dict)
    keyring: Path | None = None


_configured = Configured()


def configure(mirror: str, keyring: str) -> None:
    """Take what ``lab.mirror`` and ``lab.keyring`` name over what the host has, in this process.

    :raises UserError: the first is no address.
    """
    _configured.named = parse_named(mirror)
    _configured.keyring = Path(keyring).expanduser().absolute() if keyring else None
    host.cache_clear()


def keyring() -> Path:
    """The file with the keys of Debian's archive.

    :raises InfrastructureError: it is not there.
    """
    path = _configured.keyring or KEYRING
    if not path.is_file():
        raise InfrastructureError(
            "Debian's keys are missing",
            where=path,
            mend="name them in lab.keyring (invoke.yaml), or apt-get install debian-archive-keyring",
        )
    return path


@cache
def host() -> Mirrors:
    """The host's mirrors, asked once a process."""
    return read(named=_configured.named)


def url(suite: str) -> str:
    """The URL of the archive that has this suite; see :meth:`Mirrors.url`."""
    return host().url(suite)


def _ask(argv: list[str]) -> str:
    process.need(argv[0], "apt")
    try:
        return process.run(argv, timeout_s=60)[1]
    except LabError as error:
        raise InfrastructureError(
            f"cannot read the host's mirrors: {error.what}", mend="mend the host's apt sources"
        ) from error
