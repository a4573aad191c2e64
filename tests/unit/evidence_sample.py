# SPDX-License-Identifier: GPL-2.0-only
"""Made-up results of a run, for the tests of what is made of results."""

from __future__ import annotations

import json
from pathlib import Path

from ccslab.results import WANTED, AttackResult, Check, Outcome, Phase, PhaseResult, Results, Spent, What

RECORD = (
    "#2026/11/22 05:31:07# profile=3 mode=enforcing granted=no (global-pid=812) task={ pid=812 }\n"
    "<kernel> /usr/sbin/apache2 /usr/lib/cgi-bin/sample.cgi\nfile read /etc/shadow"
)


def attack(name: str, title: str, **outcomes: Outcome) -> AttackResult:
    """An attack that met its fate, but for the outcomes given by mode."""
    met = {mode: outcomes.get(mode.value, wanted) for mode, wanted in WANTED.items()}
    return AttackResult(
        name, title, outcomes=met, status={Phase.ENFORCING: 403}, records={Phase.ENFORCING: [RECORD]}
    )


def passed() -> Results:
    """A run in which all went well."""
    return Results(
        lab="sample-lab",
        arch="x86_64",
        kernel="6.12",
        release="6.12.0-ccs",
        accel="tcg",
        phases=[PhaseResult(phase, 10.5, 20, 3, {What.HTTP: Spent(9.5, 20)}) for phase in Phase],
        attacks=[
            attack("shadow", "A CGI reads /etc/shadow"),
            attack(
                "injection", "A command is injected into a form's field, and a shell of the server runs it"
            ),
        ],
        checks=[
            Check(Phase.BOOT, "the kernel is protected", True, seconds=0.25),
            Check(Phase.TUNED, "tuning saves policy memory", True),
            Check(Phase.ENFORCING, "nothing legitimate is denied", True, seconds=1.5),
        ],
        policy_memory_bytes={"learned": 1_234_567, "tuned": 98_304, "enforcing": 98_304},
        drift=[],
        finished=True,
    )


def failed() -> Results:
    """A run that came to its end, with one check and one attack that did not."""
    results = passed()
    results.attacks[1].outcomes[Phase.ENFORCING] = Outcome.UNDENIED
    results.checks.append(
        Check(Phase.ENFORCING, "the PIDs are unchanged", False, "[red]812[/red] became 901")
    )
    results.drift = [f"+ file read /var/www/{number}" for number in range(11)]
    results.drift.insert(
        0, "<kernel> /usr/sbin/apache2 /usr/lib/cgi-bin/sample.cgi: + file execute /bin/dash exec.argc=3"
    )
    return results


def broken() -> Results:
    """A run that an error ended while it learned."""
    results = passed()
    results.phases = results.phases[:3]
    results.checks = results.checks[:1]
    results.attacks[0].outcomes = {Phase.DISABLED: Outcome.SUCCEEDED}
    results.attacks[1].outcomes = {}
    results.finished = False
    results.error = "console.log: the guest panicked - look at its last lines"
    return results


def artifact(folder: Path, **manifest: object) -> Path:
    """An artifact's folder with a manifest."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def fill(folder: Path) -> None:
    """What engine and guest leave in a run's folder."""
    (folder / "console.log").write_text("sample login:\n")
    (folder / "console.cast").write_text('{"version": 2, "width": 80, "height": 25}\n[0.1, "o", "login:"]\n')
    (folder / "audit.log").write_text(RECORD)
    for stage in ("learned", "tuned", "enforcing"):
        (folder / "policy" / stage).mkdir(parents=True)
        (folder / "policy" / stage / "domain_policy.conf").write_text("<kernel>\nuse_profile 1\n")
