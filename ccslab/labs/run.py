# SPDX-License-Identifier: GPL-2.0-only
"""A run of a lab: its phases one after the other, and what they leave."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ccslab.errors import LabError
from ccslab.labs import phases
from ccslab.labs.definition import Lab
from ccslab.labs.keeping import Keeper
from ccslab.results import Check, Grid, Measure, Phase, Results

if TYPE_CHECKING:
    from ccslab.labs.server import Server

Observer = Callable[[Phase], None]


class Run:
    """What a phase is a function of; a context, whose end ends all guests of the run.

    :param folder: where what the run leaves goes.
    :param observe: told of each phase as it ends.
    :param update_golden: make this run's policy the golden one.
    :param keeper: keeps the guest of what fails first.
    """

    def __init__(
        self,
        lab: Lab,
        results: Results,
        folder: Path,
        *,
        observe: Observer,
        update_golden: bool = False,
        keeper: Keeper | None = None,
    ) -> None:
        self.lab = lab
        self.results = results
        self.folder = folder
        self.update_golden = update_golden
        self.keeper = keeper or Keeper(folder, wanted=False, tell=print)
        self.current = Phase("")
        """The phase that goes on."""
        self._observe = observe
        self._began = time.monotonic()
        self._beside: dict[str, Phase] = {}
        self._server: Server | None = None
        self._guests = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._guests.close()

    @property
    def server(self) -> Server:
        """The guest that lives through the phases."""
        assert self._server, "the lab's machine is one that boots an image"
        return self._server

    def serve(self, server: Server) -> None:
        """Begin with this guest; it has booted."""
        self._server = server
        if server.attackers:
            self._guests.enter_context(server.attackers)

    def go(self) -> None:
        """All phases in order.

        :raises LabError: the world failed; what was found out until then is in the results.
        """
        bodies = {name: phases.find(name) for name in self.lab.phases}
        *_, last = (name for name in bodies if name not in self._beside)
        for name, body in bodies.items():
            with self.phase(name):
                if self._server:
                    self._server.look()
                body(self)
                if name == last and self._server:
                    self._server.close_down()
        self.results.finished = True

    # What phases leave

    def check(self, name: str, passed: bool, detail: str = "") -> None:
        """Keep one assertion's outcome."""
        self.results.checks.append(Check(self.current.name, name, passed, "" if passed else detail))

    def grid(self, grid: Grid) -> Grid:
        """Keep a grid, whose cells come while the run goes on."""
        self.results.grids.append(grid)
        return grid

    def measure(self, name: str, of: str, value: float, unit: str) -> None:
        """Keep a figure."""
        self.results.measures.append(Measure(name, of, value, unit))

    def beside(self, phase: Phase) -> None:
        """A phase that goes on beside the others and times itself; the one of its name waits for its end."""
        self._beside[phase.name] = phase

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """Time one phase and keep its result, also when it ends in an error."""
        beside = self._beside.get(name)
        self.current = phase = beside or Phase(name, began=round(time.monotonic() - self._began, 1))
        self.results.phases.append(phase)
        started = time.monotonic()
        try:
            yield phase
            if self._server and not beside:
                self._server.witness.hear(name)
            self._keep_failed(phase)
        except BaseException as error:
            # Told to the observer below, who must not call this phase passed.
            self.results.error = str(error) or type(error).__name__
            if self._server and not beside:
                self.keeper.keep(self._server.guest.machine, f"{name} broke off")
                with contextlib.suppress(LabError):  # the first error is the one to be told
                    self._server.witness.hear(name)
            raise
        finally:
            if not beside:
                spent = self._server.guest.stopwatch.take() if self._server else {}
                phase.add(spent, time.monotonic() - started)
            self._observe(phase)

    def _keep_failed(self, phase: Phase) -> None:
        failed = any(check.phase == phase.name and not check.passed for check in self.results.checks)
        if failed and self._server and not phase.beside:
            self.keeper.keep(self._server.guest.machine, f"{phase.name} failed")
