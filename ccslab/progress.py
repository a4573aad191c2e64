# SPDX-License-Identifier: GPL-2.0-only
"""What the terminal shows while long work runs: a bar with the time left, plain lines without a terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment

from ccslab.visible import visible


class Terminal(Console):
    """rich's console, but what a guest or a file printed is spelled out where it would steer the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """rich's; the text of what it draws is visible, its own control codes stay what they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


# No markup: what is printed holds paths and mirrors' messages, whose brackets mean nothing.
console = Terminal(highlight=False, soft_wrap=True, markup=False)
LINE_EVERY_S = 30.0


class Step:
    """One piece of long work; ``advance`` as parts of it are done."""

    def __init__(self, title: str, total: int | None) -> None:
        self.title = title
        self.total = total
        self.done = 0
        self.note = ""
        self.started = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        """``count`` more units are done; ``note`` says what the last of them was."""
        self.done += count
        self.note = note or self.note
        self.show()

    def show(self) -> None:
        """Bring what is shown up to date."""


class _BarStep(Step):
    def __init__(self, title: str, total: int | None, bar: Progress) -> None:
        super().__init__(title, total)
        self.bar = bar
        self.task = bar.add_task(title, total=total, note="")

    def show(self) -> None:
        self.bar.update(self.task, completed=self.done, total=self.total, note=self.note[:40])


class _LineStep(Step):
    def __init__(self, title: str, total: int | None) -> None:
        super().__init__(title, total)
        self.last = self.started

    def show(self) -> None:
        now = time.monotonic()
        if now - self.last < LINE_EVERY_S:
            return
        self.last = now
        spent = now - self.started
        if self.total and 0 < self.done < self.total:  # a first guess may be too low
            left = spent * (self.total - self.done) / self.done
            console.print(f"  {self.title}: {self.done} of {self.total}, {left:.0f} s left")
        else:
            console.print(f"  {self.title}: {spent:.0f} s {self.note}")


@contextlib.contextmanager
def step(title: str, total: int | None = None) -> Iterator[Step]:
    """Show one piece of long work until the block ends, then a line that says how long it took.

    :param title: what is being done, as a person would say it.
    :param total: how many units it has, if that is known.
    """
    started = time.monotonic()
    if console.is_terminal:
        columns = [
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
        ]
        with Progress(*columns, console=console, transient=True) as bar:
            yield _BarStep(title, total, bar)
    else:
        console.print(f"  {title} ...")
        yield _LineStep(title, total)
    console.print(f"  {title}: done in {time.monotonic() - started:.1f} s")
