# SPDX-License-Identifier: GPL-2.0-only
"""Every splat of the kernel under test is a failed check of the phase it came in, its trace with symbols."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.labs import leaks
from ccslab.labs.guest import Guest
from ccslab.labs.symbols import Symbols
from ccslab.results import Check
from ccslab.vm.machine import Machine
from ccslab.vm.splat import Splat, parse

FOLDER = "splats"
BOOT = "boot"
"""The phase of a guest that starts."""
SETTLE_S = 10.0
# Bits of /proc/sys/kernel/tainted that say "something went wrong", by the letters of Oops reports.
TAINTS = {"M": 4, "B": 5, "D": 7, "W": 9, "L": 14}


class Witness:
    """What the kernel of a run reports against itself.

    :param folder: the run's; ``splats/001.txt`` and so on go there.
    :param tell: gets each check.
    :param guest: of the machine, if it can be asked.
    :param prefix: what its files' names begin with, if the run has several guests.
    """

    def __init__(
        self,
        machine: Machine,
        folder: Path,
        tell: Callable[[Check], None],
        *,
        guest: Guest | None = None,
        prefix: str = "",
    ) -> None:
        self.machine = machine
        self.guest = guest
        self.prefix = prefix
        self.folder = folder / FOLDER
        self.tell = tell
        kernel = machine.what.kernel.parent
        self.symbols = Symbols(kernel)
        self.debug = is_debug(kernel)
        self._heard: set[str] = set()
        self._told: set[tuple[float, str]] = set()
        self._count = 0

    def hear(self, phase: str) -> None:
        """Make checks of what came on the console since the last call.

        :raises InfrastructureError: the traces cannot be given symbols.
        """
        watch = self.machine.watch
        splats = watch.splats.take(timeout_s=SETTLE_S * watch.patience)
        if phase == BOOT and self.guest and self.machine.alive():
            # A guest from a checkpoint booted on another console; its kernel has not forgotten that yet.
            splats += parse(self.guest.root("dmesg --force-prefix")[1].splitlines())
        if not self._report(phase, splats) and phase not in self._heard:
            self._check(phase, "the kernel reports no mistake of its own", True)
        self._heard.add(phase)

    def examine(self, phase: str) -> None:
        """Ask a kernel at the end of its run: was a splat missed, did lockdep live, does memory leak?"""
        assert self.guest
        taint = int(self.guest.root("cat /proc/sys/kernel/tainted")[1])
        marks = "".join(letter for letter, bit in TAINTS.items() if taint >> bit & 1)
        self._check(phase, "the kernel is not tainted", not marks, f"it is, by {marks}")
        if not self.debug:
            return
        _, stats = self.guest.root("grep debug_locks /proc/lockdep_stats", check=False)
        # It switches itself off at its first report and when its tables are full.
        self._check(
            phase, "lockdep watched until the end", stats.split()[-1:] == ["1"], stats.strip() or "off"
        )
        try:
            found = leaks.scan(self.guest)
        except InfrastructureError as error:
            self._check(phase, "kmemleak finds no leak", False, str(error))
        else:
            if not self._report(phase, found):
                self._check(phase, "kmemleak finds no leak", True)

    def _report(self, phase: str, splats: list[Splat]) -> list[Splat]:
        """A file and a failed check for each splat that was not told of yet; returns those."""
        new = [
            splat
            for splat in splats
            if splat.kind == leaks.KIND or (splat.at_s, splat.title) not in self._told
        ]
        self._told |= {(splat.at_s, splat.title) for splat in new}
        explained = self.symbols.explain([line for splat in new for line in splat.lines])
        for splat in new:
            splat.lines, explained = explained[: len(splat.lines)], explained[len(splat.lines) :]
            self._count += 1
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self.prefix}{self._count:03}.txt"
            path.write_text(report(splat))
            often = f" ({splat.times} times)" if splat.times > 1 else ""
            told = f"{splat.title}{often}"
            name = f"{splat.kind}: {FOLDER}/{path.name}"
            self.tell(Check(phase, name, False, told, evidence=f"{FOLDER}/{path.name}"))
        return new

    def _check(self, phase: str, name: str, passed: bool, detail: str = "") -> None:
        self.tell(Check(phase, name, passed, "" if passed else detail))


def report(splat: Splat) -> str:
    """A splat as the text of its file."""
    when = f"{splat.at_s:.6f} s after the kernel began, " if splat.at_s else ""
    return "\n".join([splat.title, f"{splat.kind}, {when}{splat.times} times", "", *splat.lines]) + "\n"


def is_debug(kernel: Path) -> bool:
    """Whether a kernel's artifact is one of ``--debug``."""
    manifest = kernel / "manifest.json"
    return manifest.is_file() and bool(json.loads(manifest.read_text()).get("debug"))
