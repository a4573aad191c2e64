# SPDX-License-Identifier: GPL-2.0-only
"""``results.json``: what a run found out, for programs; docs/evidence.md describes each key.

The schema's number goes up when a key changes its meaning or goes away; a new key does not raise it,
and readers pass over keys they do not know.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import msgspec

from ccslab.errors import UserError
from ccslab.evidence import RESULTS
from ccslab.evidence.text import write_json
from ccslab.results import Phase, Results

SCHEMA = 2
AGAIN = "run the lab again"


def write_results(results: Results, folder: Path) -> Path:
    """Write ``results.json`` of a run, however it ended; returns its path.

    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    return write_json(folder / RESULTS, to_document(results))


def to_document(results: Results) -> dict[str, Any]:
    """The results as plain JSON data."""
    return {"schema": SCHEMA, "verdict": results.verdict, **msgspec.to_builtins(results)}


def phase_document(phase: Phase, results: Results) -> dict[str, Any]:
    """What a phase found out, keys as in ``to_document``; of its grids, and of those that go on, all."""
    return {
        "phase": msgspec.to_builtins(phase),
        "checks": [msgspec.to_builtins(check) for check in results.checks if check.phase == phase.name],
        "grids": msgspec.to_builtins(results.grids),
    }


def read_results(path: Path) -> Results:
    """Read the ``results.json`` of a run (or of its folder).

    :raises UserError: it is missing, malformed or incomplete, of another schema, or its verdict does not
        follow from what it holds; names file, place in it and the mend.
    """
    path = path / RESULTS if path.is_dir() else path
    try:
        document = json.loads(path.read_bytes(), parse_constant=_no_number, parse_float=_number)
    except FileNotFoundError as error:
        raise UserError("is missing", where=path, mend="the run has not finished, or was killed") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"is malformed: {error}", where=path, mend=AGAIN) from error
    return from_document(document, str(path))


def verdict_of(folder: Path) -> str:
    """The verdict a run's folder holds, for lists of runs: one bad file must not hide the others."""
    try:
        return read_results(folder).verdict
    except UserError:
        return "unreadable"


def from_document(document: Any, where: str = RESULTS) -> Results:
    """The results in JSON data.

    :raises UserError: as ``read_results``.
    """
    if not isinstance(document, dict):
        raise UserError("must be an object", where=where, mend=AGAIN)
    if (schema := document.get("schema")) != SCHEMA:
        mend = f"this ccs-lab reads schema {SCHEMA}; use the one that made it, or run the lab again"
        raise UserError(f"is of schema {schema!r:.20}", where=where, mend=mend)
    try:
        results = msgspec.convert(document, Results)
    except (msgspec.ValidationError, RecursionError) as error:
        fault, _, place = str(error).partition(" - at ")
        raise UserError(fault, where=f"{where}{_place(place)}", mend=AGAIN) from error
    if (verdict := document.get("verdict")) != results.verdict:
        raise UserError(
            f"says {verdict!r:.60} where its content says {results.verdict!r}", where=where, mend=AGAIN
        )
    return results


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        _no_number(f"{text:.20}")
    return number


def _place(place: str) -> str:
    """A place in the document as a reader writes it: ``: checks[2].name``."""
    path = re.sub(r"^`\$\.?|`$", "", place)
    return f": {path}" if path else ""
