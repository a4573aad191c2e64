# SPDX-License-Identifier: GPL-2.0-only
"""The frame around a run: its folder, its manifest, and its evidence however the run ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ccslab.errors import LabError, stopped
from ccslab.evidence.junit import write_junit
from ccslab.evidence.manifest import Manifest, write_manifest
from ccslab.evidence.report.page import write_report
from ccslab.evidence.results import write_results
from ccslab.evidence.run import LivingRun, Run, create, link_latest
from ccslab.evidence.text import one_line
from ccslab.labs.results import Results


@contextlib.contextmanager
def recording(
    runs: Path, results: Results, manifest: Manifest, *, guarded: Sequence[str] = ()
) -> Iterator[Run]:
    """Make a run's folder, let the block fill it and ``results``, and leave the evidence whatever happens.

    An error of the block is written down in ``results.error`` and raised again.

    :param guarded: the domains whose policy the run is about, for the report.
    :raises InfrastructureError: the disk is full or the folder cannot be written.
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
    """results.json comes last: a run that has it is finished, and has the rest."""
    manifest.ended = datetime.now(UTC)
    write_manifest(manifest, living.folder)
    write_junit(results, living.folder)
    write_report(results, manifest.document(), living.folder, guarded=guarded)
    write_results(results, living.folder)
    link_latest(living.run)


def told(error: BaseException) -> str:
    """An error as the one line that results and a person get."""
    if isinstance(error, KeyboardInterrupt):
        return f"stopped by {stopped(error).told}"
    if isinstance(error, LabError):
        return one_line(str(error))
    return one_line(f"{type(error).__name__}: {error}")
