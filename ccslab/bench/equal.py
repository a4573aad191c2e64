# SPDX-License-Identifier: GPL-2.0-only
"""Whether two kernels answer alike: random policies, random requests, same verdicts, records and rules."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from ccslab import progress
from ccslab.bench import policies, program, unattended, verdicts
from ccslab.bench.policies import Trial
from ccslab.bench.verdicts import Answer
from ccslab.errors import InfrastructureError
from ccslab.evidence.table import shown_path
from ccslab.kernel import catalog
from ccslab.kernel import command as kernel
from ccslab.runs.continuation import Wanted, journaled
from ccslab.runs.manifest import MANIFEST
from ccslab.settings import Settings
from ccslab.store import hash_file, hash_tree

FOLDER = "equal"
BATCH = 500
"""Trials of one guest."""
DIFFERENCE = "difference.txt"
DIFFERENT = "different.json"
SHOWN_LINES = 40


def compare(
    settings: Settings, before: str, after: str, *, count: int, seed: int, resume: bool = False
) -> int:
    """Ask two kernels the same and say whether they answer alike; returns 1 if they do not.

    :param before: a kernel of the catalogue, as it is.
    :param after: another, with the patchset, fragments and the like that the settings say.
    :param count: of policies, each with 40 requests.
    :param seed: the same gives the same policies.
    :param resume: go on where the newest run that broke off did.
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
    batches = range(0, count, BATCH)
    wanted = Wanted(
        command="bench.equal",
        lab=FOLDER,
        arch=settings.arch,
        kernel="-".join(names),
        of=len(both) * len(batches),
        asked={"policies": count, "seed": seed},
        inputs={
            **{
                name: hash_file(image / MANIFEST)
                for name, image in zip(("before", "after"), images, strict=True)
            },
            "benchmark": hash_tree(programs),
            "harness": hash_tree(settings.root / "ccslab"),
        },
    )
    with journaled(settings.runs / FOLDER, wanted, resume=resume) as journal:
        folder = journal.folder

        def answers(number: int, trials: list[Trial], *, show: bool = False) -> dict[str, Answer]:
            place = folder / f"{number}-{trials[0].name.replace('/', '-')}{'-shown' if show else ''}"
            return verdicts.ask(
                images[number] / "bzImage", trials, place, arch=settings.arch, programs=programs, show=show
            )

        def kept(number: int, begin: int) -> InfrastructureError | None:
            """Ask a kernel a batch unless its answers are there; what went wrong is not to end the other."""
            key = f"{number} {begin}"
            try:
                if key not in journal.results:
                    journal.add(key, answers(number, asked[begin : begin + BATCH]))
            except InfrastructureError as error:
                return error
            return None

        with (
            progress.step(f"Asking {' and '.join(names)}", count) as step,
            unattended.side_by_side(len(both)) as threads,
        ):
            for begin in batches:
                for error in list(threads.map(kept, (0, 1), (begin, begin))):
                    if error:
                        raise error
                step.advance(len(asked[begin : begin + BATCH]))
        found: list[dict[str, Answer]] = [{}, {}]
        for key, told in journal.results.items():
            found[int(key.partition(" ")[0])].update({name: Answer(*one) for name, one in told.items()})
        different = [trial for trial in asked if found[0][trial.name] != found[1][trial.name]]
        _tell(asked, found[0])
        (folder / DIFFERENT).write_text(json.dumps([trial.name for trial in different], indent=1) + "\n")
        if not different:
            progress.console.print(f"{names[0]} and {names[1]} answer alike: 0 of {count} policies differ")
            return 0
        for number in (0, 1):
            answers(number, different[:1], show=True)
        path = _show(different[0], names, folder)
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
