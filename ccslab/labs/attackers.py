# SPDX-License-Identifier: GPL-2.0-only
"""A lab's attacks, on clones of its guest that go back to their beginning before each."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from ccslab.errors import LabError
from ccslab.labs import attacking
from ccslab.labs.attack import Attack
from ccslab.labs.attacking import PHASE
from ccslab.labs.guest import Guest
from ccslab.labs.keeping import Keeper
from ccslab.labs.splats import Witness
from ccslab.labs.step import HttpStep
from ccslab.results import Grid, Phase, Results
from ccslab.vm.machine import Machine

FOLDER = "attacks"


class Attackers:
    """Tries every attack in each mode it is given; a context, whose end ends what still runs.

    :param grid: gets a cell for each.
    :param folder: the run's; each mode's guest keeps its console there, below ``attacks-<mode>``.
    :param guests: how many clones run at once, while the lab's guest goes on; 0: one, when ``finish`` is
        called, after that has ended.
    :param keeper: keeps the guest of the first attack whose outcome is wrong.
    """

    def __init__(
        self, results: Results, grid: Grid, folder: Path, *, guests: int = 1, keeper: Keeper
    ) -> None:
        self.results = results
        self.folder = folder
        self.keeper = keeper
        self.at_once = guests > 0
        self.grid = grid
        self.result = Phase(PHASE, beside=True)
        self._pool = ThreadPoolExecutor(max(1, guests), thread_name_prefix="attackers")
        self._tried: list[Future[None]] = []
        self._waiting: list[Callable[[], None]] = []
        self._machines: list[Machine] = []
        self._over = threading.Event()
        self._telling = threading.Lock()
        self._made = time.monotonic()
        self._began = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for machine in self._machines:
            machine.kill()
        self._pool.shutdown(cancel_futures=True)
        for machine in self._machines:
            machine.stop()

    def begin(self, guest: Guest, mode: str) -> None:
        """Clone the guest as it is now, and try the attacks on the clone."""
        machine = guest.clone(mode, self.folder / f"{FOLDER}-{mode}")
        self._machines.append(machine)

        def work() -> None:
            self._try(machine, guest, mode)

        if self.at_once:
            self._tried.append(self._pool.submit(work))
        else:
            self._waiting.append(work)

    def look(self) -> None:
        """Whether all is well so far.

        :raises LabError: a clone's world failed.
        """
        for one in self._tried:
            if one.done():
                one.result()

    def finish(self) -> None:
        """Wait for all attacks.

        :raises LabError: a clone's world failed.
        """
        self._tried += [self._pool.submit(work) for work in self._waiting]
        self._waiting.clear()
        for one in self._tried:
            one.result()

    def _try(self, machine: Machine, original: Guest, mode: str) -> None:
        if self._over.is_set():
            return
        with self._telling:
            if not self._began:
                self._began = time.monotonic()
                self.result.began = round(self._began - self._made, 1)
        with machine:
            machine.boot()
            guest = Guest(machine, original.lab, original.folder)
            witness = Witness(
                machine, self.folder, self.results.checks.append, guest=guest, prefix=f"{mode}-"
            )
            try:
                for attack in guest.lab.attacks:
                    if self._over.is_set():
                        return
                    self._attack(guest, attack, mode)
                witness.hear(PHASE)
            except BaseException:
                with contextlib.suppress(LabError):  # the first error is the one to be told
                    witness.hear(PHASE)
                raise
            finally:
                with self._telling:
                    self.result.add(guest.stopwatch.take(), 0.0)
                    self.result.seconds = round(time.monotonic() - self._began, 1)

    def _attack(self, guest: Guest, attack: Attack, mode: str) -> None:
        """One attack from the checkpoint: a cell of the grid."""
        cell = attacking.run_attack(guest, attack, mode, mode)
        if not cell.right:
            self.keeper.keep(guest.machine, f"attack {attack.name} {cell.got}")
        with self._telling:
            self.result.count("request", sum(isinstance(step, HttpStep) for step in attack.steps))
            self.result.count("violation", len(cell.records))
            self.grid.row(attack.name).cells[mode] = cell
