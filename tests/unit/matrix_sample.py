# SPDX-License-Identifier: GPL-2.0-only
"""A process that a matrix takes for a cell's run; it leaves evidence by the harness's own writers.

    python matrix_sample.py PLACE ARCH KERNEL

What a cell does is in the file ``PLACE/ARCH-KERNEL``: words in their order, ``pass`` if there is none.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import evidence_sample as sample

from ccslab.errors import InfrastructureError, LabError
from ccslab.progress import console
from ccslab.runs.cell import Cell, State
from ccslab.runs.manifest import Manifest, identity
from ccslab.runs.matrix import FOLDER, Drive, Matrix, open_matrix
from ccslab.runs.recording import recording
from ccslab.runs.watching import Watcher
from tests.waiting import until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAB = "sample-lab"
# A build fails if there is a file that says so, and hangs if there is something in it.
BUILD = "[ ! -s $1 ] || exec sleep 600; [ ! -e $1 ] || { echo 'error: Makefile: no such tree'; exit 2; }"


def inputs(word: str = "one") -> dict[str, dict[str, str]]:
    """The inputs of a run, as its manifest names them."""
    names = ("kernel", "image", "lab", "golden_policy", "harness")
    return {name: {"sha256": word, "manifest_sha256": word} for name in names}


def cells(*names: str) -> list[Cell]:
    """Cells by name, ``KERNEL/ARCH``."""
    return [
        Cell(arch, kernel, ["--kernel", kernel]) for kernel, _, arch in (one.partition("/") for one in names)
    ]


def drive(
    place: Path, told: list[Cell], *, slots: int = 2, made_of: str = "one", **timeouts: float
) -> Matrix:
    """Run a matrix of sample cells to its end."""
    folder = place / "runs"
    matrix, former = open_matrix(folder / FOLDER, LAB, told)

    def command(stage: State, cell: Cell) -> list[str]:
        if stage is State.BUILDING:
            return ["/bin/sh", "-c", BUILD, "build", str(place / f"{cell.arch}-{cell.kernel}.nobuild")]
        return [sys.executable, __file__, str(place), cell.arch, cell.kernel]

    with matrix.living:
        Drive(
            matrix,
            former,
            folder=folder,
            command=command,
            current=lambda cell: identity(inputs(made_of)),
            slots=slots,
            watcher=Watcher(told, console, expected_s={}, slots=slots),
            env={"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"},
            **timeouts,
        ).run()
        matrix.ended = matrix.living.run.started
        matrix.save()
    return matrix


def main(place: Path, arch: str, kernel: str) -> int:
    """What a run does."""
    with (place / "ran").open("a") as stream:
        stream.write(f"{kernel}/{arch} {os.getpid()}\n")
    plan = place / f"{arch}-{kernel}"
    results = sample.passed()
    results.arch, results.kernel = arch, kernel
    manifest = Manifest(inputs=inputs(), host={}, command=["inv"], accel="tcg", accel_why="")
    try:
        with recording(place / "runs", results, manifest):
            for word in plan.read_text().split() if plan.exists() else []:
                results = act(word, place, results)
    except LabError as error:
        print(f"error: {error}")
        return error.exit_code
    return 0 if results.passed else 1


def act(word: str, place: Path, results: sample.Results) -> sample.Results:
    """One word of a cell's plan."""
    match word.partition(":"):
        case ("fail", _, _):
            results.checks[0].passed = False
        case ("break", _, _):
            results.finished = False
            results.error = "console.log: the guest panicked"
            raise InfrastructureError(results.error)
        case ("crash", _, _):
            os.kill(os.getpid(), signal.SIGSEGV)
        case ("vanish", _, _):
            os._exit(0)
        case ("touch", _, name):
            (place / name).touch()
        case ("await", _, name):
            until((place / name).exists, name)
        case ("hang", _, _):
            time.sleep(600)
    return results


if __name__ == "__main__":
    if sys.argv[1] == "matrix":
        print(drive(Path(sys.argv[2]), cells(*sys.argv[3:])).code)
    else:
        sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
