# SPDX-License-Identifier: GPL-2.0-only
"""TOMOYO beside the other security modules: one kernel that has them all, and ``lsm=`` chooses."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import structs

from ccslab import progress, sets
from ccslab.bench import apparmor, guest, program, table, unattended
from ccslab.bench.command import inputs_of, subject_of
from ccslab.bench.measurement import SCHEMA, Measured, Subject, recalled
from ccslab.bench.plan import Calls, Configuration, Mode, Rules, kinds
from ccslab.bench.plot import peers as draw
from ccslab.datafile import Meta, Record, Text, Word, read_toml
from ccslab.errors import InfrastructureError, LabError
from ccslab.evidence.table import shown_path
from ccslab.kernel import catalog
from ccslab.kernel import command as kernel
from ccslab.runs.continuation import Wanted, journaled
from ccslab.settings import Settings

PEERS = Path(__file__).with_name("peers.toml")
FRAGMENT = Path("kernel-patches/config/peers.config")
FOLDER = "peers"
FILE = "peers.json"


class KnownKind(Word):
    """A kind of rules, of plan.toml."""

    noun = "kind"

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if plan.toml has the kind.

        :raises Fault: it has not.
        """
        cls.words = kinds()
        super().check(text)


class _Peer(Record, frozen=True):
    title: Text
    lsm: Annotated[str, Meta(pattern=r"\A[a-z0-9_,]*\Z", description="a value of lsm=")]
    modes: tuple[Mode, ...]
    counted: Mode | None = None


class _File(Record, frozen=True):
    """peers.toml."""

    calls: Calls
    rules: tuple[Rules, ...]
    kinds: tuple[KnownKind, ...]
    peer: tuple[_Peer, ...]


@dataclass(frozen=True)
class Peer:
    """One value of ``lsm=``, and what is measured with it."""

    title: str
    lsm: str
    configurations: tuple[Configuration, ...]


class Row(NamedTuple):
    """What one module costs in one configuration."""

    title: str
    measured: Measured


def peers(most: int | None = None) -> tuple[int, tuple[Peer, ...]]:
    """Calls of each operation, and who is compared, of peers.toml.

    :param most: leave out what has more rules.
    """
    file = read_toml(PEERS, _File)
    counts = [count for count in file.rules if most is None or count <= most]
    return file.calls, tuple(
        Peer(
            one.title,
            one.lsm,
            (
                *map(Configuration, one.modes),
                *(
                    Configuration(one.counted, kind, count)
                    for kind in file.kinds
                    for count in counts
                    if one.counted
                ),
            ),
        )
        for one in file.peer
    )


def run(settings: Settings, *, most: int | None = None, resume: bool = False) -> Path:
    """Measure all, show and keep it; returns the run's folder.

    :param most: rules; None for as many as peers.toml says.
    :param resume: go on where the newest run that broke off did.
    :raises UserError: an architecture that AppArmor's rules were not written for.
    :raises LabError: the kernel cannot be built, a profile not compiled, or a guest does not measure.
    """
    calls, wanted = peers(most)
    settings = replace(settings, fragment=(*settings.fragment, str(settings.root / FRAGMENT)))
    name = catalog.find(settings).name
    sets.need("plots")
    sets.need("peers")
    artifact, programs = kernel.build(settings), program.made(settings)
    confined = [one for peer in wanted if peer.lsm == "apparmor" for one in peer.configurations]
    with progress.step("Compiling AppArmor's profiles"):
        blobs = apparmor.compiled(settings.store, confined)
    about = subject_of(name, artifact, programs)
    begun = time.monotonic()
    titles = [peer.title for peer in wanted]
    found = Wanted(
        command="bench.peers",
        lab=FOLDER,
        arch=settings.arch,
        kernel=name,
        of=len(wanted),
        asked={"most": most},
        inputs=inputs_of(settings, artifact, programs, about),
    )
    failed: list[LabError] = []
    with journaled(settings.runs / FOLDER, found, resume=resume) as journal:

        def one_peer(peer: Peer) -> None:
            try:
                measured = guest.measure(
                    artifact / "bzImage", peer.configurations, journal.folder / (peer.lsm or "none"),
                    arch=settings.arch, calls=calls, programs=programs, lsm=peer.lsm, blobs=blobs,
                )  # fmt: skip
            except InfrastructureError as error:
                failed.append(error)
            else:
                journal.add(peer.title, [one.document() for one in measured])

        path = journal.folder / FILE
        try:
            with (
                progress.step(f"Measuring {len(wanted)} modules"),
                unattended.side_by_side(settings.jobs or os.cpu_count() or 1) as threads,
            ):
                list(threads.map(one_peer, (peer for peer in wanted if peer.title not in journal.results)))
        finally:
            done = [title for title in titles if title in journal.results]
            rows = [Row(title, recalled(one)) for title in done for one in journal.results[title]]
            _write(path, about, rows, [title for title in titles if title not in done])
        if failed:
            told = f"{len(failed)} of {len(wanted)} modules were not measured: {failed[0]}"
            raise InfrastructureError(told, where=path)
        picture = draw(rows, about, journal.folder)
    progress.console.print(table.peers(rows))
    progress.console.print(f"plot: {shown_path(picture)}")
    progress.console.print(f"measured in {time.monotonic() - begun:.0f} s: {shown_path(path)}")
    return journal.folder


def _write(path: Path, about: Subject, rows: Iterable[Row], missing: list[str]) -> Path:
    document = {
        "schema": SCHEMA,
        "subject": structs.asdict(about),
        "unit": "guest instructions a call",
        "missing": missing,
        "measured": [{"module": row.title, **row.measured.document()} for row in rows],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path
