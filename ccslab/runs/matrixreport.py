# SPDX-License-Identifier: GPL-2.0-only
"""What a matrix leaves: the table at its end, the same in Markdown, and a JUnit file with a suite a cell."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ccslab.errors import UserError
from ccslab.evidence import junit, markdown
from ccslab.evidence.results import read_results
from ccslab.evidence.table import STYLES, counted, plain_table, show, shown_path, size
from ccslab.evidence.text import one_line, visible, write
from ccslab.runs.cell import VERDICTS, Cell, State
from ccslab.runs.matrix import Matrix
from ccslab.runs.parity import Pair

REPORT = "matrix.md"
HEAD = ("lab", "kernel", "arch", "verdict", "build", "run", "as wanted", "drift", "memory")


def write_reports(matrix: Matrix, pairs: list[Pair], folder: Path) -> Path:
    """Write ``junit.xml`` and ``matrix.md``; returns the latter's path.

    :param folder: the folder of all runs.
    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    tree = suites(matrix, folder)
    ET.indent(tree)
    write(matrix.folder / junit.JUNIT, ET.tostring(tree, encoding="utf-8", xml_declaration=True) + b"\n")
    return write(matrix.folder / REPORT, text(matrix, pairs).encode())


def show_matrix(matrix: Matrix, pairs: list[Pair], folder: Path, console: Console) -> None:
    """The table at the end.

    :param folder: the folder of all runs.
    """
    table = plain_table(title(matrix))
    head = heads(matrix)
    for name in head:
        # Of all columns the kernel's name is the one that may be folded.
        named = name == "kernel"
        left = named or name in ("lab", "arch", "verdict")
        table.add_column(name, justify="left" if left else "right", no_wrap=not named, overflow="fold")
    for cell in matrix.cells:
        texts = dict(zip(head, row(matrix, cell), strict=True))
        style = {"verdict": STYLES.get(cell.state, "")}
        table.add_row(*(Text(text, style.get(name, ""), overflow="fold") for name, text in texts.items()))
    show(table, console)
    for cell in matrix.cells:
        console.print(Text(f"{cell.name}: {shown_path(place(matrix, cell, folder))}"))
        if cell.why:
            show(Padding(Text(one_line(cell.why), STYLES.get(cell.state, "")), (0, 0, 0, 2)), console)
    for pair in pairs:
        console.print(Text(parity_line(pair), STYLES["passed" if pair.passed else "failed"]))
    verdict = verdict_of(matrix)
    line = Text(verdict.upper(), STYLES[verdict])
    console.print(line.append(f": {shown_path(matrix.folder / REPORT)}", "default"))


def title(matrix: Matrix) -> str:
    """How many cells ended how."""
    counts = [(state, sum(cell.state is state for cell in matrix.cells)) for state in State]
    return f"Matrix of {matrix.lab}: " + ", ".join(f"{count} {state}" for state, count in counts if count)


def verdict_of(matrix: Matrix) -> str:
    """``passed``, ``failed``, or ``error`` if a cell came to no verdict."""
    return {0: "passed", 1: "failed"}.get(matrix.code, "error")


def heads(matrix: Matrix) -> list[str]:
    """The columns: of one lab without its name."""
    return list(HEAD if any(cell.lab for cell in matrix.cells) else HEAD[1:])


def row(matrix: Matrix, cell: Cell) -> list[str]:
    """A cell's figures, by ``heads``."""
    known = cell.state in VERDICTS
    figures = {
        "lab": cell.lab,
        "kernel": cell.kernel,
        "arch": cell.arch,
        "verdict": cell.state + (" *" if cell.taken_over else ""),
        "build": clock(cell.build_s),
        "run": clock(cell.run_s) if cell.run_s else "-",
        "as wanted": f"{cell.right}/{cell.tried}" if known and cell.tried else "-",
        "drift": str(cell.drift) if known and cell.drift is not None else "-",
        "memory": size(cell.policy_memory_bytes) if known and cell.policy_memory_bytes else "-",
    }
    return [figures[name] for name in heads(matrix)]


def clock(seconds: float) -> str:
    """Seconds as a clock shows them: ``0:04``, ``9:41``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def place(matrix: Matrix, cell: Cell, folder: Path) -> Path:
    """Where a cell's evidence is: its run's folder, or what its processes said if it has none."""
    return folder / cell.run if cell.run else matrix.folder / cell.log


def parity_line(pair: Pair) -> str:
    """Whether a kernel's policies are the same on two architectures."""
    found = pair.stages["enforcing"]
    equal = counted(len(found.equal), "line")
    return (
        f"parity {pair.kernel}: {equal} equal, "
        f"{len(found.declared)} differ as declared, {pair.undeclared} undeclared"
    )


def text(matrix: Matrix, pairs: list[Pair]) -> str:
    """The report in Markdown."""
    started = matrix.living.run.started
    out = [f"# {title(matrix)}\n\nStarted {started:%Y-%m-%d %H:%M} UTC"]
    if matrix.ended:
        out.append(f", ended {matrix.ended:%Y-%m-%d %H:%M} UTC")
    out.append(".\nMemory is what the kernel uses for policy when enforcing.\n\n")
    out.append(markdown.table(heads(matrix), (row(matrix, cell) for cell in matrix.cells)))
    if any(cell.taken_over for cell in matrix.cells):
        out.append("\n\\* taken over from this matrix before it was killed\n")
    if any(cell.why for cell in matrix.cells):
        out.append("\n## What went wrong\n\n")
        out += [f"- {cell.name} {cell.state}: {one_line(cell.why)}\n" for cell in matrix.cells if cell.why]
    out.append("\n## Runs\n\n")
    out.append(markdown.table(("cell", "evidence"), ((one.name, one.run or one.log) for one in matrix.cells)))
    if pairs:
        out.append("\n## Parity\n\n")
        out += [f"- {parity_line(pair)}\n" for pair in pairs]
    return "".join(out)


def suites(matrix: Matrix, folder: Path) -> ET.Element:
    """The JUnit document's root: a suite a cell, with its run's checks and rows."""
    root = ET.Element("testsuites", name=visible(f"ccs-lab {matrix.lab} matrix"))
    for cell in matrix.cells:
        name = visible(f"{cell.lab or matrix.lab}.{cell.kernel}.{cell.arch}")
        suite = ET.SubElement(root, "testsuite", name=name, time=f"{cell.build_s + cell.run_s:.3f}")
        try:
            run = folder / cell.run
            cases = junit.build(read_results(run), run).iter("testcase") if cell.run else iter(())
        except UserError:
            cases = iter(())
        for case in cases:
            case.set("classname", f"{name}.{case.get('classname', '')}")
            suite.append(case)
        if cell.state is State.ERROR and not any(case.find("error") is not None for case in suite):
            junit.mark(junit.add_case(suite, "the cell comes to a verdict", 0.0), "error", cell.why)
    return junit.count_all(root)
