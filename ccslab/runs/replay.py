# SPDX-License-Identifier: GPL-2.0-only
"""``lab.replay``: a run repeated from its manifest, and whether it finds the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccslab import progress
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, UserError
from ccslab.evidence.results import read_results
from ccslab.evidence.table import counted, shown_path
from ccslab.evidence.text import one_line
from ccslab.kernel import catalog
from ccslab.labs import definition, payload, setup
from ccslab.results import WANTED, Results
from ccslab.runs import folder as runs
from ccslab.runs.completeness import verify_complete
from ccslab.runs.manifest import read_run
from ccslab.runs.overview import settings_of
from ccslab.runs.scenario import manifest_of, scenario
from ccslab.settings import Settings

PARTS = {
    "kernel": "key",
    "image": "key",
    "lab": "sha256",
    "golden_policy": "sha256",
    "harness": "sha256",
}
"""Of each input in a manifest, the word that says whether it is the same."""


def replay(settings: Settings, named: str, *, anyway: bool = False) -> int:
    """Repeat a run; returns 0 if it finds the same, 1 if not.

    :param named: the run's folder or its name, or a lab, whose newest it is.
    :param anyway: also if what it was made of is not what is here now.
    :raises UserError: the run is incomplete, or its inputs are gone.
    """
    run = runs.find(settings.runs, named)
    if lacks := verify_complete(run.folder):
        raise UserError(f"the run is incomplete: {lacks[0]}", where=run.folder, mend="name another run")
    before, manifest = read_results(run.folder), read_run(run.folder)
    settings = settings_of(settings, run)
    if run.kernel.removesuffix("-debug") not in catalog.names(settings.root):
        raise UserError(f"kernel {run.kernel} is a tree of yours", where=run.folder, mend=_again(manifest))
    lab = payload.fitted(definition.find(run.lab, settings.root, settings.arch), settings.store)
    parts = setup.build(settings, lab.recipe)
    others = changed(manifest["inputs"], manifest_of(settings, lab, parts).inputs)
    if others and not anyway:
        commit = (
            manifest["inputs"].get("harness", {}).get("commit") or ""
        )  # null where it was no git checkout
        raise UserError(
            f"the run's {' and '.join(others)} {'is' if len(others) == 1 else 'are'} not what is here now",
            where=run.folder,
            mend=f"git checkout {commit[:12] or 'the commit of then'}, or compare nevertheless: --anyway",
        )
    scenario(settings, run.lab)
    newest = runs.latest(settings.runs, run.lab)
    found = list(differences(before, read_results(newest.folder)))
    for line in found:
        progress.console.print(f"  {line}")
    word = "the same" if not found else counted(len(found), "difference")
    progress.console.print(f"{word}: {shown_path(run.folder)} and {shown_path(newest.folder)}")
    return EXIT_VERDICT if found else EXIT_PASSED


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The inputs of a run that are others now."""
    return [
        name.replace("_", " ")
        for name, word in PARTS.items()
        if then.get(name, {}).get(word) != now.get(name, {}).get(word)
    ]


def differences(a: Results, b: Results) -> Iterator[str]:
    """What two runs found differently, a line each; times and process numbers aside."""
    for name in ("verdict", "release", "finished"):
        if getattr(a, name) != getattr(b, name):
            yield f"{name}: {getattr(a, name)}, then {getattr(b, name)}"
    of_a, of_b = ({phase.name: phase.requests for phase in one.phases} for one in (a, b))
    for name in dict.fromkeys((*of_a, *of_b)):
        if of_a.get(name) != of_b.get(name):
            yield f"phase {name}: {of_a.get(name, 'no')} requests, then {of_b.get(name, 'no')}"
    attacks_a, attacks_b = ({one.name: one for one in results.attacks} for results in (a, b))
    for attack in dict.fromkeys((*attacks_a, *attacks_b)):
        one, other = attacks_a.get(attack), attacks_b.get(attack)
        for mode in WANTED:
            seen = [
                (some.outcomes.get(mode), some.status.get(mode)) if some else None for some in (one, other)
            ]
            if seen[0] != seen[1]:
                yield f"attack {attack} when {mode}: {_told(seen[0])}, then {_told(seen[1])}"
    checks_a, checks_b = ({(c.phase, c.name): c.passed for c in results.checks} for results in (a, b))
    for key in dict.fromkeys((*checks_a, *checks_b)):
        if checks_a.get(key) != checks_b.get(key):
            held = {True: "held", False: "failed", None: "was not asked"}
            before, after = held[checks_a.get(key)], held[checks_b.get(key)]
            yield f"{key[0]}: {one_line(key[1])}: {before}, then {after}"
    for line in sorted({*a.drift} ^ {*b.drift}):
        yield f"drift {'gone' if line in a.drift else 'new'}: {one_line(line)}"


def _told(seen: tuple[object, object] | None) -> str:
    return "not tried" if seen is None else f"{seen[0] or 'not tried'} ({seen[1] or 'no'} status)"


def _again(manifest: Mapping[str, Any]) -> str:
    return f"run again what it was: {one_line(str(manifest.get('command_line', '')))}"
