# SPDX-License-Identifier: GPL-2.0-only
"""``results.json``: what a run found out, for programs; docs/evidence.md describes each key.

The schema's number goes up when a key changes its meaning or goes away; a new key does not raise it,
and readers pass over keys they do not know.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ccslab.errors import UserError
from ccslab.evidence import RESULTS
from ccslab.evidence.text import write_json
from ccslab.results import WANTED, AttackResult, Check, Outcome, Phase, PhaseResult, Results, Spent, What

SCHEMA = 1
_T = TypeVar("_T", str, int, float, bool, list[Any], dict[str, Any])
_E = TypeVar("_E", Phase, Outcome, What)


def write_results(results: Results, folder: Path) -> Path:
    """Write ``results.json`` of a run, however it ended; returns its path.

    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    return write_json(folder / RESULTS, to_document(results))


def to_document(results: Results) -> dict[str, Any]:
    """The results as plain JSON data of schema 1."""
    return {
        "schema": SCHEMA,
        "lab": results.lab,
        "arch": results.arch,
        "kernel": results.kernel,
        "release": results.release,
        "accel": results.accel,
        "verdict": results.verdict,
        "error": results.error,
        "finished": results.finished,
        "phases": [_phase_document(phase) for phase in results.phases],
        "attacks": [_attack_document(attack) for attack in results.attacks],
        "checks": [_check_document(check) for check in results.checks],
        "policy_memory_bytes": dict(results.policy_memory_bytes),
        "drift": list(results.drift),
        "drift_since": dict(results.drift_since),
    }


def phase_document(phase: PhaseResult, results: Results) -> dict[str, Any]:
    """What a phase found out, and of the attacks what is known by now; keys as in ``to_document``."""
    return {
        "phase": _phase_document(phase),
        "checks": [_check_document(check) for check in results.checks if check.phase is phase.name],
        "attacks": [_attack_document(attack) for attack in results.attacks if attack.outcomes],
    }


def _phase_document(phase: PhaseResult) -> dict[str, Any]:
    return {
        "name": phase.name.value,
        "seconds": phase.seconds,
        "requests": phase.requests,
        "violations": phase.violations,
        "began": phase.began,
        "spent": {
            what.value: {"seconds": round(spent.seconds, 3), "times": spent.times}
            for what, spent in phase.spent.items()
        },
    }


def _check_document(check: Check) -> dict[str, Any]:
    return {
        "phase": check.phase.value,
        "name": check.name,
        "passed": check.passed,
        "detail": check.detail,
        "seconds": check.seconds,
        "evidence": check.evidence,
    }


def _attack_document(attack: AttackResult) -> dict[str, Any]:
    outcomes = {mode.value: attack.outcomes.get(mode) for mode in WANTED}
    return {
        "name": attack.name,
        "title": attack.title,
        "passed": attack.passed,
        **{mode: outcome.value if outcome else None for mode, outcome in outcomes.items()},
        "status": {mode.value: status for mode, status in attack.status.items()},
        "audit_records": {mode.value: list(records) for mode, records in attack.records.items()},
    }


def read_results(path: Path) -> Results:
    """Read the ``results.json`` of a run (or of its folder).

    :raises UserError: it is missing, malformed or incomplete, of another schema, or its verdict does not
        follow from what it holds; names file, place in it and the mend.
    """
    path = path / RESULTS if path.is_dir() else path
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError("is missing", where=path, mend="the run has not finished, or was killed") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"is malformed: {error}", where=path, mend="run the lab again") from error
    return from_document(document, str(path))


def verdict_of(folder: Path) -> str:
    """The verdict a run's folder holds, for lists of runs: one bad file must not hide the others."""
    try:
        return read_results(folder).verdict
    except UserError:
        return "unreadable"


