# SPDX-License-Identifier: GPL-2.0-only
"""The frame around a run: its folder, its manifest, and its evidence however the run ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ccslab import progress
from ccslab.errors import InfrastructureError, LabError, stopped
from ccslab.evidence import REPORT, RESULTS
from ccslab.evidence.junit import JUNIT, write_junit
from ccslab.evidence.report.page import write_report
from ccslab.evidence.results import write_results
from ccslab.evidence.text import one_line
from ccslab.results import Results
from ccslab.runs.folder import LATEST, LivingRun, Run, create, link_latest
from ccslab.runs.manifest import MANIFEST, Manifest, write_manifest
from ccslab.runs.neighbours import neighbours


@contextlib.contextmanager
def recording(
    runs: Path, results: Results, manifest: Manifest, *, guarded: Sequence[str] = ()
) -> Iterator[Run]:
    """Make a run's folder, let the block fill it and ``results``, and leave the evidence whatever happens.

    An error of the block is written down in ``results.error`` and raised again.

    :param guarded: the domains whose policy the run is about, for the report.
    :raises InfrastructureError: the disk is full, the folder cannot be written, or a part of the evidence
        cannot be made of what the guest said.
    """
    with create(
        runs, lab=results.lab, arch=results.arch, kernel=results.kernel, now=manifest.started
    ) as living:
        write_manifest(manifest, living.folder)
        try:
            yield living.run
        except BaseException as error:
            results.finished = False
            results.error = told(error)
            # The block's error is the one to be told, not that its evidence did not fit on the disk.
            with contextlib.suppress(LabError):
                _leave(living, results, manifest, guarded)
            raise
        _leave(living, results, manifest, guarded)


def _leave(living: LivingRun, results: Results, manifest: Manifest, guarded: Sequence[str]) -> None:
    """The results come first, and nothing that fails on what a guest said costs what comes after it.

    :raises InfrastructureError: something could not be written; said, too.
    """
    manifest.ended = datetime.now(UTC)
    folder = living.folder
    failed: list[str] = []
    parts: list[tuple[str, Callable[[], object]]] = [
        (RESULTS, lambda: write_results(results, folder)),
        (MANIFEST, lambda: write_manifest(manifest, folder)),
        (JUNIT, lambda: write_junit(results, folder)),
        (
            REPORT,
            lambda: write_report(
                results, manifest.document(), folder, guarded=guarded, **neighbours(folder, results)
            ),
        ),
        (LATEST, lambda: link_latest(living.run)),
    ]
    for name, leave in parts:
        try:
            leave()
        except Exception as error:
            failed.append(f"{name} was not written: {told(error)}")
            progress.console.print(f"  {failed[-1]}")
    if failed:
        raise InfrastructureError("; ".join(failed), where=folder, mend="the rest of the evidence is there")


def told(error: BaseException) -> str:
    """An error as the one line that results and a person get."""
    if isinstance(error, KeyboardInterrupt):
        return f"stopped by {stopped(error).told}"
    if isinstance(error, LabError):
        return one_line(str(error))
    return one_line(f"{type(error).__name__}: {error}")
