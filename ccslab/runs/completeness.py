# SPDX-License-Identifier: GPL-2.0-only
"""Whether a run's folder holds all that a finished run leaves."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from ccslab.errors import UserError
from ccslab.evidence import RESULTS
from ccslab.evidence.junit import JUNIT
from ccslab.evidence.results import read_results
from ccslab.labs.smallguest import FOLDER as GUEST
from ccslab.policy.audit import FILE as AUDIT
from ccslab.results import Results
from ccslab.runs.manifest import MANIFEST, read_manifest

RECORDS = {"console.log": "what the serial console said", "console.cast": "the recording of the console"}
STAGES = {"learning": "learned", "tuned": "tuned", "enforcing": "enforcing"}
"""Of a phase the folder of ``policy/`` that it leaves; and whoever has one leaves audit records."""
INPUTS = ("kernel", "lab", "golden_policy", "harness")


def verify_complete(folder: Path) -> list[str]:
    """What a finished run's folder lacks, one line each; empty for a whole one.

    A run that ended in an error, or with a kernel that died, owes its results, JUnit file, manifest and
    console log, not what it did not live to see.
    """
    lacks: list[str] = []
    results = Results("", "", "")
    try:
        results = read_results(folder / RESULTS)
    except UserError as error:
        lacks.append(f"{RESULTS}: {error.what}")
    lacks += _junit(folder / JUNIT)
    lacks += _manifest(folder / MANIFEST)
    # A guest of an initramfs has a folder of its own.
    guest = folder / GUEST if (folder / GUEST).is_dir() else folder
    for name, meaning in RECORDS.items():
        if (results.finished or name == "console.log") and not _filled(guest / name):
            lacks.append(f"{name}: is missing or empty ({meaning})")
    if not results.finished or results.died:
        return lacks
    stages = [STAGES[phase.name] for phase in results.phases if phase.name in STAGES]
    if stages and not _filled(folder / AUDIT):
        lacks.append(f"{AUDIT}: is missing or empty (the audit records)")
    lacks += [
        f"policy/{stage}: holds no policy"
        for stage in stages
        if not any(map(_filled, (folder / "policy" / stage).glob("*")))
    ]
    if _filled(guest / "console.cast"):
        lacks += _cast(guest / "console.cast")
    return lacks


def _filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _junit(path: Path) -> list[str]:
    try:
        cases = list(ET.parse(path).getroot().iter("testcase"))  # noqa: S314 (written by junit.py)
    except FileNotFoundError:
        return [f"{path.name}: is missing"]
    except (OSError, ET.ParseError) as error:
        return [f"{path.name}: is malformed: {error}"]
    return [] if cases else [f"{path.name}: holds no test"]


def _manifest(path: Path) -> list[str]:
    try:
        document = read_manifest(path)
    except UserError as error:
        return [f"{path.name}: {error.what}" if path.exists() else f"{path.name}: is missing"]
    inputs = document.get("inputs")
    absent = [key for key in INPUTS if not isinstance(inputs, dict) or not inputs.get(key)]
    lacks = [f"{path.name}: names no {key}" for key in absent]
    return lacks if document.get("ended") else [*lacks, f"{path.name}: says no end"]


def _cast(path: Path) -> list[str]:
    """An asciicast v2 begins with a line of JSON that says so."""
    with path.open(errors="replace") as stream:
        first = stream.readline()
    try:
        version = json.loads(first)["version"]
    except (ValueError, KeyError, TypeError):
        version = None
    return [] if version == 2 else [f"{path.name}: is no asciicast v2"]