def from_document(document: Any, where: str = RESULTS) -> Results:
    """The results in JSON data of schema 1.

    :raises UserError: as ``read_results``.
    """
    top = _Entry(document, where)
    schema = top.get("schema", int)
    if schema != SCHEMA:
        mend = f"this ccs-lab reads schema {SCHEMA}; use the one that made it"
        raise UserError(f"is of schema {schema}", where=where, mend=mend)
    results = Results(
        lab=top.get("lab", str),
        arch=top.get("arch", str),
        kernel=top.get("kernel", str),
        release=top.get("release", str),
        accel=top.get("accel", str),
        phases=[
            PhaseResult(
                name=entry.word("name", Phase),
                seconds=entry.number("seconds"),
                requests=entry.get("requests", int),
                violations=entry.get("violations", int),
                # Runs of earlier days have no such key.
                spent=_spent(entry.entry("spent")) if "spent" in entry.data else {},
                began=entry.number("began") if "began" in entry.data else 0.0,
            )
            for entry in top.entries("phases")
        ],
        attacks=[_attack(entry) for entry in top.entries("attacks")],
        checks=[
            Check(
                phase=entry.word("phase", Phase),
                name=entry.get("name", str),
                passed=entry.get("passed", bool),
                detail=entry.get("detail", str),
                seconds=entry.number("seconds"),
                # Runs of earlier days have no such key.
                evidence=entry.get("evidence", str) if "evidence" in entry.data else "",
            )
            for entry in top.entries("checks")
        ],
        policy_memory_bytes=top.entry("policy_memory_bytes").all(int),
        drift=top.texts("drift"),
        drift_since=top.entry("drift_since").all(str) if "drift_since" in top.data else {},
        finished=top.get("finished", bool),
        error=top.get("error", str),
    )
    if (said := top.get("verdict", str)) != results.verdict:
        raise UserError(
            f"says {said!r} where its content says {results.verdict!r}", where=where, mend="run the lab again"
        )
    return results


def _spent(entry: _Entry) -> dict[What, Spent]:
    return {
        entry.key(what, What): Spent(entry.entry(what).number("seconds"), entry.entry(what).get("times", int))
        for what in entry.data
    }


def _attack(entry: _Entry) -> AttackResult:
    status = entry.entry("status")
    records = entry.entry("audit_records")
    return AttackResult(
        name=entry.get("name", str),
        title=entry.get("title", str),
        outcomes={mode: entry.word(mode, Outcome) for mode in WANTED if entry.value(mode) is not None},
        status={status.key(mode, Phase): value for mode, value in status.all(int).items()},
        records={records.key(mode, Phase): records.texts(mode) for mode in records.all(list)},
    )


class _Entry:
    """A JSON object that says where it is when it lacks something."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise self._wrong("must be an object", where)
        self.data: Mapping[str, Any] = value
        self.where = where

    def value(self, key: str) -> Any:
        if key not in self.data:
            raise self._wrong(f"lacks the key {key!r}", self.where)
        return self.data[key]

    def get(self, key: str, kind: type[_T]) -> _T:
        value = self.value(key)
        # A bool is an int to Python, and nowhere else.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self._wrong(f"{key} must be of type {kind.__name__}, not {value!r:.60}", self.where)
        return value

    def number(self, key: str) -> float:
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(f"{key} must be a number, not {value!r:.60}", self.where)
        return float(value)

    def word(self, key: str, kind: type[_E]) -> _E:
        return self._one_of(self.get(key, str), kind)

    def key(self, key: str, kind: type[_E]) -> _E:
        return self._one_of(key, kind)

    def texts(self, key: str) -> list[str]:
        values = self.get(key, list)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(f"{key} must be a list of texts", self.where)
        return values

    def all(self, kind: type[_T]) -> dict[str, _T]:
        return {key: self.get(key, kind) for key in self.data}

    def entry(self, key: str) -> _Entry:
        return _Entry(self.value(key), f"{self.where}: {key}")

    def entries(self, key: str) -> list[_Entry]:
        found = self.get(key, list)
        return [_Entry(value, f"{self.where}: {key}[{index}]") for index, value in enumerate(found)]

    def _one_of(self, text: str, kind: type[_E]) -> _E:
        try:
            return kind(text)
        except ValueError as error:
            known = ", ".join(member.value for member in kind)
            raise self._wrong(
                f"knows no {kind.__name__.lower()} {text!r:.60} (there are: {known})"
            ) from error

    def _wrong(self, what: str, where: str = "") -> UserError:
        return UserError(what, where=where or self.where, mend="run the lab again")
