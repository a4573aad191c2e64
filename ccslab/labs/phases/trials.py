# SPDX-License-Identifier: GPL-2.0-only
"""Calls in every mode of the control that guards them, by a program in a small guest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ccslab import progress
from ccslab.errors import InfrastructureError
from ccslab.labs import trials
from ccslab.labs.run import Run
from ccslab.labs.trials import Attempt, Outcome
from ccslab.policy import language
from ccslab.results import Cell, Grid, Row
from ccslab.rootfs.initramfs import Entry, File

NEEDS = ("a small guest", "trials")
PROGRAMS = {
    "x86_64": {"controlcalls": "x86_64", "controlcalls32": "i386"},
    "i386": {"controlcalls": "i386"},
}
"""Of a guest its programs, and whose system calls they make."""
COLUMNS = ("disabled", "learning", "permissive", "enforcing", "granted", "refused")
TRIAL_S = 30.0
DONE = "controls: all tried"
POLICY = {
    "manager": "/bin/busybox\n",
    "exception_policy": "".join(
        f"initialize_domain /bin/{program} from any\n"
        for program in ("controlcalls", "controlcalls32", "target")
    ),
    "profile": "PROFILE_VERSION=20150505\n"
    + "".join(f"{number}-CONFIG={{ mode=disabled grant_log=no reject_log=no }}\n" for number in range(4)),
}
# A socket's number is another each time: it is told as policy would name them all.
SOCKET, ANY_SOCKET = re.compile(r"socket:\[\d+\]"), r"socket:[\$]"
# A record's three lines come in one, with tabs between.
RECORD = re.compile(r"#.*? mode=(\w+) granted=(yes|no) .*\t(<kernel>[^\t]*)\t([^\t]*)")
STOCK = "shown, not judged: a kernel without a patchset has not all of these controls"


def run(run: Run) -> None:
    """Make all attempts in one guest, and put what came of each into a grid for each program.

    :raises InfrastructureError: the guest says what it should not.
    """
    known = trials.read(run.lab.folder)
    programs = PROGRAMS[run.results.arch]
    attempts = list(trials.attempts(known, run.bench.release, programs))
    run.current.count("attempt", len(attempts))
    grids = {
        program: run.grid(grid(f"calls of {arch}", attempts, program, judged=run.patched))
        for program, arch in programs.items()
    }
    run.small(_files(run, attempts), until=r"trial\|0\b")
    with progress.step(f"Trying {len(attempts)} times", len(attempts)) as step:
        for number, attempt in enumerate(attempts):
            run.expect(rf"tried\|{number}\b", TRIAL_S)
            step.advance(note=attempt.name)
        run.expect(DONE, TRIAL_S)
    outcomes = dict(parse(run.console_log(), attempts))
    for number, attempt in enumerate(attempts):
        if number not in outcomes:  # a line that was lost says nothing of the kernel
            raise InfrastructureError(
                f"the guest does not say what came of {attempt.name!r}",
                where=run.machine.folder / "console.log",
                mend="run the lab again",
            )
        fill(grids[attempt.program].row(attempt.trial.call), attempt, outcomes[number])


def grid(name: str, attempts: Sequence[Attempt], program: str, *, judged: bool) -> Grid:
    """Of a program each call by its rule, nothing tried yet.

    :param judged: whether the kernel has the controls.
    """
    rows: dict[str, Row] = {}
    for attempt in attempts:
        if attempt.program == program:
            trial = attempt.trial
            title = f"{trial.call}: {trial.rule or 'never checked'}"
            row = rows.setdefault(trial.call, Row(trial.call, title, group=trial.control.rpartition("::")[2]))
            if attempt.column not in row.columns:
                row.columns.append(attempt.column)
    return Grid(
        name, "trials", list(COLUMNS), list(rows.values()), judged=judged, note="" if judged else STOCK
    )


def fill(row: Row, attempt: Attempt, outcome: Outcome) -> None:
    """Put an outcome into its cell; of several rules in one column, the first that went wrong stays."""
    wanted = attempt.expected()
    before = row.cells.get(attempt.column)
    if before and not before.right:
        return
    got = attempt.told(outcome)
    if before and before.got != got:
        got = f"{before.got}/{got}"
    right = outcome == wanted
    row.cells[attempt.column] = Cell(
        got,
        attempt.told(wanted),
        right,
        "" if right else f"{attempt.name}: is {_whole(outcome)}; should be {_whole(wanted)}",
        records=[f"{mode}, granted={granted}: {request}" for mode, granted, request in outcome.records],
    )


def _whole(outcome: Outcome) -> str:
    records = "; ".join(f"{mode}, granted={granted}: {text}" for mode, granted, text in outcome.records)
    rules = ", ".join(outcome.rules) or "none"
    return f"{outcome.says}; log: {records or 'nothing'}; rules: {rules}"


def parse(text: str, attempts: Sequence[Attempt]) -> Iterator[tuple[int, Outcome]]:
    """Attempt's number and outcome, from what the guest's first program prints.

    :raises InfrastructureError: a record is none, or another domain's.
    """
    for found in re.finditer(
        r"^trial\|(\d+)\n(.*?)^tried\|\1$", text.replace("\r", ""), re.DOTALL | re.MULTILINE
    ):
        number = int(found[1])
        said: dict[str, list[str]] = {"said": [], "record": [], "rule": []}
        for line in found[2].splitlines():
            kind, _, rest = line.partition("|")
            said.get(kind, []).append(SOCKET.sub(lambda _: ANY_SOCKET, rest))
        domain = f"<kernel> /bin/{attempts[number].program}"
        yield (
            number,
            Outcome(
                " ".join(said["said"]),
                tuple(_record(line, domain) for line in said["record"]),
                tuple(said["rule"]),
            ),
        )


def _record(line: str, domain: str) -> tuple[str, bool, str]:
    found = RECORD.match(line)
    if not found or found[3] != domain:
        raise InfrastructureError(f"is no audit record of {domain}: {line!r}", where="the guest's console")
    return found[1], found[2] == "yes", found[4].strip()


def _files(run: Run, attempts: Sequence[Attempt]) -> dict[str, Entry]:
    """What is in the guest for the trials."""
    lines = [
        "\t".join(
            (
                str(number),
                attempt.program,
                attempt.trial.call,
                attempt.trial.control,
                str(language.MODES.index(attempt.mode)),
                attempt.trial.preference,
                attempt.given,
            )
        )
        for number, attempt in enumerate(attempts)
    ]
    callers = {
        f"bin/{name}": File((run.bench.made(run.lab.folder, arch) / "controlcalls").read_bytes(), 0o755)
        for name, arch in PROGRAMS[run.results.arch].items()
    }
    return {
        **callers,
        "bin/target": callers["bin/controlcalls"],
        **{f"controls/{name}": text for name, text in POLICY.items()},
        "controls/trials": "".join(f"{line}\n" for line in lines),
    }
