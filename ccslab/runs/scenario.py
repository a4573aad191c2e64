# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.scenario`` does: build, run the lab, leave the evidence, say the verdict."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from pathlib import Path

from ccslab import progress
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT
from ccslab.evidence.results import phase_document
from ccslab.evidence.table import phase_line, show, show_results
from ccslab.evidence.timings import timings
from ccslab.kernel import catalog
from ccslab.labs import payload, setup, tuning
from ccslab.labs.definition import Lab, find
from ccslab.labs.guest import Guest
from ccslab.labs.keeping import Keeper
from ccslab.labs.run import Run
from ccslab.labs.server import Server
from ccslab.labs.splats import BOOT
from ccslab.results import Phase, Results
from ccslab.runs.journal import Journal, Kept
from ccslab.runs.manifest import Manifest, gather
from ccslab.runs.recording import recording
from ccslab.settings import Settings


def scenario(
    settings: Settings,
    name: str,
    *,
    update_golden: bool = False,
    show_timings: bool = False,
    keep: bool = False,
) -> int:
    """Run a lab from a booted guest to its verdict; returns the exit code 0 (passed) or 1 (failed).

    :param show_timings: say at the end where the time went.
    :param keep: leave the guest of what fails first as a checkpoint.
    :raises LabError: the lab could not come to a verdict; what it found until then is in its run folder.
    """
    started = time.monotonic()
    lab = find(name, settings.root, settings.arch)
    tuning.examine(lab, update_golden=update_golden)
    setup.examine(settings, lab.machine.recipe)
    lab = payload.fitted(lab, settings.store)
    setup.tidy(settings)
    parts = setup.build(settings, lab.machine.recipe)
    manifest = manifest_of(settings, lab, parts)
    kernel = catalog.find(settings).name
    results = Results(lab.name, settings.arch, kernel, release=parts.release, accel=str(parts.accel))

    def tell(folder: Path) -> None:
        show_results(results, folder, time.monotonic() - started, progress.console)
        if show_timings:
            show(timings(results), progress.console)

    with ExitStack() as at_last, recording(settings.runs, results, manifest, guarded=lab.protected) as run:
        # What is kept comes before what is shown: a terminal may be gone.
        at_last.callback(tell, run.folder)
        _drive(settings, lab, parts, results, run.folder, update_golden=update_golden, keep=keep)
    return EXIT_PASSED if results.passed else EXIT_VERDICT


def manifest_of(settings: Settings, lab: Lab, parts: setup.Parts) -> Manifest:
    """The manifest of a run that starts now.

    :raises LabError: as ``manifest.gather``.
    """
    return gather(
        root=settings.root,
        lab=lab.folder,
        golden=tuning.golden_folder(lab),
        kernel=parts.kernel,
        image=parts.image,
        accel=parts.accel.name,
        accel_why=parts.accel.why,
    )


def _drive(
    settings: Settings,
    lab: Lab,
    parts: setup.Parts,
    results: Results,
    folder: Path,
    *,
    update_golden: bool,
    keep: bool,
) -> None:
    """One guest through all phases of the lab."""
    console = progress.console
    booted = setup.booted(settings, lab, parts)
    console.print(f"{lab.title}: {lab.name} on {parts.release} ({settings.arch})")
    journal = Journal(folder, Kept("lab.scenario", asked={}, of=1 + len(lab.phases)))

    def observe(phase: Phase) -> None:
        journal.add(phase.name, phase_document(phase, results))
        console.print(phase_line(phase, results))

    run = Run(
        lab,
        results,
        folder,
        observe=observe,
        update_golden=update_golden,
        keeper=Keeper(folder, wanted=keep, tell=console.print),
    )
    with closing(journal), setup.machine(settings, lab, parts, folder, booted=booted) as machine, run:
        guest = Guest(machine, lab, parts.patchset["interface"])
        run.serve(Server(run, guest, attackers=setup.attackers(lab, debug=parts.debug)))
        with run.phase(BOOT):
            machine.boot()
            machine.login()
        run.go()
