# SPDX-License-Identifier: GPL-2.0-only
"""What a run was asked for: the checkout, the defaults of ``invoke.yaml`` and the flags over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab.errors import UserError
from ccslab.store import Store

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """The choices every stage needs."""

    arch: str = "x86_64"
    kernel: str = "6.12"
    accel: str = "auto"
    jobs: int = 0
    cache: str = ""
    root: Path = ROOT

    @property
    def store(self) -> Store:
        """The artifacts' store."""
        return Store(Path(self.cache).expanduser().absolute() if self.cache else None)

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
        if value is not None and value != ""
    }
    jobs = whole_number("jobs", chosen.get("jobs", 0))
    text = {name: str(value) for name, value in chosen.items() if name != "jobs"}
    return Settings(jobs=jobs, **text)  # type: ignore[arg-type]


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
