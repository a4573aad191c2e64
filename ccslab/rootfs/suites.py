# SPDX-License-Identifier: GPL-2.0-only
"""Which suites a build can use: an inconsistent mirror is asked again, then optional suites are left out.

Mirrors are inconsistent for minutes (a push is running) or for hours (``File has unexpected size``, measured
on bookworm-security).  The first is waited out; a build that gives up on the second is a broken build.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ccslab.errors import InfrastructureError, UserError

TRIES = 3
PAUSES_S = (5.0, 20.0)  # before the second and the third try of the same suites

FETCH_FAILED = re.compile(r"^[EW]: Failed to fetch (?P<uri>\S+)\s+(?P<why>.*)$", re.MULTILINE)
NO_RELEASE = re.compile(
    r"^E: The repository '(?P<uri>\S+) (?P<suite>\S+) Release' (?P<why>.*)$", re.MULTILINE
)
# apt 2.6's words, and those of apt 3.
SIGNATURE = re.compile(
    r"^[EW]: (?:GPG error|OpenPGP signature verification failed):"
    r" (?P<uri>\S+) (?P<suite>\S+) \S+: (?P<why>.*)$",
    re.MULTILINE,
)
NO_PACKAGE = re.compile(
    r"^E: (?:Unable to locate package (?P<name>\S+)"
    r"|Version '(?P<version>\S+)' for '(?P<of>\S+)' was not found"
    r"|Package '(?P<virtual>\S+)' has no installation candidate)",
    re.MULTILINE,
)

Attempt = Callable[[tuple[str, ...]], tuple[int, str]]


@dataclass(frozen=True)
class Settled:
    """What a build used in the end."""

    suites: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    tries: int = 1


@dataclass(frozen=True)
class Fault:
    """One thing an archive did not deliver."""

    uri: str
    why: str
    suite: str  # the suite it belongs to, "" if that cannot be told


def faults(said: str, urls: Mapping[str, str]) -> list[Fault]:
    """The archive's faults in what apt said.

    :param urls: suite -> archive URL, to tell whose a package file is when it is not an index.
    """
    found: list[Fault] = []
    for match in FETCH_FAILED.finditer(said):
        found.append(Fault(match["uri"], match["why"].strip(), _suite_of(match["uri"], urls)))
    for pattern in (NO_RELEASE, SIGNATURE):
        for match in pattern.finditer(said):
            found.append(Fault(match["uri"], match["why"].strip(), match["suite"]))
    return found


def _suite_of(uri: str, urls: Mapping[str, str]) -> str:
    for suite, url in urls.items():
        if uri.startswith(f"{url}/dists/{suite}/"):
            return suite
    owners = [suite for suite, url in urls.items() if uri.startswith(f"{url}/")]
    return owners[0] if len(owners) == 1 else ""


def persist(
    required: Sequence[str],
    optional: Sequence[str],
    urls: Mapping[str, str],
    attempt: Attempt,
    *,
    recipe: str = "",
    warn: Callable[[str], None] = lambda text: None,
    pause: Callable[[float], None] = time.sleep,
) -> Settled:
    """Call ``attempt(suites)`` until it succeeds, with fewer suites when an archive stays unusable.

    :param attempt: builds with these suites; returns exit status and output.
    :param warn: is told, in a line, of every retry and every suite left out.
    :raises UserError: the recipe names a package that no suite has.
    :raises InfrastructureError: the build fails for another reason, or a required suite stays unusable.
    """
    suites = (*required, *optional)
    left_out: dict[str, str] = {}
    tries = 0
    while True:
        bad: list[Fault] = []
        for turn in range(TRIES):
            tries += 1
            status, said = attempt(suites)
            if status == 0:
                return Settled(suites, left_out, tries)
            bad = faults(said, {suite: urls[suite] for suite in suites})
            if not bad:
                raise _other(said, recipe, left_out)
            if turn + 1 < TRIES:
                warn(f"{_tell(bad)}: asking again in {PAUSES_S[turn]:.0f} s")
                pause(PAUSES_S[turn])
        drop = _to_drop(bad, [suite for suite in suites if suite in optional])
        needed = [fault for fault in bad if fault.suite in required]
        if needed or not drop:
            asked = f"asked {tries} times"
            without = f", without {', '.join(left_out)} too" if left_out else ""
            raise InfrastructureError(
                f"the archive does not deliver: {_tell(needed or bad)} ({asked}{without})",
                mend="check the network and the host's apt (apt-get update), or try again later",
            )
        for suite in drop:
            left_out[suite] = _tell([fault for fault in bad if fault.suite == suite] or bad)
            warn(f"{suite} is left out after {TRIES} tries: {left_out[suite]}")
        suites = tuple(suite for suite in suites if suite not in drop)


def _to_drop(bad: Sequence[Fault], optional: Sequence[str]) -> list[str]:
    """The optional suites at fault; the last one if a fault cannot be told to be anyone's."""
    named = [suite for suite in optional if any(fault.suite == suite for fault in bad)]
    return named or list(optional[-1:])


def _tell(bad: Sequence[Fault]) -> str:
    """The first fault in a few words: whose, what."""
    first = bad[0]
    why = re.sub(r"\s*\[IP: [^]]*\]", "", first.why)
    return f"{first.suite or first.uri}: {why}" + (f" (and {len(bad) - 1} more)" if len(bad) > 1 else "")


def _other(said: str, recipe: str, left_out: Mapping[str, str]) -> UserError | InfrastructureError:
    missing = [next(name for name in match if name) for match in NO_PACKAGE.findall(said)]
    if missing:
        without = f" (left out: {', '.join(left_out)})" if left_out else ""
        return UserError(
            f"no suite has {', '.join(sorted(set(missing)))}{without}",
            where=recipe,
            mend="correct packages.install",
        )
    lines = [line for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("E: ")] or lines
    return InfrastructureError(
        f"mmdebstrap failed: {telling[0] if telling else 'without a word'}",
        where=recipe,
        mend="the whole output is in the build log",
    )
