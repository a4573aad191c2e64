# SPDX-License-Identifier: GPL-2.0-only
"""Managers: the programs and domains that may change policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ccslab.policy import pathname
from ccslab.policy.source import Statement, lines, read, refuse

NON_ROOT = "manage_by_non_root"


@dataclass
class Managers:
    """Pathnames of programs and names of domains; root only, unless ``by_non_root``."""

    names: list[str] = field(default_factory=list)
    by_non_root: bool = False

    def format(self) -> str:
        """The text for ``manager``."""
        return "".join(f"{line}\n" for line in ([NON_ROOT] if self.by_non_root else []) + self.names)


def parse_manager_line(line: str) -> str:
    """Read one normalised line; ValueError with the reason if the kernel would drop it."""
    if not pathname.is_domain(line) and not pathname.is_word(line):
        raise ValueError(f"neither the pathname of a program nor a domain nor {NON_ROOT}")
    return line


def scan_manager(text: str) -> Iterator[Statement[str]]:
    """Every line with its meaning or fault; never raises."""
    for number, line in lines(text):
        item, fault = read(parse_manager_line, line)
        yield Statement(number, line, "", item, fault)


def parse_manager(text: str, source: str = "") -> Managers:
    """Read the managers; UserError for the first malformed line."""
    names = list(dict.fromkeys(s.text for s in refuse(scan_manager(text), source)))
    return Managers([name for name in names if name != NON_ROOT], NON_ROOT in names)
