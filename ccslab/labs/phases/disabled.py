# SPDX-License-Identifier: GPL-2.0-only
"""What the server answers without TOMOYO, to which all later answers are compared."""

from __future__ import annotations

from ccslab.labs.inspection import inspect
from ccslab.labs.run import Run
from ccslab.labs.step import HttpStep

NEEDS = ("a server", "a workload")


def run(run: Run) -> None:
    """Keep each answer, and the services' PIDs.

    The undisturbed server answers each step as its file says; else the lab itself is broken.
    """
    server = run.server
    steps = [*run.lab.workload, *run.lab.forgotten]
    for exchange in server.send(steps):
        server.baseline[exchange.name] = exchange
    for step in steps:
        if isinstance(step, HttpStep) and step.status is not None:
            status = server.baseline[step.name].status
            run.check(f"{step.name} answers", status == step.status, f"{status}, not {step.status}")
    server.pids = server.guest.pids()
    inspect(run)
    server.attack()
