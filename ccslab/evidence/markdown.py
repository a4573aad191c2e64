# SPDX-License-Identifier: GPL-2.0-only
"""Reports in Markdown: tables that are read as text, too, and harmless to whatever renders them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ccslab.evidence.text import one_line


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose columns stand below each other."""
    cells = [[_cell(str(cell)) for cell in row] for row in [head, *rows]]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def block(lines: Iterable[str]) -> str:
    """Lines as they are."""
    return "".join(f"    {one_line(line)}\n" for line in lines)


def code(text: str) -> str:
    """A policy line or a name as it is; policy has no backticks of its own outside of octal spelling."""
    return f"`{text}`"


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")
