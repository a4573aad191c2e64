# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.controls`` does: try every control in every mode, and say in a table what the kernel did."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from ccslab import progress
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, InfrastructureError, LabError
from ccslab.evidence import markdown
from ccslab.evidence.table import counted, duration, plain_table, show, shown_path
from ccslab.evidence.text import write, write_json
from ccslab.kernel import catalog, command
from ccslab.labs import controls, trials
from ccslab.labs.trials import Attempt, Outcome
from ccslab.runs.continuation import Wanted, journaled
from ccslab.runs.manifest import MANIFEST, read_manifest
from ccslab.settings import Settings
from ccslab.store import hash_file, hash_tree

NAME = "controls"
FILE = "controls.json"
REPORT = "controls.md"
SCHEMA = 1
COLUMNS = ("disabled", "learning", "permissive", "enforcing", "granted", "refused")


@dataclass
class Tried:
    """All attempts on one kernel."""

    kernel: str
    arch: str
    release: str
    attempts: list[Attempt]
    outcomes: list[Outcome]

    @property
    def judged(self) -> bool:
        """A kernel without a patchset has none of these controls: it is shown what it lets pass."""
        return not self.kernel.startswith(catalog.STOCK)

    def pairs(self) -> Iterator[tuple[Attempt, Outcome]]:
        """What was tried, and what came of it."""
        return zip(self.attempts, self.outcomes, strict=True)

    def wrong(self) -> list[tuple[Attempt, Outcome]]:
        """What the kernel did otherwise than one that has the control."""
        return [(attempt, outcome) for attempt, outcome in self.pairs() if outcome != attempt.expected()]

    @property
    def passed(self) -> bool:
        """Whether the kernel did what it should, if it should."""
        return not (self.judged and self.wrong())

    def rows(self) -> Iterator[list[str]]:
        """Of each call its name, its rule, and what came of it in each column, whatever program made it."""
        for trial in dict.fromkeys(attempt.trial for attempt in self.attempts):
            cells: dict[str, dict[str, None]] = {}
            for attempt, outcome in self.pairs():
                if attempt.trial == trial:
                    cells.setdefault(attempt.column, {})[attempt.told(outcome)] = None
            found = ["/".join(cells.get(column, {"-": None})) for column in COLUMNS]
            yield [trial.call, trial.rule or "(never checked)", *found]

    def did(self, control: str) -> str:
        """Of a control how often it was right; of a kernel without it, what comes of enforcing it."""
        pairs = [(one, outcome) for one, outcome in self.pairs() if one.trial.control == control]
        if not pairs:
            return "-"
        if not self.judged:
            told = (one.told(outcome) for one, outcome in pairs if one.mode == "enforcing" and not one.given)
            return "/".join(dict.fromkeys(told))
        wrong = sum(outcome != one.expected() for one, outcome in pairs)
        return f"{wrong} of {len(pairs)} wrong" if wrong else str(len(pairs))

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "kernel": self.kernel,
            "arch": self.arch,
            "release": self.release,
            "passed": self.passed,
            "attempts": [
                {
                    "call": one.trial.call,
                    "program": one.program,
                    "mode": one.mode,
                    "given": one.given,
                    "says": outcome.says,
                    "records": [list(record) for record in outcome.records],
                    "rules": list(outcome.rules),
                    "right": outcome == one.expected(),
                }
                for one, outcome in self.pairs()
            ],
        }


