# SPDX-License-Identifier: GPL-2.0-only
"""What a lab's visitors pay: instructions of the whole server for one request, disabled and enforcing.

The lab's machine with one CPU whose time is its instructions: what the server, its programs and the kernel do
for a request is counted by a client in the guest, from before it connects until the answer's last byte.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from ccslab import progress
from ccslab.bench import program, table
from ccslab.bench.measurement import SCHEMA, Figure
from ccslab.bench.plan import Calls
from ccslab.datafile import Fault, Positive, Record, Text, read_toml, wrong
from ccslab.errors import InfrastructureError, unknown
from ccslab.evidence.table import shown_path
from ccslab.evidence.text import write_json
from ccslab.labs import definition, setup, tuning
from ccslab.labs.client import raw
from ccslab.labs.definition import Lab
from ccslab.labs.guest import DISABLED, ENFORCING, Guest
from ccslab.labs.step import HttpStep
from ccslab.runs import folder as runs
from ccslab.runs.journal import Journal, Kept
from ccslab.settings import Settings

COST = "cost.toml"
FOLDER = "cost"
FILE = "cost.json"
PLACE = "/run/ccsfetch"
FETCH_S = 300.0
SAID = re.compile(r"request (\d+) status (\d+) minimum (\d+) median (\d+) mean ([\d.]+) calls (\d+)$", re.M)


class _Request(Record, frozen=True):
    kind: Text
    step: Text
    most: Positive


class _File(Record, frozen=True):
    """cost.toml."""

    calls: Calls
    request: tuple[_Request, ...]


@dataclass(frozen=True)
class Request:
    """A kind of request, by one of the lab's steps."""

    kind: str
    step: HttpStep
    most: float
    """What enforcing may cost, as a multiple of disabled."""


@dataclass(frozen=True)
class Cost:
    """What one kind of request costs."""

    kind: str
    disabled: Figure
    enforcing: Figure
    most: float

    @property
    def ratio(self) -> float:
        """Enforcing over disabled."""
        return self.enforcing.median / self.disabled.median

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        figures = {mode: structs.asdict(getattr(self, mode)) for mode in ("disabled", "enforcing")}
        return {"kind": self.kind, **figures, "ratio": round(self.ratio, 4), "most": self.most}


def requests(lab: Lab) -> tuple[int, list[Request]]:
    """How often each request is sent, and which there are, of the lab's cost.toml.

    :raises UserError: the lab has none, or it names a step that is no request of the workload.
    """
    path = lab.folder / COST
    file = read_toml(path, _File, "write what requests may cost; see apache-cgi's")
    steps = {step.name: step for step in lab.workload if isinstance(step, HttpStep)}
    for number, one in enumerate(file.request):
        if one.step not in steps:
            near = unknown("request", one.step, steps)
            raise wrong(Fault(near.what, "request", number, "step", mend=near.mend), path)
    return file.calls, [Request(one.kind, steps[one.step], one.most) for one in file.request]


def run(settings: Settings, name: str) -> int:
    """Measure a lab's requests in both modes; returns 1 if one of them costs more than it may.

    :raises UserError: an unknown lab, or one without cost.toml or golden policy.
    :raises LabError: its machine cannot be built, does not boot, or does not answer.
    """
    lab = definition.find(name, settings.root, settings.arch)
    definition.require(lab, "bench.lab", "a server", "a workload", "protected domains")
    calls, wanted = requests(lab)
    domains, exceptions = tuning.golden(lab)
    parts, programs = setup.build(settings, lab), program.made(settings)
    begun = time.monotonic()
    with runs.create(settings.runs / FOLDER, lab=name, arch=settings.arch, kernel=settings.kernel) as living:
        machine = setup.machine(settings, lab, parts, living.folder / "guest", icount=True)
        journal = Journal(living.folder, Kept("bench.lab", asked={}, of=2))
        with closing(journal), machine:
            with progress.step(f"Booting {parts.release}, counting instructions"):
                machine.boot()
                machine.login()
                setup.wait_settled(machine)
            guest = Guest(machine, lab, parts.patchset["interface"])
            machine.ssh.put(programs / "ccsfetch", PLACE)
            guest.set_profile(DISABLED)
            with progress.step(f"Measuring {len(wanted)} requests, disabled"):
                before = _fetched(guest, calls, wanted)
            journal.add("disabled", [structs.asdict(figure) for figure in before])
            guest.load("e", exceptions, "golden-exception_policy.conf", replace=True)
            guest.load("d", domains, "golden-domain_policy.conf")
            for domain in lab.protected:
                guest.set_profile(ENFORCING, domain)
            with progress.step(f"Measuring {len(wanted)} requests, enforcing"):
                after = _fetched(guest, calls, wanted)
            _enforced(guest)
            journal.add("enforcing", [structs.asdict(figure) for figure in after])
            journal.end()
            machine.shutdown()
        found = [
            Cost(one.kind, disabled, enforcing, one.most)
            for one, disabled, enforcing in zip(wanted, before, after, strict=True)
        ]
        path = living.folder / FILE
        told = {"schema": SCHEMA, "lab": name, "unit": "guest instructions a request"}
        costs = [one.document() for one in found]
        write_json(path, {**told, "requests": costs})
    shown = table.numbers("Instructions a request", "request", ["disabled", "enforcing", "ratio", "at most"])
    for one in found:
        figures = (f"{one.disabled.median:,}", f"{one.enforcing.median:,}", f"{one.ratio:.3f}", f"{one.most}")
        shown.add_row(one.kind, *figures)
    progress.console.print(shown)
    progress.console.print(f"measured in {time.monotonic() - begun:.0f} s: {shown_path(path)}")
    dear = [one for one in found if one.ratio > one.most]
    for one in dear:
        progress.console.print(
            f"{one.kind}: enforcing costs {one.ratio:.3f} of disabled, more than {one.most}"
        )
    return 1 if dear else 0


def read(said: str, wanted: Sequence[Request], where: Path) -> list[Figure]:
    """What ccsfetch says of each request.

    :raises InfrastructureError: one was not answered, or otherwise than the workload expects.
    """
    found = {int(match[1]): match for match in SAID.finditer(said)}
    figures = []
    for number, one in enumerate(wanted):
        match = found.get(number)
        if not match or int(match[2]) != one.step.status:
            told = f"status {match[2]}" if match else "nothing"
            raise InfrastructureError(f"{one.kind}: the server answered with {told}", where=where)
        figures.append(Figure(int(match[3]), int(match[4]), float(match[5]), int(match[6])))
    return figures


def _fetched(guest: Guest, calls: int, wanted: Sequence[Request]) -> list[Figure]:
    script = b"".join(b"%d\n" % len(text) + text for text in (raw(one.step) for one in wanted))
    guest.write(f"{PLACE}.requests", script.decode())
    said = guest.root(f"{PLACE} {calls} <{PLACE}.requests", timeout_s=FETCH_S)[1]
    return read(said, wanted, guest.machine.folder)


def _enforced(guest: Guest) -> None:
    """A figure is of enforcing only if the kernel enforced, and denied nothing of it."""
    for domain in guest.lab.protected:
        found = guest.domains().domain(domain)
        if found.profile != ENFORCING:
            raise InfrastructureError(f"{domain} is in profile {found.profile}", where=guest.machine.folder)
    denied = guest.stat().violations.get("enforcing")
    if denied and denied.count:
        raise InfrastructureError(
            f"policy denied {denied.count} accesses of the requests", where=guest.machine.folder,
            mend="./inv lab.scenario shows what the golden policy lacks",
        )  # fmt: skip
