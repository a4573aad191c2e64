# SPDX-License-Identifier: GPL-2.0-only
"""Runs that keep each result as it comes, and go on where one broke off (``--resume``)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab import progress
from ccslab.errors import UserError
from ccslab.evidence.table import counted, shown_path
from ccslab.runs import folder as runs
from ccslab.runs import journal
from ccslab.runs.journal import Journal, Kept


@dataclass(frozen=True)
class Wanted:
    """What is to be found out.

    :param command: as the user calls it.
    :param of: how many results there will be.
    :param asked: the options that decide what there is to find out, plain JSON data.
    :param inputs: a word for each thing that the results are of; one that is not there yet is left out.
    """

    command: str
    lab: str
    arch: str
    kernel: str
    of: int
    asked: Mapping[str, Any]
    inputs: Mapping[str, str]


@contextlib.contextmanager
def journaled(folder: Path, wanted: Wanted, *, resume: bool) -> Iterator[Journal]:
    """A run whose results are kept as they come; it is at its end when the block is and none is missing.

    :param folder: where the runs of this command are.
    :param resume: go on in the newest one that broke off.
    :raises UserError: there is none, or what it is of is not what is here now.
    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        if resume:
            living, kept = _reopened(folder, wanted)
            progress.console.print(
                f"going on with the run of {living.run.started:%Y-%m-%d %H:%M} UTC, which has"
                f" {len(kept.results)} of {counted(wanted.of, 'result')}"
            )
        else:
            living = runs.create(folder, lab=wanted.lab, arch=wanted.arch, kernel=wanted.kernel)
            kept = Kept(wanted.command, dict(wanted.asked), wanted.of, dict(wanted.inputs))
        stack.enter_context(living)
        found = Journal(living.folder, kept)
        stack.callback(found.close)
        try:
            yield found
        except BaseException:
            _say_kept(found, wanted)
            raise
        if found.complete:
            found.end()
            runs.link_latest(living.run)
        else:
            _say_kept(found, wanted)


def _say_kept(found: Journal, wanted: Wanted) -> None:
    if found.results:
        progress.console.print(
            f"{len(found.results)} of {counted(wanted.of, 'result')} are kept in {shown_path(found.folder)};"
            " the same command with --resume goes on"
        )


def _reopened(folder: Path, wanted: Wanted) -> tuple[runs.LivingRun, Kept]:
    """The newest run that broke off of what is wanted, and what it found."""
    mine = [
        (run, kept)
        for run in reversed(runs.listed(folder, wanted.lab))
        if (run.arch, run.kernel) == (wanted.arch, wanted.kernel)
        and run.state is runs.State.BROKEN
        and (kept := journal.read(run.folder))
    ]
    same = [one for one in mine if one[1].asked == dict(wanted.asked)]
    if not same:
        told = f" of what is asked for; the newest was of {_options(mine[0][1])}" if mine else ""
        raise UserError(f"there is no run that broke off{told}", where=folder, mend="leave out --resume")
    run, kept = same[0]
    others = [name for name, word in wanted.inputs.items() if kept.inputs.get(name, word) != word]
    if others:
        raise UserError(
            f"the run's {' and '.join(others)} {'is' if len(others) == 1 else 'are'} not what is here now",
            where=run.folder,
            mend="leave out --resume, or bring back what it was",
        )
    if (living := runs.reopen(run)) is None:
        raise UserError("the run goes on this very moment", where=run.folder, mend="wait for it")
    kept.of = wanted.of
    kept.inputs.update(wanted.inputs)
    return living, kept


def _options(kept: Kept) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in kept.asked.items()) or "all"
