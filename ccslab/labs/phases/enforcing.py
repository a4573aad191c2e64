# SPDX-License-Identifier: GPL-2.0-only
"""Enforce for the protected domains, stay permissive elsewhere; nobody who behaves notices."""

from __future__ import annotations

from ccslab.labs.guest import ENFORCING
from ccslab.labs.inspection import inspect
from ccslab.labs.run import Run

NEEDS = ("a server", "a workload", "protected domains")
AFTER = ("disabled",)


def run(run: Run) -> None:
    """The whole workload again, under enforcement."""
    server = run.server
    for domain in run.lab.protected:
        server.guest.set_profile(ENFORCING, domain)
    server.compare([*run.lab.workload, *run.lab.forgotten])
    server.none_logged("nothing legitimate is denied")
    server.same_pids()
    server.measure_memory("enforcing")
    server.keep_kernels("enforcing")
    inspect(run)
    server.guest.forget_violations()
    server.attack()
