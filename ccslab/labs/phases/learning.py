# SPDX-License-Identifier: GPL-2.0-only
"""The same workload, learned; nothing may look different to the client."""

from __future__ import annotations

from ccslab.labs.guest import LEARNING
from ccslab.labs.inspection import inspect
from ccslab.labs.run import Run

NEEDS = ("a server", "a workload", "protected domains")
AFTER = ("disabled",)


def run(run: Run) -> None:
    """Learn the workload, show the administrator what was learned, and keep it."""
    server = run.server
    before = server.guest.domains()
    for domain in run.lab.protected:
        run.check(f"{domain} is a domain", domain in before.domains, "no program has run in it: see lab.toml")
    server.guest.set_profile(LEARNING)
    server.compare(run.lab.workload)
    server.guest.typed("ccs-savepolicy")
    server.guest.typed("ccs-pstree | tail -n 20")
    server.keep_kernels("learned")
    learned = server.guest.domains()
    for domain in run.lab.protected:
        rules = sum(len(one.acls) for one in learned.below(domain))
        run.check(f"{domain} learned something", rules > 0, "the workload makes it do nothing")
    inspect(run)