def control(settings: Settings, *, resume: bool = False) -> int:
    """Try the controls on each kernel that was asked for; 0 if each does what it should, else 1.

    :param resume: go on where the newest run that broke off did.
    :raises LabError: the trials are malformed, or the world failed, if only for one of the kernels; what came
        of the others is in the run's folder.
    """
    began = time.monotonic()
    known = trials.read(settings.root)
    cells = {f"{catalog.find(one).name} {one.arch}": one for one in catalog.expand(settings)}
    failed: dict[str, LabError] = {}
    built: dict[str, Path] = {}
    for name, one in cells.items():
        try:
            built[name] = command.build(one)
        except InfrastructureError as error:
            failed[name] = error
    tried: dict[str, Tried] = {}
    wanted = Wanted(
        command="lab.controls",
        lab=NAME,
        arch=settings.arch,
        kernel="-".join(dict.fromkeys(one.kernel for one in cells.values())),
        of=len(cells),
        asked={"kernels": list(cells)},
        inputs={
            "trials": hash_tree(settings.root / trials.FOLDER),
            "harness": hash_tree(settings.root / "ccslab"),
            **{f"kernel {name}": hash_file(folder / MANIFEST) for name, folder in built.items()},
        },
    )
    with journaled(settings.runs / NAME, wanted, resume=resume) as journal:

        def take(name: str) -> None:
            one, release = cells[name], _release(built[name])
            attempts = _attempts(one, release, known)
            outcomes = [trials.recalled(data) for data in journal.results[name]]
            tried[name] = Tried(one.kernel, one.arch, release, attempts, outcomes)
            _show(tried[name])

        for name in filter(built.get, journal.results):
            take(name)
        try:
            for name in filter(lambda name: name not in tried, built):
                folder = journal.folder / f"{cells[name].kernel}-{cells[name].arch}"
                try:
                    outcomes = _try(cells[name], built[name], known, folder)
                except InfrastructureError as error:
                    failed[name] = error
                    continue
                journal.add(name, [asdict(outcome) for outcome in outcomes])
                take(name)
        finally:
            some = [tried[name] for name in cells if name in tried]
            missing = [name for name in cells if name not in tried]
            told = [kernel.document() for kernel in some]
            write_json(journal.folder / FILE, {"schema": SCHEMA, "kernels": told, "missing": missing})
            path = write(journal.folder / REPORT, _markdown(some).encode())
        if len(some) > 1:
            _show_across(some)
        if failed:
            why = "; ".join(f"{name}: {error}" for name, error in failed.items())
            raise InfrastructureError(
                f"{len(failed)} of {len(cells)} kernels could not be tried: {why}", where=path
            )
    passed = all(kernel.passed for kernel in some)
    word = "PASSED" if passed else "FAILED"
    before = f" ({journal.taken_over} of {len(cells)} kernels from before it broke off)" if resume else ""
    took = duration(time.monotonic() - began)
    progress.console.print(f"{word} in {took}{before}: {shown_path(path)}")
    return EXIT_PASSED if passed else EXIT_VERDICT


def _release(kernel: Path) -> str:
    return str(read_manifest(kernel / MANIFEST)["release"])


def _attempts(settings: Settings, release: str, known: Sequence[trials.Trial]) -> list[Attempt]:
    return list(trials.attempts(known, release, controls.PROGRAMS[settings.arch]))


def _try(settings: Settings, kernel: Path, known: Sequence[trials.Trial], folder: Path) -> list[Outcome]:
    release = _release(kernel)
    attempts = _attempts(settings, release, known)
    with progress.step(f"Trying {counted(len(attempts), 'time')} on {release}", len(attempts)) as step:
        return controls.attempt(
            settings, kernel / "bzImage", attempts, folder, advance=lambda name: step.advance(note=name)
        )


def across(tried: Sequence[Tried]) -> Iterator[list[str]]:
    """Of each control its name, and what it did on each kernel."""
    for control in dict.fromkeys(one.trial.control for kernel in tried for one in kernel.attempts):
        yield [control, *(kernel.did(control) for kernel in tried)]


def _title(kernel: Tried) -> str:
    wrong = counted(len(kernel.wrong()), "attempt")
    verdict = f"{wrong} went wrong" if kernel.judged else "without the series, for comparison"
    return f"Controls of {kernel.release} ({kernel.arch}), {len(kernel.attempts)} attempts: {verdict}"


def _show(kernel: Tried) -> None:
    console = progress.console
    table = plain_table(_title(kernel))
    table.collapse_padding = True  # eighty columns have no more room
    table.add_column("rule and calls", overflow="fold")
    for word in ("off", "learn", "permit", "enforce", "granted", "refused"):
        table.add_column(word, no_wrap=True)
    before = ""
    for call, rule, *found in kernel.rows():
        if rule != before:
            table.add_row(Text(rule, style="bold"))
            before = rule
        table.add_row(Text(f" {call}"), *map(Text, found))
    show(table, console)
    for attempt, outcome in kernel.wrong()[:10] if kernel.judged else ():
        console.print(Text(f"{attempt.program}, {attempt.name}:"))
        for word, one in (("is", outcome), ("should be", attempt.expected())):
            records = "; ".join(f"{mode}, granted={granted}: {text}" for mode, granted, text in one.records)
            rules = ", ".join(one.rules) or "none"
            console.print(Text(f"  {word}: {one.says}; log: {records or 'nothing'}; rules: {rules}"))


def _show_across(tried: Sequence[Tried]) -> None:
    table = plain_table("Each control in all modes: how often right; of stock, what comes of enforcing")
    table.collapse_padding = True
    for number, word in enumerate(_head(tried)):
        table.add_column(word, no_wrap=not number)
    for row in across(tried):
        table.add_row(*map(Text, row))
    show(table, progress.console)


def _head(tried: Sequence[Tried]) -> list[str]:
    several = len({one.arch for one in tried}) > 1
    return ["control", *(f"{one.kernel} {one.arch}" if several else one.kernel for one in tried)]


def _markdown(tried: Sequence[Tried]) -> str:
    head = ("call", "rule", *COLUMNS)
    first = markdown.table(_head(tried), across(tried))
    parts = [f"## {_title(kernel)}\n\n{markdown.table(head, kernel.rows())}" for kernel in tried]
    return f"# What the controls do\n\n{first}\n" + "\n".join(parts)
