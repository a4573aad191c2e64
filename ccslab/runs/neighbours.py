# SPDX-License-Identifier: GPL-2.0-only
"""What other commands found out of the lab and the kernel of a run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from ccslab.evidence.report.page import Neighbour
from ccslab.results import Results
from ccslab.runs import folder as runs

COST = "cost"
MUTATION = "mutation"


def neighbours(folder: Path, results: Results) -> Mapping[str, Neighbour]:
    """By name, what there is of it.

    :param folder: the run's.
    """
    found = {
        COST: _newest(folder.parent / COST, results, "cost.json"),
        MUTATION: _newest(folder.parent / MUTATION, results, "mutation.json", only=""),
    }
    return {name: one for name, one in found.items() if one}


def _newest(folder: Path, results: Results, name: str, **wanted: object) -> Neighbour | None:
    """The newest whole document of this name of the same lab, kernel and architecture.

    :param wanted: what it must say of itself.
    """
    of_it = (results.lab, results.arch, results.kernel)
    for one in reversed(runs.listed(folder, results.lab)):
        if (one.lab, one.arch, one.kernel) == of_it:
            with contextlib.suppress(OSError, ValueError):
                document = json.loads((one.folder / name).read_text())
                whole = not document.get("missing")
                if whole and all(document.get(key) == value for key, value in wanted.items()):
                    return Neighbour(one.folder.name, document)
    return None
