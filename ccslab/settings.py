# SPDX-License-Identifier: GPL-2.0-only
"""What a run was asked for: the checkout, the defaults of ``invoke.yaml`` and the flags over them."""

from __future__ import annotations

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
        return Store(Path(self.cache).expanduser().absolute() if self.cache else None)

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
    jobs = whole_number("jobs", chosen.pop("jobs", 0))
    debug = _truth("debug", chosen.pop("debug", False))
    fragment = chosen.pop("fragment", ())
    fragments = (fragment,) if isinstance(fragment, str) else fragment
    if not isinstance(fragments, list | tuple) or not all(isinstance(one, str) for one in fragments):
        raise UserError(f"fragment must be a file name or a list of them, not {fragment!r}")
    text = {name: str(value) for name, value in chosen.items()}
    return Settings(jobs=jobs, debug=debug, fragment=tuple(fragments), **text)  # type: ignore[arg-type]


def _truth(name: str, given: object) -> bool:
    if given in (True, False):
        return bool(given)
    raise UserError(f"{name} must be true or false, not {given!r}")


def whole_number(name: str, given: object) -> int:
    """The number that was given as ``name``.

    :raises UserError: it is none, or below 0.
    """
    try:
        number = int(str(given))
    except ValueError as error:
        raise UserError(f"{name} must be a whole number, not {given!r}") from error
    if number < 0:
        raise UserError(f"{name} must be 0 or more, not {number}")
    return number
