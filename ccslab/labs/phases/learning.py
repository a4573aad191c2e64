# SPDX-License-Identifier: GPL-2.0-only
"""The same workload, learned; nothing may look different to the client."""

from __future__ import annotations

from ccslab.labs.guest import LEARNING
from ccslab.labs.inspection import inspect
from ccslab.labs.run import Run

NEEDS = ("a server", "a workload", "protected domains")


def run(run: Run) -> None:
    """Learn the workload, show the administrator what was learned, and keep it."""
    server = run.server
    server.guest.set_profile(LEARNING)
    server.compare(run.lab.workload)
    server.guest.typed("ccs-savepolicy")
    server.guest.typed("ccs-pstree | tail -n 20")
    server.keep_kernels("learned")
    inspect(run)
