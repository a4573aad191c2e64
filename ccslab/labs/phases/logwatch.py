# SPDX-License-Identifier: GPL-2.0-only
"""A denial reaches the administrator's mailbox by the hourly job of the guest's own cron."""

from __future__ import annotations

from ccslab.labs.guest import appears
from ccslab.labs.run import Run

MAIL_TIMEOUT_S = 60.0

NEEDS = ("a server", "a log watch", "attacks", "protected domains")
AFTER = ("enforcing",)


def run(run: Run) -> None:
    """Attack, set the clock to just before the hour, and wait for the mail that names the denial."""
    server, watch = run.server, run.lab.logwatch
    assert watch
    server.guest.forget_violations()
    server.guest.perform(run.lab.attacks[0].steps)
    denied = server.violations()
    server.guest.typed(f"date -s '{watch.hour}'")
    # cron sleeps by elapsed time; the signal makes it look at the clock again.
    server.guest.typed("pkill -HUP -x cron")
    wanted = denied[0].request if denied else "(nothing was denied)"
    status, _ = server.guest.root(
        f"timeout {MAIL_TIMEOUT_S * server.guest.patience:.0f} {appears(wanted, watch.mailbox)}",
        check=False,
        timeout_s=MAIL_TIMEOUT_S + 10,
    )
    run.check("the denial is in the administrator's mailbox", status == 0, f"no mail names {wanted}")
