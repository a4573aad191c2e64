# SPDX-License-Identifier: GPL-2.0-only
"""A run of a lab: its phases one after the other, and what they leave."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ccslab.errors import LabError, UserError
from ccslab.kernel.catalog import STOCK
from ccslab.labs import phases
from ccslab.labs.definition import Lab
from ccslab.labs.keeping import Keeper
from ccslab.labs.splats import BOOT, Witness
from ccslab.results import SURVIVES, Check, Grid, Measure, Phase, Results
from ccslab.rootfs.initramfs import Entry
from ccslab.vm.death import GuestDied
from ccslab.vm.kernelline import splice
from ccslab.vm.machine import Machine

if TYPE_CHECKING:
    from ccslab.labs.server import Server
    from ccslab.labs.smallguest import Bench

Observer = Callable[[Phase], None]
LAST_LINES = 6
BOOT_S = 120.0


class _KernelDied(Exception):
    """The kernel under test died: a finding, after which nothing can be asked of it."""


class Run:
    """What a phase is a function of; a context, whose end ends all guests of the run.

    :param folder: where what the run leaves goes.
    :param observe: told of each phase as it ends.
    :param options: what was chosen of the lab's, by name.
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
        options: Mapping[str, float] | None = None,
        update_golden: bool = False,
        keeper: Keeper | None = None,
    ) -> None:
        self.lab = lab
        self.results = results
        self.folder = folder
        self.options = {name: option.default for name, option in lab.options.items()} | {**(options or {})}
        self.update_golden = update_golden
        self.keeper = keeper or Keeper(folder, wanted=False, tell=print)
        self.current = Phase("")
        """The phase that goes on."""
        self._observe = observe
        self._began = time.monotonic()
        self._beside: dict[str, Phase] = {}
        self._server: Server | None = None
        self._bench: Bench | None = None
        self._witness: Witness | None = None
        self.machine: Machine
        """The small guest that runs."""
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
        """Begin with this guest, which is not booted yet."""
        self._server = server
        self._witness = server.witness
        if server.attackers:
            self._guests.enter_context(server.attackers)

    @property
    def bench(self) -> Bench:
        """What small guests are made on."""
        assert self._bench, "the lab's machine is one that boots an initramfs"
        return self._bench

    def work_on(self, bench: Bench) -> None:
        """Make guests of what is there: a built kernel, and the host."""
        self._bench = bench

    @property
    def patched(self) -> bool:
        """Whether the kernel has a patchset, and is to have its controls."""
        return not self.results.kernel.startswith(STOCK)

    def small(self, files: Mapping[str, Entry], *, until: str) -> Machine:
        """A guest of busybox with the lab's ``guest/init``, booted until its console matches.

        It ends with the run. What its kernel reports of its own mistakes fails the phase it comes in.

        :param files: what else is in it, by path.
        :raises GuestDied: it dies, or is silent.
        """
        guest = self.bench.guest(self.lab.folder, self.lab.machine, files, self.folder)
        self.machine = self._guests.enter_context(guest)
        self._witness = Witness(self.machine, self.folder, self.results.checks.append)
        self.machine.boot(BOOT_S, until=until)
        return self.machine

    def expect(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Wait until the small guest's console shows what matches.

        :param pattern: a regular expression, matched once.
        :raises GuestDied: the guest dies, or is silent for so long.
        """
        _, match = self.machine.console.expect(pattern, timeout_s)
        return match

    def console_log(self) -> str:
        """All that the small guest's console has shown, kernel's messages taken out."""
        text = (self.machine.folder / "console.log").read_text(errors="replace").replace("\r", "")
        return splice(text).text

    def go(self) -> None:
        """All phases in order; a guest whose kernel dies has failed, and the run is over.

        :raises LabError: the world failed; what was found out until then is in the results.
        """
        bodies = {name: phases.find(name, self.lab.folder) for name in self.lab.phases}
        *_, last = (name for name in bodies if name not in self._beside)
        with contextlib.suppress(_KernelDied):
            if self._server:
                with self.phase(BOOT):
                    self._server.guest.machine.boot()
                    self._server.guest.machine.login()
            for name, body in bodies.items():
                with self.phase(name):
                    if self._server:
                        self._server.look()
                    self._do(body)
                    if name == last and self._server:
                        self._server.close_down()
        self.results.finished = True

    def _do(self, body: phases.Body) -> None:
        """A phase; what a lab's own module does wrong is told by its line."""
        try:
            body(self)
        except (LabError, OSError):  # a disk or a socket is the host's
            raise
        except Exception as error:
            path = self.lab.folder / phases.OWN
            if not phases.line_of(error, path):
                raise
            raise UserError(
                f"phase {self.current.name} broke: {phases.place(error, path)}", where=path, mend="correct it"
            ) from error

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
            if self._witness and not beside:
                self._witness.hear(name)
            self._keep_failed(phase)
        except GuestDied as death:
            self._break_off(phase, "" if death.kernel else str(death))
            if not death.kernel:
                raise
            last = " | ".join(line for line in death.last[-LAST_LINES:] if line.strip())
            self.check(SURVIVES, False, f"{death.reason}: {last}")
            raise _KernelDied from death
        except BaseException as error:
            self._break_off(phase, str(error) or type(error).__name__)
            raise
        finally:
            if not beside:
                spent = self._server.guest.stopwatch.take() if self._server else {}
                phase.add(spent, time.monotonic() - started)
            self._observe(phase)

    def _break_off(self, phase: Phase, error: str) -> None:
        # Told to the observer, who must not call this phase passed.
        self.results.error = error
        if self._server and not phase.beside:
            self.keeper.keep(self._server.guest.machine, f"{phase.name} broke off")
        if self._witness and not phase.beside:
            with contextlib.suppress(LabError):  # the first error is the one to be told
                self._witness.hear(phase.name)

    def _keep_failed(self, phase: Phase) -> None:
        failed = any(check.phase == phase.name and not check.passed for check in self.results.checks)
        if failed and self._server and not phase.beside:
            self.keeper.keep(self._server.guest.machine, f"{phase.name} failed")
