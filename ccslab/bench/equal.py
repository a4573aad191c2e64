# SPDX-License-Identifier: GPL-2.0-only
"""Whether two kernels answer alike: random policies, random requests, same verdicts, records and rules."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ccslab import progress
from ccslab.bench import policies, program, verdicts
from ccslab.bench.policies import Trial
from ccslab.bench.verdicts import Answer
from ccslab.evidence import run as runs
from ccslab.evidence.table import shown_path
from ccslab.kernel import catalog
from ccslab.kernel import command as kernel
from ccslab.settings import Settings

FOLDER = "equal"
BATCH = 500
"""Trials of one guest."""
DIFFERENCE = "difference.txt"
DIFFERENT = "different.json"
SHOWN_LINES = 40


def compare(settings: Settings, before: str, after: str, *, count: int, seed: int) -> int:
    """Ask two kernels the same and say whether they answer alike; returns 1 if they do not.

    :param before: a kernel of the catalogue, as it is.
    :param after: another, with the patchset, fragments and the like that the settings say.
    :param count: of policies, each with 40 requests.
    :param seed: the same gives the same policies.
    :raises UserError: an unknown kernel.
    """
    both = [
        replace(settings, kernel=before, patchset="", fragment=(), debug=False),
        replace(settings, kernel=after),
    ]
    names = [catalog.find(one).name for one in both]
    images = [kernel.build(one) for one in both]
    programs = program.made(settings)
    asked = list(policies.trials(count, seed))
    with runs.create(
        settings.runs / FOLDER, lab=FOLDER, arch=settings.arch, kernel="-".join(names)
    ) as living:
        folder = living.folder

        def answers(number: int, trials: list[Trial], *, show: bool = False) -> dict[str, Answer]:
            place = folder / f"{number}-{trials[0].name.replace('/', '-')}{'-shown' if show else ''}"
            return verdicts.ask(
                images[number] / "bzImage", trials, place, arch=settings.arch, programs=programs, show=show
            )

        found: list[dict[str, Answer]] = [{}, {}]
        with (
            progress.step(f"Asking {' and '.join(names)}", count) as step,
            ThreadPoolExecutor(len(both)) as threads,
        ):
            for begin in range(0, count, BATCH):
                batch = asked[begin : begin + BATCH]
                for one, new in zip(found, threads.map(answers, (0, 1), (batch, batch)), strict=True):
                    one.update(new)
                step.advance(len(batch))
        different = [trial for trial in asked if found[0][trial.name] != found[1][trial.name]]
        _tell(asked, found[0])
        if not different:
            progress.console.print(f"{names[0]} and {names[1]} answer alike: 0 of {count} policies differ")
            return 0
        for number in (0, 1):
            answers(number, different[:1], show=True)
        path = _show(different[0], names, folder)
        (folder / DIFFERENT).write_text(json.dumps([trial.name for trial in different], indent=1) + "\n")
    progress.console.print(f"{len(different)} of {count} policies differ; the first is in {shown_path(path)}")
    return 1


def _tell(asked: list[Trial], answers: dict[str, Answer]) -> None:
    letters = Counter("".join(answer.verdicts for answer in answers.values()))
    others = letters.total() - letters["."] - letters["P"]
    rules = sum(len(trial.rules) + len(trial.exceptions) for trial in asked)
    progress.console.print(
        f"{len(asked)} policies of {rules} lines, {letters.total()} requests:"
        f" {letters['.']} granted, {letters['P']} denied, {others} came to another error"
    )


def _show(trial: Trial, names: list[str], folder: Path) -> Path:
    """What two kernels said of one policy, beside the policy."""
    said = [
        console.read_text(errors="replace").splitlines()
        for console in sorted(folder.glob("*-shown/guest/console.log"))
    ]
    lines = [*trial.exceptions, "", policies.DOMAIN, *trial.rules, "", *trial.requests, ""]
    lines += difflib.unified_diff(said[0], said[1], names[0], names[1], lineterm="")
    path = folder / DIFFERENCE
    path.write_text("\n".join(lines) + "\n")
    for line in lines[-SHOWN_LINES:]:
        progress.console.print(f"  {line}")
    return path
