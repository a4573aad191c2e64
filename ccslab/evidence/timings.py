# SPDX-License-Identifier: GPL-2.0-only
"""Where the time of a run went, phase by phase."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ccslab.evidence.table import plain_table
from ccslab.evidence.text import one_line
from ccslab.results import Phase, Results, Spent, What


def timings(results: Results) -> Table:
    """Wall seconds of each phase, by what was waited for; how often, in the last line."""
    shown = [what for what in What if any(what in phase.spent for phase in results.phases)]
    table = plain_table("Where the time went, in seconds")
    table.padding = (0, 0)  # ten columns in a terminal's 80
    for name in ("phase", "all", *shown):
        table.add_column(name, justify="left" if name == "phase" else "right", no_wrap=True)
    for phase in results.phases:
        table.add_row(
            Text(one_line(phase.name)),
            f"{phase.seconds:.1f}",
            *(_seconds(phase.spent.get(what)) for what in shown),
        )
    totals = [_total(results.phases, what) for what in shown]
    table.add_section()
    table.add_row(
        "together",
        f"{sum(phase.seconds for phase in results.phases):.1f}",
        *(_seconds(one) for one in totals),
    )
    table.add_row(Text("times", "dim"), "", *(Text(str(one.times), "dim") for one in totals))
    return table


def _total(phases: Sequence[Phase], what: What) -> Spent:
    found = [phase.spent[what] for phase in phases if what in phase.spent]
    return Spent(sum(one.seconds for one in found), sum(one.times for one in found))


def _seconds(spent: Spent | None) -> str:
    return f"{spent.seconds:.1f}" if spent else ""
