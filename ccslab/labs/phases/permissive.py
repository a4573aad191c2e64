# SPDX-License-Identifier: GPL-2.0-only
"""Violations are logged, not denied: none by the workload, exactly its own by a CGI never learned."""

from __future__ import annotations

from ccslab.labs import tuning
from ccslab.labs.guest import PERMISSIVE
from ccslab.labs.inspection import inspect
from ccslab.labs.run import Run

NEEDS = ("a server", "a workload", "protected domains")
AFTER = ("disabled",)


def run(run: Run) -> None:
    """The learned workload, then what nobody learned; that is added to the running kernel."""
    server = run.server
    server.guest.set_profile(PERMISSIVE)
    server.guest.forget_violations()
    if any(line.startswith("+") for line in run.results.drift or ()):
        server.trace()
    else:
        server.compare(run.lab.workload)
    server.none_logged("the learned workload violates nothing")
    if run.lab.forgotten:
        learn_late(run)
    inspect(run)
    server.guest.forget_violations()
    server.attack()


def learn_late(run: Run) -> None:
    """What was forgotten when the policy was learned is named by the log, and added from it."""
    server = run.server
    server.compare(run.lab.forgotten)
    records = server.violations()
    # Its first execution comes first; what it runs in turn has its name in the domain.
    unlearned = next(iter(tuning.named_programs(records)), "")
    run.check(f"the program nobody learned is named: {unlearned}", bool(unlearned), "no execution was logged")
    foreign = [
        f"{record.domain}: {record.request}"
        for record in records
        if unlearned not in f"{record.domain} {record.request}".split(" ")
    ]
    run.check("exactly the forgotten CGI's accesses are logged", not foreign, "; ".join(foreign))
    server.allow(records, PERMISSIVE)
    server.guest.forget_violations()
    server.compare(run.lab.forgotten)
    server.none_logged("the forgotten CGI, added, violates nothing")
