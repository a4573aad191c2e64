# SPDX-License-Identifier: GPL-2.0-only
"""What a run was asked for: the checkout, the defaults of ``invoke.yaml`` and the flags over them."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab.errors import UserError
from ccslab.store import Store

ALL = "all"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """The choices every stage needs."""

    arch: str = "x86_64"
    kernel: str = "6.12"
    """A name of the catalogue; "" for whatever version the user's tree is."""
    tree: str = ""
    """A kernel's source of the user's, a folder or an archive, instead of the catalogue's."""
    sha256: str = ""
    """What the archive's hash must be."""
    patchset: str = ""
    """``none``, ``ccs`` or a path; "" for what the kernel's name says."""
    fragment: tuple[str, ...] = ()
    """Further kconfig fragments, files of the user's."""
    debug: bool = False
    accel: str = "auto"
    jobs: int = 0
    cache: str = ""
    mirror: str = ""
    """Debian mirrors instead of those of the host's apt."""
    keyring: str = ""
    """The file with Debian's keys; "" for where Debian's package has it."""
    root: Path = ROOT

    @property
    def store(self) -> Store:
        """The artifacts' store."""
        if self.cache:
            return Store(path_of(self.cache, "cache").absolute())
        try:
            return Store()
        except RuntimeError as error:  # "~nobody/..."
            raise UserError(
                "names the home of no user",
                where="CCSLAB_CACHE or XDG_CACHE_HOME",
                mend="name a folder from /",
            ) from error

    def flags(self) -> list[str]:
        """The flags of a task that give these settings, for another process of the harness."""
        words = []
        for name in ("arch", "kernel", "tree", "sha256", "patchset", "accel"):
            if value := getattr(self, name):
                words += [f"--{name}", value]
        words += [word for one in self.fragment for word in ("--fragment", one)]
        return [*words, "--jobs", str(self.jobs), *(["--debug"] if self.debug else [])]

    @property
    def runs(self) -> Path:
        """Where runs leave their evidence."""
        return self.root / "runs"


def read(config: Mapping[str, Any], **flags: object) -> Settings:
    """Settings from invoke's configuration, with the flags that were given over it.

    :raises UserError: a key nobody reads, or a number that is none.
    """
    if not isinstance(config, Mapping):
        raise UserError("lab must be a table of settings", where="invoke.yaml")
    for name in config:
        if name not in Settings.__dataclass_fields__ or name == "root":
            raise UserError(
                f"unknown setting lab.{name}", where="invoke.yaml", mend="see invoke.yaml in the checkout"
            )
    chosen = {
        name: value
        for given in (config, flags)
        for name, value in given.items()
        if value is not None and value not in ("", [], ())
    }
    if chosen.get("tree") and not flags.get("kernel"):
        chosen["kernel"] = ""  # the default is no wish, and the tree says its version
    jobs = int(NUMBERS["jobs"].read("jobs", chosen.pop("jobs", 0)))
    debug = _truth("debug", chosen.pop("debug", False))
    fragment = chosen.pop("fragment", ())
    fragments = (fragment,) if isinstance(fragment, str) else fragment
    if not isinstance(fragments, list | tuple) or not all(isinstance(one, str) for one in fragments):
        raise UserError(f"fragment must be a file name or a list of them, not {fragment!r}")
    text = {name: _word(name, value) for name, value in chosen.items()}
    return Settings(jobs=jobs, debug=debug, fragment=tuple(fragments), **text)  # type: ignore[arg-type]


def _truth(name: str, given: object) -> bool:
    if given in (True, False):
        return bool(given)
    raise UserError(f"{name} must be true or false, not {given!r}")


def _word(name: str, given: object) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise UserError(f"{name} must be a text, not {given!r}")
    if "\0" in str(given):
        raise UserError(f"{name} holds a NUL character: {given!r}")
    return str(given)


@dataclass(frozen=True)
class Number:
    """What a number may be that a user gives."""

    least: float
    most: float
    whole: bool = True

    def read(self, name: str, given: object) -> float:
        """The number that was given as ``name``.

        :raises UserError: it is none, or out of range.
        """
        kind = "a whole number" if self.whole else "a number"
        wanted = f"{name} must be {kind} from {self.least:g} to {self.most:.15g}, not {given!r}"
        if not re.fullmatch(r"[0-9]{1,15}" if self.whole else r"[0-9]{1,15}(\.[0-9]{1,15})?", str(given)):
            raise UserError(wanted)
        number = int(str(given)) if self.whole else float(str(given))
        if not self.least <= number <= self.most:
            raise UserError(wanted)
        return number


NUMBERS = {
    "jobs": Number(0, 4096),
    "keep": Number(0, 1_000_000),
    "cycles": Number(1, 10_000_000),
    "minutes": Number(0.01, 7 * 24 * 60, whole=False),
    "seed": Number(1, 2**32 - 1),
    "policies": Number(1, 20_000),
    "most": Number(0, 1_000_000),
    "command-timeout": Number(0, 10**9),
    "list-depth": Number(1, 100),
}
"""The flags of every task (and invoke's own) that take a number."""


def path_of(given: str, name: str = "") -> Path:
    """The path that a user gave, ``~`` followed.

    :param name: what it was given as, for the error.
    :raises UserError: there is no such user, or no file can have that name.
    """
    where = f"--{name}" if name else ""
    if "\0" in given:
        raise UserError(f"{given!r} holds a NUL character, which no path can", where=where, mend="correct it")
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        user = given.partition("/")[0]
        raise UserError(f"there is no user of {user!r}", where=where, mend="write the whole path") from error


def resolved(path: Path) -> Path:
    """The path with its links followed.

    :raises UserError: its links lead in a circle, or no file can have that name.
    """
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.stat()  # Python 3.13's resolve() says nothing of a circle
        return path.resolve()
    except (OSError, ValueError) as error:
        circle = getattr(error, "errno", None) == errno.ELOOP
        what = "is a link that leads in a circle" if circle else str(error)
        raise UserError(what, where=path, mend="give another path") from error
