# SPDX-License-Identifier: GPL-2.0-only
"""Pictures of a measurement: what each mode costs, and how the cost grows with the rules."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ccslab.bench.measurement import Measured, Measurement, Subject
from ccslab.bench.plan import ABSENT, BESIDE, DENIES, PROFILES

if TYPE_CHECKING:  # of a set that is installed when something is to be drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

MODES = "modes.svg"
RULES = "rules.svg"
PEERS = "peers.svg"
COLOURS = (
    "#4477aa",
    "#66ccee",
    "#228833",
    "#ccbb44",
    "#ee6677",
    "#aa3377",
)  # told apart by colour-blind people
KINDS = ("exact", "wildcard")
MARKS = ("o", "s", "^", "D", "v", "P")
SIZE = (8.0, 4.5)


def draw(found: Measurement, folder: Path) -> list[Path]:
    """``modes.svg`` and ``rules.svg`` in a folder, as far as they were measured; the same bytes each time."""
    with _style():
        drawn = [(MODES, _modes(found)), (RULES, _rules(found))]
        paths = []
        for name, picture in drawn:
            if picture is not None:
                picture.savefig(folder / name, metadata={"Date": None})
                paths.append(folder / name)
    return paths


def _modes(found: Measurement) -> Picture | None:
    """Each operation by mode, as a multiple of what it costs without protection."""
    plain = {one.configuration.mode: one.figures for one in found.measured if not one.configuration.count}
    base = ABSENT if ABSENT in plain else "disabled"
    others = [mode for mode in PROFILES if mode in plain and mode not in (base, BESIDE)]
    if base not in plain or not others:
        return None
    picture, axes = _canvas(
        f"What protection costs: TOMOYO on {found.subject.release} ({found.subject.arch})"
    )
    names = list(plain[base])
    width = 0.8 / len(others)
    for number, mode in enumerate(others):
        heights = [plain[mode][name].median / plain[base][name].median for name in names]
        places = [place + (number - (len(others) - 1) / 2) * width for place in range(len(names))]
        axes.bar(places, heights, width, label=mode, color=COLOURS[number])
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xticks(
        range(len(names)), [f"{name}\n{plain[base][name].median:,}" for name in names], fontsize=7.5
    )
    axes.set_ylabel(f"instructions, as a multiple of {base.replace('-', ' ')}")
    axes.set_ylim(bottom=0)
    picture.legend(frameon=False, ncols=len(others), fontsize=8, loc="outside lower center")
    return picture


def _rules(found: Measurement, operations: Sequence[str] = ("open+close", "stat")) -> Picture | None:
    """Two operations when enforcing, by the rules before the matching one; both axes logarithmic."""
    kinds = _kinds(found, operations)
    floor = next((one.figures for one in found.measured if one.configuration.name == "enforcing"), None)
    if floor is None or not kinds:
        return None
    picture, axes = _canvas(f"Rules before the matching one: {found.subject.release} ({found.subject.arch})")
    # Rules for reading are not looked into when something else is asked for, whatever their kind.
    lines = [
        (name, kind) for name in operations for kind in kinds if name == operations[0] or kind == "exact"
    ]
    for number, (name, kind) in enumerate(lines):
        counts = sorted(kinds[kind])
        axes.loglog(
            counts, [kinds[kind][count][name] for count in counts],
            marker=MARKS[number], color=COLOURS[number], label=f"{name}, {kind}",
        )  # fmt: skip
    for name, side in zip(operations, ("bottom", "top"), strict=True):
        cost = floor[name].median
        axes.axhline(cost, color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"{name}, no further rule: {cost:,}", (1, cost), xycoords=("axes fraction", "data"),
            ha="right", va=side, fontsize=8, color="grey",
        )  # fmt: skip
    axes.set_xlabel("rules before the matching one")
    axes.set_ylabel("instructions a call, enforcing")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return picture


def _kinds(found: Measurement, operations: Sequence[str]) -> dict[str, dict[int, dict[str, int]]]:
    """What operations cost when enforcing, by the kind and the number of rules."""
    kinds: dict[str, dict[int, dict[str, int]]] = {}
    for one in found.measured:
        told = one.configuration
        if told.mode == "enforcing" and told.count:
            costs = {name: one.figures[name].median for name in operations}
            kinds.setdefault(told.kind, {})[told.count] = costs
    return kinds


def compare(pair: Sequence[Measurement], path: Path, operation: str = "open+close") -> bool:
    """One operation of two measurements, by the rules before the matching one; False if none has any."""
    found = [_kinds(one, (operation,)) for one in pair]
    shared = [kind for kind in found[0] if kind in found[1]]
    if not shared:
        return False
    with _style():
        picture, axes = _canvas(f"Rules before the matching one ({pair[0].subject.arch})")
        for one, kinds, line in zip(pair, found, ("--", "-"), strict=True):
            for number, kind in enumerate(shared):
                counts = sorted(kinds[kind])
                axes.loglog(
                    counts, [kinds[kind][count][operation] for count in counts], line,
                    marker=MARKS[number], color=COLOURS[number], label=f"{one.subject.release}: {kind}",
                )  # fmt: skip
        axes.set_xlabel("rules before the matching one, or members of its group")
        axes.set_ylabel(f"instructions of {operation}, enforcing")
        picture.legend(frameon=False, ncols=2, fontsize=8, handlelength=4, loc="outside lower center")
        picture.savefig(path, metadata={"Date": None})
    return True


def peers(rows: Sequence[tuple[str, Measured]], about: Subject, folder: Path) -> Path:
    """``peers.svg``: two operations of each module that enforces, by the rules before the matching one."""
    with _style():
        picture, axes = _canvas(f"Side by side: {about.release} ({about.arch})")
        base = rows[0][1].figures
        for name, line in (("open+close", "-"), ("stat", "--")):
            series: dict[str, list[tuple[int, int]]] = {}
            for title, one in rows:
                told = one.configuration
                if told.mode in DENIES:
                    kinds = [told.kind] if told.count else KINDS
                    for kind in kinds:
                        cost = one.figures[name].median - base[name].median
                        series.setdefault(f"{title}, {kind}", []).append((max(told.count, 1), cost))
            for number, (label, points) in enumerate(series.items()):
                counts, costs = zip(*sorted(points), strict=True)
                axes.semilogx(
                    counts, costs, line, marker=MARKS[number], color=COLOURS[number], label=f"{name}: {label}"
                )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("rules before the matching one (1: none)")
        axes.set_ylabel("instructions a call, more than without a module")
        picture.legend(frameon=False, ncols=2, fontsize=8, loc="outside lower center")
        picture.savefig(folder / PEERS, metadata={"Date": None})
    return folder / PEERS


def _style() -> AbstractContextManager[None]:
    import matplotlib as mpl  # noqa: PLC0415

    return mpl.rc_context({"svg.hashsalt": "ccs-lab", "svg.fonttype": "none", "font.size": 10})


def _canvas(title: str) -> tuple[Picture, Axes]:
    from matplotlib.figure import Figure  # noqa: PLC0415

    picture = Figure(figsize=SIZE, layout="constrained")
    axes = picture.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return picture, axes
