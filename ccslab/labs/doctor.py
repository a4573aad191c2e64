# SPDX-License-Identifier: GPL-2.0-only
"""What ``lab.doctor`` looks at: whether this machine can do what the labs need, each with its mend."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from ccslab.errors import EXIT_INFRASTRUCTURE, EXIT_PASSED, InfrastructureError, LabError
from ccslab.labs import supply
from ccslab.process import need
from ccslab.progress import console
from ccslab.rootfs import enclosure
from ccslab.settings import Settings
from ccslab.sources import mirrors
from ccslab.store import cache, disk_errors
from ccslab.vm import accel

FREE_GIB = 12
MEMORY_GIB = 3


def examine(settings: Settings) -> int:
    """Print one row a check; returns 0, or 3 if something is missing that the next lab needs."""
    table = Table("check", "state", "what was seen", box=box.SIMPLE_HEAD)
    healthy = True
    for name, look in _checks(settings):
        try:
            seen = look()
        except LabError as error:
            healthy = False
            table.add_row(name, Text("missing", "red"), Text(str(error)))
        else:
            table.add_row(name, Text("ok", "green"), Text(seen))
    try:
        things = supply.things(settings)
    except InfrastructureError:  # of the cache, whose row says it
        things, healthy = [], False
    suites = supply.look(things)
    for suite in suites:
        state = Text("ok", "green") if not suite.error else Text("missing", "red")
        if suite.error and not suite.lacking:
            state = Text("not needed", "yellow")
        table.add_row(suite.name, state, Text(suite.summary))
    lacking = list(dict.fromkeys(name for suite in suites for name in suite.lacking))
    console.print(table)
    healthy = healthy and not set(lacking) & {thing.name for thing in things if thing.wanted}
    console.print(Text(_verdict(healthy, [thing.name for thing in things], lacking)))
    return EXIT_PASSED if healthy else EXIT_INFRASTRUCTURE


def _verdict(healthy: bool, names: Sequence[str], lacking: Sequence[str]) -> str:
    if not healthy:
        cannot = f" ({', '.join(lacking)} cannot be fetched)" if lacking else ""
        return f"this machine is not ready{cannot}: mend what is missing, then look again"
    if not lacking:
        return "this machine is ready"
    able = ", ".join(name for name in names if name not in lacking)
    return f"this machine is ready for {able}; not for {', '.join(lacking)}"


def _checks(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    for program, package in (
        ("gcc", "build-essential"), ("make", "build-essential"), ("ccache", "ccache"), ("patch", "patch"),
        ("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs"), ("qemu-system-x86_64", "qemu-system-x86"),
        ("qemu-img", "qemu-utils"), ("ssh-keygen", "openssh-client"),
    ):  # fmt: skip
        yield program, lambda program=program, package=package: need(program, package)  # type: ignore[misc]
    yield "Debian mirrors", lambda: str(mirrors.host())
    yield "Debian's keys", lambda: str(mirrors.keyring())
    yield "accelerator", lambda: str(accel.choose(settings.accel, settings.store))
    yield "root or user namespaces", enclosure.probe
    yield "cache folder", lambda: _disk(settings.store.root)
    yield "memory", _memory


def _disk(root: Path) -> str:
    cache.check(root)
    there = root
    while not there.exists():
        there = there.parent
    with disk_errors(there), tempfile.TemporaryFile(dir=there):
        free = shutil.disk_usage(there).free / 2**30
    if free < FREE_GIB:
        raise InfrastructureError(
            f"{free:.0f} GiB free, a first run needs {FREE_GIB}",
            where=root,
            mend="choose another with CCSLAB_CACHE=DIR",
        )
    return f"{root}, {free:.0f} GiB free"


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if total < MEMORY_GIB:
        raise InfrastructureError(f"{total:.1f} GiB, a guest and its host need {MEMORY_GIB}")
    return f"{total:.0f} GiB, {os.cpu_count()} cores"
