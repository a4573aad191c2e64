# SPDX-License-Identifier: GPL-2.0-only
"""What the terminal shows while a matrix runs: a table that changes, or a line as each cell does."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ccslab.evidence.table import STYLES, duration, plain_table
from ccslab.evidence.text import one_line
from ccslab.runs.cell import Cell, State

# A phase that has ended, as table.phase_line tells it.
_PHASE = re.compile(r"([a-z0-9_-]+) +[0-9.]+ s ")
NOTE_WIDTH = 34


class Watcher:
    """Tells whoever watches; a context, within which a terminal has the table.

    :param cells: the matrix' cells.
    :param expected_s: cell's name -> seconds its run took the last time.
    :param slots: how many cells are worked on at once.
    """

    def __init__(
        self, cells: Sequence[Cell], console: Console, *, expected_s: Mapping[str, float], slots: int
    ) -> None:
        self.cells = cells
        self.console = console
        self.expected_s = expected_s
        self.slots = slots
        self._since: dict[str, float] = {}
        self._live: Live | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[Self]:
        """Show the table while the block lasts, if there is a terminal."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(console=self.console, auto_refresh=False, transient=True) as self._live:
            yield self
        self._live = None

    def say(self, line: str) -> None:
        """One line that stays."""
        self.console.print(Text(f"  {line}"))

    def began(self, cell: Cell) -> None:
        """A cell's next stage has begun."""
        self._since[cell.name] = time.monotonic()
        if self._live is None:
            self.say(f"{cell.name}: {cell.state}")

    def ended(self, cell: Cell) -> None:
        """A cell is over."""
        if cell.taken_over:
            told = f"{cell.state} at {cell.ended[11:16]} UTC, taken over"
        else:
            told = f"{cell.state} after {duration(cell.build_s + cell.run_s)}"
        left = self.left_s()
        more = f"; about {duration(left)} left" if left and self._live is None else ""
        self.say(f"{cell.name}: {told}{more}")
        if cell.state is State.ERROR:
            self.say(f"  {cell.why}")
        self.show()

    def show(self) -> None:
        """Bring the table up to date."""
        if self._live:
            self._live.update(self.picture(), refresh=True)

    def picture(self) -> Group:
        """The cells as they are now, and how long is left."""
        table = plain_table()
        for name in ("kernel", "arch", "state"):
            table.add_column(name, no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("now", no_wrap=True, max_width=NOTE_WIDTH)
        for cell in self.cells:
            table.add_row(
                Text(cell.kernel),
                cell.arch,
                Text(cell.state, STYLES.get(cell.state, "")),
                self._time(cell),
                Text(cell.why if cell.over else cell.note, overflow="ellipsis"),
            )
        over = sum(cell.over for cell in self.cells)
        line = f"{over} of {len(self.cells)} done"
        if left := self.left_s():
            line += f", about {duration(left)} left"
        return Group(table, Text(line))

    def left_s(self) -> float:
        """Seconds until all runs are over, by how long they took the last time; 0.0 if that is not known."""
        open_cells = [cell for cell in self.cells if not cell.over]
        if any(cell.name not in self.expected_s for cell in open_cells):
            return 0.0
        lefts = [max(0.0, self.expected_s[cell.name] - self._spent(cell)) for cell in open_cells]
        # Never quicker than the longest of them.
        return max([sum(lefts) / self.slots, *lefts]) if lefts else 0.0

    def _spent(self, cell: Cell) -> float:
        return time.monotonic() - self._since[cell.name] if cell.state is State.RUNNING else 0.0

    def _time(self, cell: Cell) -> str:
        if cell.over:
            return duration(cell.build_s + cell.run_s)
        if cell.state in (State.BUILDING, State.RUNNING):
            return duration(time.monotonic() - self._since[cell.name])
        return ""


def note(cell: Cell, line: str) -> None:
    """Keep what a cell does now, as the line tells that its build or its run said."""
    line = one_line(line)
    if found := _PHASE.match(line):
        cell.note = f"phase {found[1]} is over"
    elif line and not cell.note.startswith("phase"):
        cell.note = line
