# SPDX-License-Identifier: GPL-2.0-only
"""What a run of a lab found out: plain data, filled phase by phase, readable while the run is not over.

No lab's own words are here. What is tried is a cell of a grid: attacks by modes, system calls by modes, boots
by kernel parameters.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


class What(enum.StrEnum):
    """What a run waits for."""

    HTTP = "http"
    """The server's answers."""
    SSH = "ssh"
    """Commands of the harness over SSH."""
    CONSOLE = "tty"
    """What is typed on the console."""
    AUDIT = "audit"
    """The auditor, until a record is in the log, and its reading."""
    RESTORE = "load"
    """Going back to a checkpoint."""
    SAVE = "save"
    """Making one."""
    TESTS = "tests"
    """The lab's assertions."""
    REST = "rest"
    """The harness itself."""


@dataclass
class Spent:
    """Wall seconds, and in how many parts."""

    seconds: float = 0.0
    times: int = 0


SURVIVES = "the guest's kernel survives"
"""The check that fails when it dies, which ends a run before its last phase."""


@dataclass
class Check:
    """One thing the run asserts, and whether it held."""

    phase: str
    name: str
    passed: bool
    detail: str = ""
    seconds: float = 0.0
    evidence: str = ""
    """The file of the run's folder that shows the whole of it, if one does."""


@dataclass
class Phase:
    """One phase as it went."""

    name: str
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    """What it did: ``{"request": 20, "violation": 3}``."""
    spent: dict[What, Spent] = field(default_factory=dict)
    """Where its time went."""
    began: float = 0.0
    """Seconds after the first of the run."""
    beside: bool = False
    """Whether it went on beside the others."""

    def count(self, what: str, number: int) -> None:
        """Add to one of its counts."""
        self.counts[what] = self.counts.get(what, 0) + number

    def add(self, spent: Mapping[What, Spent], seconds: float) -> None:
        """A further part of the phase."""
        self.seconds = round(self.seconds + seconds, 1)
        for what, part in spent.items():
            total = self.spent.setdefault(what, Spent())
            total.seconds += part.seconds
            total.times += part.times


@dataclass
class Cell:
    """What came of one thing that was tried."""

    got: str
    """In a word or two: ``denied``."""
    wanted: str
    right: bool
    why: str = ""
    """What ``got`` means, if a reader may wonder."""
    note: str = ""
    """What was seen beside it: ``HTTP 403``."""
    records: list[str] = field(default_factory=list)
    """The audit records it left."""


@dataclass
class Row:
    """One thing that is tried in several ways."""

    name: str
    title: str
    cells: dict[str, Cell] = field(default_factory=dict)
    """By column; one that is not there was not tried."""
    group: str = ""
    """Under which heading it stands, in a grid of many rows."""
    columns: list[str] = field(default_factory=list)
    """Where it is to be tried, if not in every column."""


@dataclass
class Grid:
    """All that a phase tried, row by column."""

    name: str
    """What its rows are: ``attacks``."""
    phase: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)
    judged: bool = True
    """Whether a wrong cell fails the run; a kernel without a patchset is shown, not judged."""
    note: str = ""
    """What a reader has to know to read it."""

    def row(self, name: str) -> Row:
        """The row of that name.

        :raises KeyError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def right(self, row: Row) -> bool:
        """Whether a row was tried in each column, and each cell is right."""
        return all(column in row.cells and row.cells[column].right for column in row.columns or self.columns)

    @property
    def wrong(self) -> list[Row]:
        """Rows that were tried, and went wrong or are not complete."""
        return [row for row in self.rows if not self.right(row)]

    @property
    def passed(self) -> bool:
        """Whether all is right that is judged."""
        return not self.judged or not self.wrong


@dataclass
class Measure:
    """One figure."""

    name: str
    """``policy memory``."""
    of: str
    """What has it: ``enforcing``."""
    value: float
    unit: str


@dataclass
class Results:
    """All that one run of one lab found out."""

    lab: str
    arch: str
    kernel: str
    release: str = ""
    accel: str = ""
    phases: list[Phase] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    drift: list[str] | None = None
    """Learned and generalised policy against the golden one, a line each; None: not compared."""
    drift_since: dict[str, str] = field(default_factory=dict)
    """Line that came (``scope: line``) -> the step of the workload that asks for it."""
    finished: bool = False
    error: str = ""
    """Why the run did not come to its end, the one line a person was told."""

    @property
    def passed(self) -> bool:
        """Whether the run came to its end, every check held, and every cell that is judged is right."""
        return (
            self.finished
            and all(check.passed for check in self.checks)
            and all(grid.passed for grid in self.grids)
        )

    @property
    def verdict(self) -> str:
        """``passed``, ``failed``, or ``error`` for a run that did not come to its end."""
        if not self.finished:
            return "error"
        return "passed" if self.passed else "failed"

    @property
    def died(self) -> bool:
        """Whether the guest's kernel did."""
        return any(check.name == SURVIVES and not check.passed for check in self.checks)

    def grid(self, name: str) -> Grid | None:
        """The grid of that name, if the run has one."""
        return next((grid for grid in self.grids if grid.name == name), None)

    def measured(self, name: str) -> dict[str, float]:
        """Of a measure each figure, by what has it."""
        return {measure.of: measure.value for measure in self.measures if measure.name == name}

    def failures(self) -> Iterator[tuple[str, str, str]]:
        """Phase, name and detail of each check that failed and each row that went wrong."""
        for check in self.checks:
            if not check.passed:
                yield check.phase, check.name, check.detail
        for grid in self.grids:
            if grid.judged:
                for row in grid.wrong:
                    if row.cells or not self.error:  # of a run that broke off, its error is the reason
                        yield grid.phase, row.title, reason(grid, row)


def reason(grid: Grid, row: Row) -> str:
    """Why a row is not right, as a person is told it; "" if it is."""
    parts = []
    for column in row.columns or grid.columns:
        cell = row.cells.get(column)
        if cell is None:
            parts.append(f"{column}: it was not tried")
        elif not cell.right:
            note = f", {cell.note}" if cell.note else ""
            parts.append(f"{column}: {cell.why or f'it was {cell.got}'}{note} (wanted: {cell.wanted})")
    return "; ".join(parts)
