# SPDX-License-Identifier: GPL-2.0-only
"""Which part of the harness may import which: data flows one way, and so do imports (README's picture)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import ccslab

PACKAGE = Path(ccslab.__file__).parent
GROUND = {"visible", "errors", "datafile", "output", "progress", "store", "process", "settings", "sets"}
ALLOWED = {
    "sources": GROUND,
    "policy": {"errors", "datafile", "output", "visible"},  # text in, text out
    "kernel": GROUND | {"sources"},
    "rootfs": GROUND | {"sources"},
    "vm": GROUND,  # files in; how they were made is not its business
    "labs": GROUND | {"sources", "kernel", "rootfs", "policy", "vm", "results"},
    "results": set(),
    "evidence": {"errors", "visible", "output", "progress", "process", "sets", "store", "policy", "results"},
    "runs": GROUND | {"kernel", "policy", "labs", "results", "evidence"},
    "bench": GROUND | {"kernel", "rootfs", "policy", "vm", "labs", "evidence", "runs"},
    "visible": set(),
    "errors": {"visible"},
    "datafile": {"errors"},
    "output": {"errors"},
    "progress": {"visible"},
    "store": {"errors", "progress"},
    "process": {"errors", "store"},
    "settings": {"errors", "store"},
    "sets": {"errors", "process", "settings"},
    "quality": {"errors", "process", "settings", "sets", "store"},
    "tasking": {"errors", "progress", "store", "settings", "sources", "kernel"},
    "tasks": {
        "settings",
        "tasking",
        "visible",
        "kernel",
        "rootfs",
        "policy",
        "vm",
        "labs",
        "evidence",
        "runs",
        "bench",
    },
    "__main__": {"errors", "datafile", "tasking"},
    "__init__": set(),
}


def part_of(path: Path) -> str:
    """The stage or ground module a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements of a module, at any depth; expressions, which are most of it, hold no import."""
    for name in ("body", "orelse", "handlers", "finalbody", "cases"):
        for node in getattr(tree, name, ()):
            yield node
            yield from statements(node)


def imported(path: Path) -> Iterator[str]:
    """The parts of the harness a file imports, also inside functions and for types only."""
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == PACKAGE.name:
                yield rest.partition(".")[0] or "__init__"


def test_imports_follow_the_data() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert {part_of(path) for path in files} == set(ALLOWED)
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in files
        for name in imported(path)
        if name not in ALLOWED[part_of(path)] | {part_of(path)}
    ]
    assert not wrong
