# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.interface`` does: load and delete policy, fuzz its interface, and say what the kernel bore."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text

from ccslab import progress
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, UserError
from ccslab.evidence import markdown
from ccslab.evidence.table import counted, duration, plain_table, show, shown_path
from ccslab.evidence.text import write, write_json
from ccslab.kernel import command
from ccslab.labs import interface
from ccslab.labs.interface import Asked, Found
from ccslab.runs import folder as runs
from ccslab.settings import Settings

NAME = "interface"
FILE = "interface.json"
REPORT = "interface.md"
SCHEMA = 1
SHOWN = 10
CYCLES_A_SECOND = 60
"""For the progress shown: a second of fuzzing counts as so many times of loading and deleting."""


@dataclass(frozen=True)
class Check:
    """One thing that must be so.

    :param lines: what shows that it is not.
    """

    what: str
    passed: bool
    saw: str
    lines: tuple[str, ...] = ()


def checks(found: Found, asked: Asked, wanted: dict[str, list[str]]) -> Iterator[Check]:
    """What is asked of a kernel, and what it did.

    :param wanted: lines of every kind, by file.
    """
    after = {when: interface.of_domains(lines) for when, lines in found.lines.items()}
    read = {name: set(lines) for name, lines in after["written"].items()}
    lost = [line for name, lines in wanted.items() for line in lines if line not in read[name]]
    total = sum(map(len, wanted.values()))
    yield Check(
        "each line is read back as it was written", not lost, f"{total - len(lost)} of {total}", tuple(lost)
    )
    kept = [
        line
        for name in ("exception_policy", "domain_policy")
        for line in wanted[name]
        if line in after["deleted"][name]
    ]
    yield Check("each line is gone when it is deleted", not kept, f"{len(kept)} left", tuple(kept))
    same = {name: sorted(lines) for name, lines in after["again"].items()}
    first = {name: sorted(lines) for name, lines in after["written"].items()}
    other = [line for name in same for line in sorted(set(same[name]) ^ set(first[name]))]
    yield Check(
        "what was saved is the same when it is loaded",
        same == first,
        f"{counted(len(other), 'line')} differ",
        tuple(other),
    )
    before, now = found.memory["before"], found.memory["after"]
    yield Check(
        f"{asked.cycles:,} times of loading and deleting leave no memory behind",
        now <= before,
        f"{before:,} bytes of policy before, {now:,} after",
    )
    done = found.counts
    yield Check(
        f"{asked.seconds} s of what nobody should write end well",
        not found.splats and bool(done.get("written")) and bool(done.get("denied")),
        ", ".join(f"{word} {number:,}" for word, number in done.items())
        + f"; {counted(len(found.splats), 'splat')}",
        tuple(found.splats),
    )
    right = found.opened == {"allowed": "OK", "denied": str(interface.EPERM)}
    yield Check("policy is enforced afterwards", right, json.dumps(found.opened))


SHOWS: tuple[Callable[[Found], bool], ...] = (
    lambda found: "deleted" in found.lines,
    lambda found: "again" in found.lines,
    lambda found: "before" in found.memory,
    lambda found: "after" in found.memory,
    lambda found: bool(found.opened),
    lambda found: len(found.opened) > 1,
)
"""Of each check what a guest has shown that came to its answer: the first thing of what comes next."""


def answered(found: Found, asked: Asked, wanted: dict[str, list[str]]) -> list[Check]:
    """The checks to which a guest came, however it ended."""
    some = checks(found, asked, wanted)
    return [next(some) for _ in itertools.takewhile(lambda shows: shows(found), SHOWS)]


def examine(settings: Settings, *, cycles: int, minutes: float, seed: int) -> int:
    """Try the interface of the kernel that was asked for; 0 if all is well, else 1.

    :param minutes: of fuzzing.
    :raises UserError: a number is none.
    :raises LabError: the world failed.
    """
    began = time.monotonic()
    if cycles < 1 or minutes <= 0 or seed < 1:
        raise UserError("cycles, minutes and seed are more than 0", mend="./inv --help lab.interface")
    asked = Asked(cycles, max(1, round(minutes * 60)), seed)
    kernel = command.build(settings)
    release = json.loads((kernel / "manifest.json").read_text())["release"]
    with runs.create(settings.runs / NAME, lab=NAME, arch=settings.arch, kernel=settings.kernel) as living:
        title = f"The interface of {release}"
        try:
            _try(settings, kernel / "bzImage", asked, release, living.folder)
        finally:
            # Also of a guest that died at the last of it.
            found = interface.seen(living.folder)
            said = answered(found, asked, interface.wanted(settings.root))
            document = {
                "schema": SCHEMA,
                "kernel": settings.kernel,
                "release": release,
                "asked": asdict(asked),
                "memory": found.memory,
                "fuzzed": found.counts,
                "checks": [asdict(check) for check in said],
                "missing": len(SHOWS) - len(said),
            }
            write_json(living.folder / FILE, document)
            rows = [(_word(check), check.what, check.saw) for check in said]
            text = f"# {title}\n\n{markdown.table(('', 'what', 'seen'), rows)}"
            path = write(living.folder / REPORT, text.encode())
            _show(title, said)
            if len(said) < len(SHOWS):
                progress.console.print(
                    f"{len(SHOWS) - len(said)} of {len(SHOWS)} checks came to no answer: {shown_path(path)}"
                )
        runs.link_latest(living.run)
    passed = all(check.passed for check in said)
    word = "PASSED" if passed else "FAILED"
    progress.console.print(f"{word} in {duration(time.monotonic() - began)}: {shown_path(path)}")
    return EXIT_PASSED if passed else EXIT_VERDICT


def _word(check: Check) -> str:
    return "passed" if check.passed else "FAILED"


def _try(settings: Settings, kernel: Path, asked: Asked, release: str, folder: Path) -> Found:
    title = f"Trying the interface of {release}"
    with progress.step(title, asked.cycles + asked.seconds * CYCLES_A_SECOND) as step:
        done = {"cycled": 0, "fuzzed": 0}

        def advance(word: str, number: int) -> None:
            weight = CYCLES_A_SECOND if word == "fuzzed" else 1
            step.advance((number - done[word]) * weight, note=f"{word} {number}")
            done[word] = number

        return interface.try_all(settings, kernel, asked, folder, advance=advance)


def _show(title: str, said: list[Check]) -> None:
    console = progress.console
    table = plain_table(title)
    for word in ("", "what", "seen"):
        table.add_column(word, overflow="fold")
    for check in said:
        table.add_row(_word(check), check.what, check.saw)
    show(table, console)
    for check in said:
        for line in check.lines[:SHOWN] if not check.passed else ():
            console.print(Text(f"  {line}"))
