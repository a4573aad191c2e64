# SPDX-License-Identifier: GPL-2.0-only
"""What the ``bench.*`` tasks do."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ccslab import progress
from ccslab.bench import comparison, guest, measurement, plan, plot, program, table
from ccslab.bench.measurement import Measured, Measurement, Subject
from ccslab.errors import UserError
from ccslab.evidence import run as runs
from ccslab.kernel import catalog
from ccslab.kernel import command as kernel
from ccslab.process import run as execute
from ccslab.settings import Settings
from ccslab.store import hash_file
from ccslab.vm.qemu import PROGRAMS

FOLDER = "bench"
LAB = "bench"
BASELINES = Path("ci/baselines")
TOLERANCE = 0.03
"""By how much a figure may differ from its baseline, as a share."""
SAME = ("arch", "compiler", "program", "qemu")
"""What two measurements must share for their difference to mean anything."""


def run(settings: Settings, *, plan_name: str = "short", against_baseline: bool = False) -> int:
    """Measure a kernel and show it; returns 1 if it is to be compared with its baseline, and is beyond it.

    :raises UserError: there is no baseline to compare with, or it is of something else.
    :raises LabError: the kernel cannot be built, or its guest does not measure.
    """
    if against_baseline and not (path := baseline(settings, catalog.find(settings).name)).is_file():
        raise UserError("there is no baseline", where=path, mend="./inv bench.update makes one")
    folder = measure(settings, plan_name=plan_name)
    return check(settings, folder) if against_baseline else 0


def measure(settings: Settings, *, plan_name: str = "short") -> Path:
    """Measure a kernel and show it; returns the folder of the run.

    :raises LabError: the kernel cannot be built, or its guest does not measure.
    """
    asked = plan.find(plan_name)
    artifact = kernel.build(settings)
    made = program.made(settings)
    manifest = json.loads((artifact / "manifest.json").read_text())
    subject = Subject(
        kernel=catalog.find(settings).name,
        release=manifest["release"],
        arch=settings.arch,
        compiler=manifest["toolchain"]["gcc"],
        program=hash_file(made / "ccsbench"),
        qemu=_qemu(settings.arch),
    )
    begun = time.monotonic()
    with runs.create(settings.runs / FOLDER, lab=LAB, arch=settings.arch, kernel=subject.kernel) as living:
        folder = living.folder

        def one_guest(name: str, configurations: Sequence[plan.Configuration]) -> list[Measured]:
            return guest.measure(
                artifact / "bzImage", configurations, folder / name,
                arch=settings.arch, calls=asked.calls, programs=made,
            )  # fmt: skip

        absent = [one for one in asked.configurations if one.mode == plan.ABSENT]
        present = [one for one in asked.configurations if one.mode != plan.ABSENT]
        guests = {name: wanted for name, wanted in {"absent": absent, "present": present}.items() if wanted}
        with (
            progress.step(f"Measuring {len(asked.configurations)} configurations of {subject.release}"),
            ThreadPoolExecutor(len(guests)) as threads,
        ):
            measured = [one for found in threads.map(one_guest, guests, guests.values()) for one in found]
        found = Measurement(subject, plan_name, tuple(measured))
        path = found.write(folder / measurement.FILE)
        drawn = plot.draw(found, folder)
    progress.console.print(table.by_mode(found))
    progress.console.print(table.by_rules(found))
    for picture in drawn:
        progress.console.print(f"plot: {_short(picture, settings)}")
    progress.console.print(f"measured in {time.monotonic() - begun:.0f} s: {_short(path, settings)}")
    return folder


def compare(settings: Settings, before: str, after: str) -> None:
    """Show what differs between two measurements, each a kernel's name (its newest) or a path.

    :raises UserError: there is none, or they cannot be compared.
    """
    one, other = (_find(settings, name) for name in (before, after))
    comparison.check(one.subject, other.subject, *SAME)
    found = comparison.differences(one, other)
    told = comparison.beyond(found, comparison.NOISE)
    if told:
        progress.console.print(table.compared(told, (before, after)))
    same = len(found) - len(told)
    progress.console.print(f"{same} of {len(found)} figures are the same to {comparison.NOISE:.1%}")


def check(settings: Settings, folder: Path) -> int:
    """Compare a run with its kernel's baseline: 0, or 1 and a line for each figure beyond the tolerance.

    :raises UserError: there is no baseline, or it is of something else.
    """
    found = measurement.read(folder)
    expected = measurement.read(baseline(settings, found.subject.kernel))
    comparison.check(expected.subject, found.subject, "kernel", "release", *SAME)
    shared = comparison.differences(expected, found)
    wrong = comparison.beyond(shared, TOLERANCE)
    for one in wrong:
        progress.console.print(f"beyond {TOLERANCE:.0%}: {one}")
    progress.console.print(
        f"{len(shared) - len(wrong)} of {len(shared)} figures are the baseline's to {TOLERANCE:.0%}"
    )
    return 1 if wrong else 0


def update(settings: Settings) -> Path:
    """Make the newest measurement of a kernel its baseline.

    :raises UserError: it was not measured.
    """
    found = _find(settings, catalog.find(settings).name)
    path = baseline(settings, found.subject.kernel)
    path.parent.mkdir(parents=True, exist_ok=True)
    found.write(path)
    progress.console.print(f"baseline of {found.subject.release}: {_short(path, settings)}")
    return path


def baseline(settings: Settings, kernel_name: str) -> Path:
    """Where the baseline of a kernel is."""
    return settings.root / BASELINES / settings.arch / f"{kernel_name}.json"


def _find(settings: Settings, name: str) -> Measurement:
    """A measurement by its path, or the newest of a kernel on the settings' architecture."""
    if Path(name).exists() and "/" in name:
        return measurement.read(Path(name))
    listed = [
        run
        for run in runs.listed(settings.runs / FOLDER, LAB)
        if (run.kernel, run.arch) == (name, settings.arch) and (run.folder / measurement.FILE).is_file()
    ]
    if not listed:
        raise UserError(
            f"{name} was not measured on {settings.arch}", mend=f"./inv bench.run --kernel {name}"
        )
    return measurement.read(listed[-1].folder)


def _qemu(arch: str) -> str:
    _, said = execute([PROGRAMS[arch], "--version"], timeout_s=20)
    return said.splitlines()[0]


def _short(path: Path, settings: Settings) -> str:
    return str(path.relative_to(settings.root) if path.is_relative_to(settings.root) else path)
