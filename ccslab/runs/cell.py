# SPDX-License-Identifier: GPL-2.0-only
"""A cell of a matrix: one lab on one kernel of one architecture, how far it is and what came of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ccslab.errors import EXIT_INFRASTRUCTURE, EXIT_PASSED, EXIT_USER, EXIT_VERDICT, UserError
from ccslab.evidence.results import read_results
from ccslab.results import Results
from ccslab.runs.manifest import MANIFEST, identity, read_manifest


class State(enum.StrEnum):
    """How far a cell is."""

    WAITING = "waiting"
    BUILDING = "building"
    BUILT = "built"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """It came to no verdict."""


VERDICTS = (State.PASSED, State.FAILED)
OVER = (*VERDICTS, State.ERROR)


@dataclass
class Cell:
    """One cell; all that is kept of it in ``matrix.json``."""

    arch: str
    kernel: str
    flags: list[str]
    """The flags of lab.build and lab.scenario that choose it."""
    state: State = State.WAITING
    code: int = EXIT_PASSED
    """What lab.scenario alone would have ended with."""
    build_s: float = 0.0
    run_s: float = 0.0
    ended: str = ""
    """When it was over, UTC."""
    run: str = ""
    """Name of its run's folder below ``runs``; "" if it has none."""
    inputs: str = ""
    """What it was made of, in one word (``manifest.identity``)."""
    why: str = ""
    """Where it failed, or its error."""
    tried: int = 0
    """Rows of its grids."""
    right: int = 0
    drift: int | None = None
    policy_memory_bytes: int = 0
    """When enforcing, as the kernel's stat says."""
    lab: str = ""
    """Which lab, in a matrix of several."""
    taken_over: bool = False
    """From a matrix that was killed, not run again."""
    note: str = field(default="", compare=False)
    """What it does now; for who watches."""

    @property
    def name(self) -> str:
        """As a person calls it."""
        return f"{self.lab} {self.kernel} {self.arch}".strip()

    @property
    def log(self) -> str:
        """Name of the file in the matrix' folder with what its processes said."""
        return f"{self.name}.log".replace("/", "-").replace(" ", "-")

    @property
    def over(self) -> bool:
        """Whether it came to its end, whatever that was."""
        return self.state in OVER

    def conclude(self, run: Path | None, code: int, why: str) -> None:
        """Take what its run left; without results, or with others than its exit code says, it is an error."""
        self.run = run.name if run else ""
        try:
            if run is None:
                raise UserError(why or "left no run")
            results = read_results(run)
            self.inputs = identity(read_manifest(run / MANIFEST)["inputs"])
        except (UserError, KeyError) as error:
            self._fail(code, why or str(error))
            return
        self.tried = sum(len(grid.rows) for grid in results.grids)
        self.right = self.tried - sum(len(grid.wrong) for grid in results.grids)
        self.drift = None if results.drift is None else len(results.drift)
        self.policy_memory_bytes = int(results.measured("policy memory").get("enforcing", 0))
        if not results.finished or code != (EXIT_PASSED if results.passed else EXIT_VERDICT):
            self._fail(code, results.error or why or f"ended with {code} after its verdict {results.verdict}")
            return
        self.state = State(results.verdict)
        self.code = code
        self.why = where_failed(results)

    def _fail(self, code: int, why: str) -> None:
        self.state = State.ERROR
        # A child that says it passed or failed and leaves no verdict is broken itself.
        self.code = code if code in (EXIT_USER, EXIT_INFRASTRUCTURE) else EXIT_INFRASTRUCTURE
        self.why = why

    def document(self) -> dict[str, Any]:
        """Plain JSON data."""
        found = asdict(self)
        del found["note"]
        return {**found, "state": self.state.value}


def where_failed(results: Results) -> str:
    """The first thing that failed in a run, and how many more did; "" if nothing."""
    told = [f"{phase}: {name}" for phase, name, _ in results.failures()]
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return f"{told[0]}{more}" if told else ""


def from_document(document: Mapping[str, Any]) -> Cell:
    """The cell in JSON data.

    :raises ValueError: it is malformed.
    """
    known = {one.name: one for one in fields(Cell) if one.name != "note"}
    given = {name: document[name] for name in known if name in document}
    if not all(isinstance(given.get(name), str) for name in ("arch", "kernel", "state")):
        raise ValueError("a cell lacks arch, kernel or state")
    return Cell(**{**given, "state": State(given["state"])})
