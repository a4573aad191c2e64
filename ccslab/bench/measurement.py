# SPDX-License-Identifier: GPL-2.0-only
"""What was measured, and of what; kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ccslab.bench.plan import Configuration
from ccslab.datafile import ANY, NUMBER, check, read_json
from ccslab.errors import UserError

SCHEMA = 1
FILE = "bench.json"
_MAYBE = (str, frozenset({""}))
SHAPE = {
    "schema": int,
    "subject": dict.fromkeys(("kernel", "release", "arch", "compiler", "program", "qemu"), _MAYBE),
    "plan": str,
    "unit": _MAYBE,
    "measured": [
        {
            "mode": str,
            "kind": _MAYBE,
            "count": int,
            "figures": {ANY: dict.fromkeys(("minimum", "median", "mean", "calls"), NUMBER)},
        }
    ],
}
"""Of a measurement's file."""


class Figure(NamedTuple):
    """What one operation costs in one configuration, in guest instructions a call."""

    minimum: int
    median: int
    """The figure: what a call costs that no timer interrupted."""
    mean: float
    calls: int


@dataclass(frozen=True)
class Measured:
    """One configuration's figures, by the operation's name."""

    configuration: Configuration
    figures: Mapping[str, Figure]

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        figures = {name: figure._asdict() for name, figure in self.figures.items()}
        return {**asdict(self.configuration), "figures": figures}


@dataclass(frozen=True)
class Subject:
    """What was measured; figures of two may be compared if they differ in what is under comparison only."""

    kernel: str
    """As the user calls it."""
    release: str
    arch: str
    compiler: str
    """That made kernel and benchmark."""
    program: str
    """The benchmark's hash."""
    qemu: str


@dataclass(frozen=True)
class Measurement:
    """A run of bench.run."""

    subject: Subject
    plan: str
    measured: tuple[Measured, ...]

    def write(self, path: Path) -> Path:
        """The file of it."""
        document = {
            "schema": SCHEMA,
            "subject": asdict(self.subject),
            "plan": self.plan,
            "unit": "guest instructions a call",
            "measured": [one.document() for one in self.measured],
        }
        path.write_text(json.dumps(document, indent=1) + "\n")
        return path


def read(path: Path) -> Measurement:
    """A measurement from its file, or from the folder of a run.

    :raises UserError: there is none, or the file is something else.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            "there is no measurement", where=file, mend="./inv bench.run makes one, bench.update a baseline"
        )
    told = read_json(file, {ANY: object, "schema": int}, "measure again")
    if told["schema"] != SCHEMA:
        raise UserError(f"is of schema {told['schema']}, not {SCHEMA}", where=file, mend="measure again")
    check(told, SHAPE, file, "measure again")
    return Measurement(Subject(**told["subject"]), told["plan"], tuple(map(recalled, told["measured"])))


def recalled(told: Mapping[str, Any]) -> Measured:
    """What ``Measured.document`` told."""
    figures = {name: Figure(**figure) for name, figure in told["figures"].items()}
    return Measured(Configuration(told["mode"], told["kind"], told["count"]), figures)
