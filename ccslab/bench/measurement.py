# SPDX-License-Identifier: GPL-2.0-only
"""What was measured, and of what; kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from ccslab.bench.plan import Configuration
from ccslab.datafile import Count, Loose, Number, Record, Text, TextOrNothing, convert, read_json
from ccslab.errors import UserError

SCHEMA = 1
FILE = "bench.json"
AGAIN = "measure again"


class Figure(Record, frozen=True):
    """What one operation costs in one configuration, in guest instructions a call."""

    minimum: Count
    median: Count
    """The figure: what a call costs that no timer interrupted."""
    mean: Number
    calls: Count


@dataclass(frozen=True)
class Measured:
    """One configuration's figures, by the operation's name."""

    configuration: Configuration
    figures: Mapping[str, Figure]

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        figures = {name: structs.asdict(figure) for name, figure in self.figures.items()}
        return {**asdict(self.configuration), "figures": figures}


class Subject(Record, frozen=True):
    """What was measured; figures of two may be compared if they differ in what is under comparison only."""

    kernel: TextOrNothing
    """As the user calls it."""
    release: TextOrNothing
    arch: TextOrNothing
    compiler: TextOrNothing
    """That made kernel and benchmark."""
    program: TextOrNothing
    """The benchmark's hash."""
    qemu: TextOrNothing


class _Versioned(Loose, frozen=True):
    schema: Count


class _Entry(Record, frozen=True):
    mode: Text
    kind: TextOrNothing
    count: Count
    figures: dict[Text, Figure]

    def measured(self) -> Measured:
        return Measured(Configuration(self.mode, self.kind, self.count), self.figures)


class _File(Record, frozen=True):
    """A measurement's file."""

    schema: Count
    subject: Subject
    plan: Text
    unit: TextOrNothing
    measured: tuple[_Entry, ...]


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
            "subject": structs.asdict(self.subject),
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
    document = read_json(file, mend=AGAIN)
    schema = convert(document, _Versioned, file, AGAIN).schema
    if schema != SCHEMA:
        raise UserError(f"is of schema {schema}, not {SCHEMA}", where=file, mend=AGAIN)
    found = convert(document, _File, file, AGAIN)
    return Measurement(found.subject, found.plan, tuple(entry.measured() for entry in found.measured))


def recalled(document: Mapping[str, Any]) -> Measured:
    """What ``Measured.document`` told."""
    return convert(document, _Entry, FILE, AGAIN).measured()
