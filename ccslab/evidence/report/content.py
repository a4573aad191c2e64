# SPDX-License-Identifier: GPL-2.0-only
"""What a report tells, out of a run's folder and of what was found out beside it, as plain data."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ccslab.errors import UserError
from ccslab.policy.diff import diff_domains, diff_exceptions
from ccslab.policy.domain import DomainPolicy, parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.source import read_text
from ccslab.results import Grid, Results, Row

STAGES = ("learned", "tuned", "enforcing")
RECORDS_SHOWN = 6


class Bar(NamedTuple):
    """One bar of a chart; start and length in hundredths of the whole."""

    name: str
    start: float
    length: float
    told: str
    kind: str = ""


@dataclass
class Twig:
    """A domain and those below it."""

    name: str
    domain: str = ""
    profile: int = 0
    lines: list[str] = field(default_factory=list)
    below: dict[str, Twig] = field(default_factory=dict)


class Change(NamedTuple):
    """What differs between the policies of two stages."""

    earlier: str
    later: str
    less: int
    more: int
    text: list[str]


def timeline(results: Results) -> list[Bar]:
    """The phases as they lay beside each other."""
    whole = max((phase.began + phase.seconds for phase in results.phases), default=0.0) or 1.0
    return [
        Bar(
            phase.name,
            100 * phase.began / whole,
            100 * phase.seconds / whole,
            f"{phase.seconds:.1f} s",
            "beside" if phase.beside else "",
        )
        for phase in results.phases
    ]


def measures(results: Results) -> dict[str, list[Bar]]:
    """Figures, by what they are of."""
    found: dict[str, list[Bar]] = {}
    for measure in results.measures:
        most = max(results.measured(measure.name).values()) or 1
        bar = Bar(measure.of, 0, 100 * measure.value / most, f"{measure.value:,g} {measure.unit}")
        found.setdefault(measure.name, []).append(bar)
    return found


def cost(document: Mapping[str, Any]) -> list[Bar]:
    """What requests cost when enforcing beside disabled."""
    requests = document["requests"]
    most = max(max(one["ratio"] for one in requests) - 1, 0.001)
    return [
        Bar(
            one["kind"],
            0,
            max(0.0, 100 * (one["ratio"] - 1) / most),
            f"{one['ratio'] - 1:+.1%} of {one['disabled']['median']:,.0f}",
        )
        for one in requests
    ]


def mutation(document: Mapping[str, Any]) -> dict[str, Any]:
    """What lab.mutate found out of this lab on this kernel."""
    lines = document["lines"]
    return {
        **document,
        "total": len(lines),
        "exercised": sum(one["need"] != "never exercised" for one in lines),
        "unneeded": [one for one in lines if one["need"] != "needed"],
    }


def grids(results: Results) -> list[dict[str, Any]]:
    """Each grid with its rows: what came of each column, and the records it left."""
    return [
        {
            "name": grid.name,
            "phase": grid.phase,
            "judged": grid.judged,
            "note": grid.note,
            "columns": grid.columns,
            "right": len(grid.rows) - len(grid.wrong),
            "rows": [_row(grid, row) for row in grid.rows],
        }
        for grid in results.grids
    ]


def _row(grid: Grid, row: Row) -> dict[str, Any]:
    return {
        "title": row.title,
        "group": row.group,
        "cells": [row.cells.get(column) for column in grid.columns],
        "records": {
            column: cell.records[:RECORDS_SHOWN] for column, cell in row.cells.items() if cell.records
        },
    }


def tree(folder: Path) -> Twig | None:
    """The domains when enforced; None if the run left none."""
    policy = _domains(folder, "enforcing")
    if policy is None:
        return None
    root = Twig("<kernel>")
    for domain in policy.domains.values():
        at = root
        for word in domain.name.split(" ")[1:]:
            at = at.below.setdefault(word, Twig(word))
        at.domain, at.profile = domain.name, domain.profile
        at.lines = [acl.format() for acl in domain.acls]
    return root


def walk(root: Twig) -> Iterator[tuple[Twig, bool]]:
    """Each twig as the walk comes to it (true), and, of one with others below it, as it leaves it (false).

    A guest decides how deep its domains are: nothing that is done for each of them may recurse.
    """
    coming: list[tuple[Twig, bool]] = [(root, True)]
    while coming:
        one, comes = coming.pop()
        yield one, comes
        if comes and one.below:
            coming.append((one, False))
            coming += [(next_, True) for next_ in reversed(one.below.values())]


def changes(folder: Path, guarded: Sequence[str]) -> Iterator[Change]:
    """What each stage changed in the policy of the domains that the lab guards."""
    for earlier, later in itertools.pairwise(STAGES):
        before, after = (_domains(folder, stage) for stage in (earlier, later))
        if before is None or after is None:
            continue
        parts = [diff_domains(_only(before, guarded), _only(after, guarded))]
        with contextlib.suppress(UserError):
            texts = [
                read_text(folder / "policy" / stage / "exception_policy.conf") for stage in (earlier, later)
            ]
            parts.append(diff_exceptions(*(parse_exception_policy(text) for text in texts)))
        text = [line for part in parts for line in part.lines()]
        yield Change(
            earlier,
            later,
            sum(line.startswith("-") for line in text),
            sum(line.startswith("+") for line in text),
            text,
        )


def _domains(folder: Path, stage: str) -> DomainPolicy | None:
    path = folder / "policy" / stage / "domain_policy.conf"
    try:
        return parse_domain_policy(read_text(path), str(path))
    except UserError:
        return None


def _only(policy: DomainPolicy, roots: Sequence[str]) -> DomainPolicy:
    """The domains of some roots, whatever profile they have at the moment."""
    mine = {domain.name: domain for root in roots for domain in policy.below(root)}
    for domain in mine.values():
        domain.profile = 0
    return DomainPolicy(mine)


def environment(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the run was made of and where it ran, a line each."""
    inputs, host = manifest.get("inputs", {}), manifest.get("host", {})
    kernel, image = inputs.get("kernel", {}), inputs.get("image", {})
    source = kernel.get("manifest", {}).get("source_label", "")
    told = [
        ("command", manifest.get("command_line", "")),
        ("accelerator", " - ".join(str(word) for word in manifest.get("accel", {}).values())),
        (
            "kernel",
            f"{kernel.get('manifest', {}).get('release', '')} of {source}, key {kernel.get('key', '')}",
        ),
        ("patches", ", ".join(one["name"] for one in kernel.get("manifest", {}).get("patches", []))),
        ("image", f"key {image.get('key', '')}, manifest {image.get('manifest_sha256', '')}"),
        ("lab", f"{inputs.get('lab', {}).get('folder', '')}, {inputs.get('lab', {}).get('sha256', '')}"),
        ("golden policy", str(inputs.get("golden_policy", {}).get("sha256", ""))),
        ("harness", f"commit {inputs.get('harness', {}).get('commit', '')}, {_dirt(inputs)}"),
        ("host", f"{host.get('cores', '?')} cores, {host.get('cpu', '')}, {host.get('os', '')}"),
        ("QEMU", str(host.get("qemu", ""))),
    ]
    return [(name, text) for name, text in told if text]


def _dirt(inputs: Mapping[str, Any]) -> str:
    harness = inputs.get("harness", {})
    return f"{harness.get('sha256', '')}{', changed since' if harness.get('dirty') else ''}"
