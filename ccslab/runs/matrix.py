# SPDX-License-Identifier: GPL-2.0-only
"""``lab.scenario`` on several kernels and architectures: each cell a process, one table at the end.

``runs/matrix/<lab>-<time>/matrix.json`` is written as a cell changes. A matrix that was killed goes on when
the same is asked for again: cells with a verdict are taken over if all their inputs are what they were.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ccslab.errors import LabError
from ccslab.evidence import RESULTS
from ccslab.evidence.text import write_json
from ccslab.runs import folder as runs
from ccslab.runs.cell import VERDICTS, Cell, State, from_document
from ccslab.runs.children import Child, Children, Ending
from ccslab.runs.watching import Watcher, note

MATRIX = "matrix.json"
SCHEMA = 1
FOLDER = "matrix"
BUILD_TIMEOUT_S = 3 * 3600.0
RUN_TIMEOUT_S = 2 * 3600.0  # a debug kernel's run takes several times an ordinary one's
TICK_S = 1.0


class Matrix:
    """The cells of one matrix and the folder they are kept in."""

    def __init__(self, living: runs.LivingRun, lab: str, cells: list[Cell]) -> None:
        self.living = living
        self.folder = living.folder
        self.lab = lab
        self.cells = cells
        self.ended: datetime | None = None
        self.parity: list[dict[str, Any]] = []
        """Its kernels' policies on two architectures (``parity.Pair.document``)."""

    @property
    def code(self) -> int:
        """0 all passed, 1 a verdict failed, 2 or 3 if a cell came to none: the gravest counts."""
        return max(cell.code for cell in self.cells)

    def save(self) -> Path:
        """Write ``matrix.json``.

        :raises InfrastructureError: the disk is full or the folder cannot be written.
        """
        return write_json(
            self.folder / MATRIX,
            {
                "schema": SCHEMA,
                "lab": self.lab,
                "started": self.living.run.started.isoformat(timespec="seconds"),
                "ended": self.ended.isoformat(timespec="seconds") if self.ended else None,
                "cells": [cell.document() for cell in self.cells],
                "parity": self.parity,
            },
        )


def open_matrix(folder: Path, lab: str, cells: list[Cell]) -> tuple[Matrix, dict[str, Cell]]:
    """A matrix to run, and the cells with a verdict that the same matrix left when it was killed, by name.

    :param folder: where matrices are, ``runs/matrix``.
    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    asked = [(cell.name, cell.flags) for cell in cells]
    for run in reversed(runs.listed(folder, lab)):
        former = _read(run.folder / MATRIX)
        if former is None or [(cell.name, cell.flags) for cell in former[0]] != asked:
            continue
        if former[1] or (living := runs.reopen(run)) is None:
            break  # the newest like this one came to its end, or is running this very moment
        done = {cell.name: cell for cell in former[0] if cell.state in VERDICTS}
        return Matrix(living, lab, cells), done
    return Matrix(runs.create(folder, lab=lab), lab, cells), {}


def _read(path: Path) -> tuple[list[Cell], bool] | None:
    """The cells of a ``matrix.json`` and whether it came to its end; None if there is none."""
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA:
            return None
        return [from_document(one) for one in document["cells"]], document["ended"] is not None
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Drive:
    """Brings every cell of a matrix to its end.

    :param folder: the folder of all runs.
    :param command: what builds and what runs a cell: (stage, cell) -> the program's arguments.
    :param current: what a cell is made of now that it is built, in one word.
    :param slots: how many cells are worked on at once; one of them at most is built.
    """

    def __init__(
        self,
        matrix: Matrix,
        former: dict[str, Cell],
        *,
        folder: Path,
        command: Callable[[State, Cell], Sequence[str]],
        current: Callable[[Cell], str],
        slots: int,
        watcher: Watcher,
        env: Mapping[str, str] | None = None,
        build_timeout_s: float = BUILD_TIMEOUT_S,
        run_timeout_s: float = RUN_TIMEOUT_S,
    ) -> None:
        self.matrix = matrix
        self.former = former
        self.folder = folder
        self.command = command
        self.current = current
        self.slots = slots
        self.watcher = watcher
        self.env = env
        self.timeouts = {State.BUILDING: build_timeout_s, State.RUNNING: run_timeout_s}
        self.working: dict[str, Cell] = {}
        """By the name of the child that works on it."""

    def run(self) -> None:
        """Until every cell is over.

        :raises InfrastructureError: the matrix' own folder cannot be written.
        """
        self.matrix.save()
        with Children() as children:
            while not all(cell.over for cell in self.matrix.cells):
                while cell := self.next():
                    self._start(children, cell)
                    self.matrix.save()
                self.watcher.show()
                for child, ending in children.wait(TICK_S):
                    self._take(child, ending)
                    self.matrix.save()

    def next(self) -> Cell | None:
        """The cell to be started now, if one may be."""
        busy = [cell.state for cell in self.working.values()]
        if len(busy) >= self.slots:
            return None
        ready = {State.BUILT: True, State.WAITING: State.BUILDING not in busy}
        # The builds are what takes longest and goes one at a time: none waits for a run.
        for state in (State.WAITING, State.BUILT):
            for cell in self.matrix.cells:
                if cell.state is state and ready[state]:
                    return cell
        return None

    def _start(self, children: Children, cell: Cell) -> None:
        stage = State.BUILDING if cell.state is State.WAITING else State.RUNNING
        log = self.matrix.folder / cell.log

        try:
            child = children.start(
                cell.name,
                self.command(stage, cell),
                log=log,
                timeout_s=self.timeouts[stage],
                env=self.env,
                on_line=functools.partial(note, cell),
            )
        except LabError as error:
            cell.conclude(None, error.exit_code, str(error))
            self._over(cell)
            return
        cell.state = stage
        self.working[child.name] = cell
        self.watcher.began(cell)

    def _take(self, child: Child, ending: Ending) -> None:
        """What came of a cell's stage."""
        cell = self.working.pop(child.name)
        cell.note = ""
        if cell.state is State.BUILDING:
            cell.build_s = round(ending.seconds, 1)
            if ending.code:
                cell.conclude(None, ending.code or 3, ending.why)
                self._over(cell)
            else:
                cell.state = State.BUILT
                self._take_over(cell)
            return
        cell.run_s = round(ending.seconds, 1)
        cell.conclude(self._run_of(child), ending.code, ending.why)
        self._over(cell)

    def _take_over(self, cell: Cell) -> None:
        """Take a cell's verdict from before, if its run is there and nothing it was made of has changed."""
        former = self.former.get(cell.name)
        if former is None or not (self.folder / former.run / RESULTS).is_file():
            return
        try:
            if self.current(cell) != former.inputs:
                self.watcher.say(f"{cell.name}: its inputs have changed, it is run again")
                return
        except LabError as error:
            cell.conclude(None, error.exit_code, str(error))
            self._over(cell)
            return
        vars(cell).update({**vars(former), "taken_over": True})
        self.watcher.ended(cell)

    def _over(self, cell: Cell) -> None:
        cell.ended = datetime.now(UTC).isoformat(timespec="seconds")
        self.watcher.ended(cell)

    def _run_of(self, child: Child) -> Path | None:
        """The folder of the run that a child made: its mark names the process, and it is not older."""
        begun = time.time() - (time.monotonic() - child.started) - 1
        found = [run for run in runs.listed(self.folder) if run.pid == child.pid]
        return next((run.folder for run in found if run.started.timestamp() >= begun), None)
