# SPDX-License-Identifier: GPL-2.0-only
"""A legitimate access that was denied is added to the running kernel, and works."""

from __future__ import annotations

from ccslab.labs.guest import ENFORCING
from ccslab.labs.run import Run
from ccslab.labs.step import HttpStep

NEEDS = ("a server", "a repair", "protected domains")
AFTER = ("disabled", "enforcing")


def run(run: Run) -> None:
    """Denied, read in the log, allowed from it, granted: without a restart."""
    server = run.server
    server.guest.forget_violations()
    steps = [step for step in run.lab.repair if isinstance(step, HttpStep)]
    refused = [exchange.status for exchange in server.send(run.lab.repair)]
    run.check(
        "the unlearned access is denied",
        bool(refused) and all(code >= 400 for code in refused),
        f"{refused or 'the lab has no request for it'}",
    )
    server.guest.typed("tail -n 4 /var/log/tomoyo/reject_003.log")
    server.allow(server.violations(), ENFORCING)
    granted = [exchange.status for exchange in server.send(run.lab.repair)]
    wanted = [step.status for step in steps]
    run.check("added live, it works", granted == wanted, f"{granted}, expected {wanted}")
    server.same_pids()
