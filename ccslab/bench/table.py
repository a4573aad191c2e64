# SPDX-License-Identifier: GPL-2.0-only
"""What the terminal shows of measurements; all in guest instructions a call."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from ccslab.bench.comparison import Difference
from ccslab.bench.measurement import Measured, Measurement
from ccslab.bench.plan import ABSENT, BESIDE
from ccslab.evidence.table import plain_table

WALKED = ("open+close", "stat", "create+unlink", "fork+exec")
"""The operations shown of configurations with further rules."""
PEERS = ("open+close", "stat")
"""The operations shown of other modules."""


def by_mode(measurement: Measurement) -> Table:
    """Operations by mode; the ratio is that of enforcing to disabled."""
    plain = {mode: one for mode, one in _plain(measurement).items() if mode not in (ABSENT, BESIDE)}
    table = numbers("Instructions a call", "operation", [*plain, "ratio"])
    both = {"enforcing", "disabled"} <= set(plain)
    for name in next(iter(plain.values())).figures if plain else ():
        figures = {mode: one.figures[name].median for mode, one in plain.items()}
        ratio = f"{figures['enforcing'] / figures['disabled']:.3f}" if both else "-"
        table.add_row(name, *(f"{figure:,}" for figure in figures.values()), ratio)
    return table


def when_disabled(measurement: Measurement) -> Table:
    """What a call pays for being disabled: before anyone was checked in this guest, and afterwards."""
    plain = _plain(measurement)
    heads = ["not in lsm", *(head for mode in ("disabled", "beside others") for head in (mode, "more"))]
    table = numbers("Disabled, and disabled beside others that are checked", "operation", heads)
    if not {ABSENT, "disabled", BESIDE} <= set(plain):
        return table
    for name, base in plain[ABSENT].figures.items():
        figures = [plain[mode].figures[name].median for mode in ("disabled", BESIDE)]
        shown = (text for figure in figures for text in (f"{figure:,}", f"{figure - base.median:+,}"))
        table.add_row(name, f"{base.median:,}", *shown)
    return table


def by_rules(measurement: Measurement) -> Table:
    """How the figures grow with the rules that stand before the ones that are needed."""
    table = numbers("Rules before the matching one", "mode, kind", ["rules", *WALKED])
    for one in measurement.measured:
        if one.configuration.count:
            told = one.configuration
            figures = (f"{one.figures[name].median:,}" for name in WALKED)
            table.add_row(f"{told.mode}, {told.kind}", f"{told.count:,}", *figures)
    return table


def peers(rows: Sequence[tuple[str, Measured]]) -> Table:
    """Modules, one state a row; each operation's cost, and by how much it is more than the first row's."""
    base = rows[0][1].figures
    heads = [head for name in PEERS for head in (name, "more")]
    table = numbers("Instructions a call, one kernel", "module, state", ["rules", *heads])
    for title, one in rows:
        told = one.configuration
        name = title if told.mode == ABSENT else f"{title}, {told.mode}"
        rules = f"{told.count:,} {told.kind}" if told.count else "-"
        figures = [(one.figures[name].median, base[name].median) for name in PEERS]
        table.add_row(
            name, rules, *(told for cost, least in figures for told in (f"{cost:,}", f"{cost - least:+,}"))
        )
    return table


def _plain(measurement: Measurement) -> dict[str, Measured]:
    """What was measured without further rules, by mode."""
    return {one.configuration.mode: one for one in measurement.measured if not one.configuration.count}


def compared(found: Sequence[Difference], names: tuple[str, str]) -> Table:
    """Differences, one a row."""
    table = numbers("", "configuration", ["operation", *names, "difference"])
    for one in found:
        table.add_row(
            one.configuration, one.operation, f"{one.before:,}", f"{one.after:,}", f"{one.share:+.1%}"
        )
    return table


def numbers(title: str, first: str, others: Sequence[str]) -> Table:
    """A table whose first column names what the others are the figures of."""
    table = plain_table(title)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table
