# SPDX-License-Identifier: GPL-2.0-only
"""The guest of what failed first in a run, kept as a checkpoint to be entered (``lab.scenario --keep``)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from ccslab.errors import LabError
from ccslab.vm import checkpoint
from ccslab.vm.machine import Machine

KEPT = "kept"


class Keeper:
    """Keeps one guest, if that is wanted.

    :param folder: the run's.
    :param tell: gets a line for the person.
    """

    def __init__(self, folder: Path, *, wanted: bool, tell: Callable[[str], None]) -> None:
        self.folder = folder / KEPT
        self._wanted = wanted
        self._tell = tell
        self._lock = threading.Lock()

    def keep(self, machine: Machine, why: str) -> None:
        """Keep a guest as it is now, unless one was kept before or it is dead."""
        with self._lock:
            if not self._wanted or not machine.alive():
                return
            self._wanted = False
            # What failed is the news; that its guest could not be kept is not to hide it.
            with contextlib.suppress(LabError):
                checkpoint.keep(machine, self.folder)
                self._tell(f"  kept the guest, where {why}: ./inv vm.console {self.folder.parent.name}")
