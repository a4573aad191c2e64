# SPDX-License-Identifier: GPL-2.0-only
"""What the ``bench.*`` tasks do."""

from __future__ import annotations

import json
import time
from pathlib import Path

from ccslab import progress, sets
from ccslab.bench import comparison, guest, measurement, plan, plot, program, table, unattended
from ccslab.bench.measurement import Measurement, Subject
from ccslab.errors import InfrastructureError, UserError
from ccslab.evidence.table import shown_path
from ccslab.kernel import catalog
from ccslab.kernel import command as kernel
from ccslab.runs import folder as runs
from ccslab.runs.continuation import Wanted, journaled
from ccslab.runs.journal import Journal
from ccslab.runs.manifest import MANIFEST
from ccslab.settings import Settings
from ccslab.store import hash_file, hash_tree
from ccslab.vm.accel import qemu_version
from ccslab.vm.qemu import PROGRAMS

FOLDER = "bench"
COMPARED = "bench-compared"
BASELINES = Path("ci/baselines")
TOLERANCE = 0.03
"""By how much a figure may differ from its baseline, as a share."""
SAME = ("arch", "compiler", "program", "qemu")
"""What two measurements must share for their difference to mean anything."""


def run(
    settings: Settings, *, plan_name: str = "short", against_baseline: bool = False, resume: bool = False
) -> int:
    """Measure a kernel and show it; returns 1 if it is to be compared with its baseline, and is beyond it.

    :param resume: go on where the newest run that broke off did.
    :raises UserError: there is no baseline to compare with, or it is of something else.
    :raises LabError: the kernel cannot be built, or its guest does not measure.
    """
    asked = plan.find(plan_name)
    name = catalog.find(settings).name
    sets.need("plots")
    expected = measurement.read(_baseline(settings, name)) if against_baseline else None
    artifact, programs = kernel.build(settings), program.made(settings)
    subject = subject_of(name, artifact, programs)
    if expected:
        comparison.check(expected.subject, subject, "kernel", "release", *SAME)
    begun = time.monotonic()
    wanted = Wanted(
        command="bench.run",
        lab=FOLDER,
        arch=settings.arch,
        kernel=name,
        of=len(guests_of(asked)),
        asked={"plan": plan_name},
        inputs=inputs_of(settings, artifact, programs, subject),
    )
    with journaled(settings.runs / FOLDER, wanted, resume=resume) as journal:
        with progress.step(f"Measuring {len(asked.configurations)} configurations of {subject.release}"):
            _measure(artifact, subject.arch, asked, programs, journal)
        measured = tuple(
            measurement.recalled(one) for guest_ in guests_of(asked) for one in journal.results[guest_]
        )
        found = Measurement(subject, plan_name, measured)
        path = found.write(journal.folder / measurement.FILE)
        drawn = plot.draw(found, journal.folder)
    progress.console.print(table.by_mode(found))
    progress.console.print(table.when_disabled(found))
    progress.console.print(table.by_rules(found))
    for picture in drawn:
        progress.console.print(f"plot: {shown_path(picture)}")
    progress.console.print(f"measured in {time.monotonic() - begun:.0f} s: {shown_path(path)}")
    return _judge(expected, found) if expected else 0


def guests_of(asked: plan.Plan) -> dict[str, list[plan.Configuration]]:
    """Kernels with TOMOYO and without it have a guest each."""
    absent = [one for one in asked.configurations if one.mode == plan.ABSENT]
    present = [one for one in asked.configurations if one.mode != plan.ABSENT]
    return {name: wanted for name, wanted in {"absent": absent, "present": present}.items() if wanted}


def _measure(artifact: Path, arch: str, asked: plan.Plan, programs: Path, journal: Journal) -> None:
    """The guests side by side; what one found is kept though the other fails."""
    guests = guests_of(asked)

    def one_guest(name: str) -> InfrastructureError | None:
        try:
            measured = guest.measure(
                artifact / "bzImage", guests[name], journal.folder / name,
                arch=arch, calls=asked.calls, programs=programs, lsm="" if name == "absent" else None,
            )  # fmt: skip
        except InfrastructureError as error:
            return error
        journal.add(name, [one.document() for one in measured])
        return None

    with unattended.side_by_side(len(guests)) as threads:
        left = [name for name in guests if name not in journal.results]
        for error in filter(None, list(threads.map(one_guest, left))):
            raise error


def inputs_of(settings: Settings, artifact: Path, programs: Path, subject: Subject) -> dict[str, str]:
    """A word for each thing that a kernel's figures are of."""
    return {
        "kernel": hash_file(artifact / MANIFEST),
        "benchmark": hash_tree(programs),
        "QEMU": subject.qemu,
        "harness": hash_tree(settings.root / "ccslab"),
    }


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
    folder = settings.runs / COMPARED
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"{one.subject.kernel}-{other.subject.kernel}-{one.subject.arch}.svg"
    if plot.compare((one, other), picture):
        progress.console.print(f"plot: {shown_path(picture)}")


def _judge(expected: Measurement, found: Measurement) -> int:
    """0, or 1 and a line for each figure that is beyond the tolerance of its baseline."""
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
    path = _baseline(settings, found.subject.kernel)
    path.parent.mkdir(parents=True, exist_ok=True)
    found.write(path)
    progress.console.print(f"baseline of {found.subject.release}: {shown_path(path)}")
    return path


def _baseline(settings: Settings, name: str) -> Path:
    """Where the baseline of a kernel is."""
    return settings.root / BASELINES / settings.arch / f"{name}.json"


def subject_of(name: str, artifact: Path, programs: Path) -> Subject:
    """What is measured: a kernel's artifact, and the benchmark."""
    manifest = json.loads((artifact / "manifest.json").read_text())
    return Subject(
        kernel=name,
        release=manifest["release"],
        arch=manifest["arch"],
        compiler=manifest["toolchain"]["gcc"],
        program=hash_file(programs / "ccsbench"),
        qemu=qemu_version(PROGRAMS[manifest["arch"]]),
    )


def _find(settings: Settings, name: str) -> Measurement:
    """A measurement by its path, or the newest of a kernel on the settings' architecture."""
    if Path(name).exists() and "/" in name:
        return measurement.read(Path(name))
    listed = [
        run
        for run in runs.listed(settings.runs / FOLDER)
        if (run.kernel, run.arch) == (name, settings.arch) and (run.folder / measurement.FILE).is_file()
    ]
    if not listed:
        raise UserError(
            f"{name} was not measured on {settings.arch}", mend=f"./inv bench.run --kernel {name}"
        )
    return measurement.read(listed[-1].folder)
