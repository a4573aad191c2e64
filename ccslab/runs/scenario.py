# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.scenario`` does: build, run the lab, leave the evidence, say the verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ccslab import progress
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT
from ccslab.evidence.results import phase_document
from ccslab.evidence.table import phase_line, show, show_results
from ccslab.evidence.timings import timings
from ccslab.kernel import catalog
from ccslab.labs import payload, setup, tuning
from ccslab.labs.definition import Lab, find, require
from ccslab.labs.guest import Guest
from ccslab.labs.keeping import Keeper
from ccslab.labs.run import Run
from ccslab.labs.server import Server
from ccslab.labs.smallguest import Bench
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
    chosen: Sequence[str] = (),
) -> int:
    """Run a lab from a booted guest to its verdict; returns the exit code 0 (passed) or 1 (failed).

    :param show_timings: say at the end where the time went.
    :param keep: leave the guest of what fails first as a checkpoint.
    :param chosen: options of the lab, ``NAME=NUMBER`` each.
    :raises LabError: the lab could not come to a verdict; what it found until then is in its run folder.
    """
    started = time.monotonic()
    lab = find(name, settings.root, settings.arch)
    options = lab.choose(chosen)
    if update_golden:
        require(lab, "--golden", "a server", "rules")
    if keep:
        require(lab, "--keep", "a server")
    tuning.examine(lab, update_golden=update_golden)
    setup.examine(settings, lab)
    lab = payload.fitted(lab, settings.store)
    setup.tidy(settings)
    parts = setup.build(settings, lab)
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
        journal = Journal(run.folder, Kept("lab.scenario", asked={}, of=1 + len(lab.phases)))
        at_last.callback(journal.close)

        def observe(phase: Phase) -> None:
            journal.add(phase.name, phase_document(phase, results))
            progress.console.print(phase_line(phase, results))

        phases = Run(
            lab,
            results,
            run.folder,
            observe=observe,
            options=options,
            update_golden=update_golden,
            keeper=Keeper(run.folder, wanted=keep, tell=progress.console.print),
        )
        _drive(settings, parts, phases)
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


def _drive(settings: Settings, parts: setup.Parts, run: Run) -> None:
    """The lab's phases, from its guest's boot on."""
    lab = run.lab
    booted = None if lab.machine.small else setup.booted(settings, lab, parts)
    progress.console.print(f"{lab.title}: {lab.name} on {parts.release} ({settings.arch})")
    with ExitStack() as stack:
        if booted is None:
            run.work_on(Bench(settings, parts.kernel, parts.release, parts.accel))
        else:
            machine = stack.enter_context(setup.machine(settings, lab, parts, run.folder, booted=booted))
            guest = Guest(machine, lab, parts.patchset["interface"])
            run.serve(Server(run, guest, attackers=setup.attackers(lab, debug=parts.debug)))
        stack.enter_context(run)
        run.go()
