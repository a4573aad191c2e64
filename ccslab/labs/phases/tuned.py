# SPDX-License-Identifier: GPL-2.0-only
"""Generalise what was learned, load it into the running kernel, and name what the kernel dropped."""

from __future__ import annotations

from ccslab.labs import tuning
from ccslab.labs.run import Run

NEEDS = ("a server", "rules", "protected domains")
AFTER = ("learning",)


def run(run: Run) -> None:
    """From what was learned to what is to be enforced, and how that drifts from the golden policy."""
    server = run.server
    learned, exceptions = server.guest.domains(), server.guest.exceptions()
    before = server.measure_memory("learned")
    policy, groups = tuning.tune(run.lab, learned, exceptions)
    server.load("tuned", policy, groups, replace=True)
    after = server.measure_memory("tuned")
    run.check("tuning saves policy memory", after < before, f"{before} bytes before, {after} after")
    run.results.drift = tuning.drift(run.lab, policy, groups)
    if run.update_golden:
        tuning.write_golden(run.lab, policy, groups)
