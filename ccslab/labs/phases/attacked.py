# SPDX-License-Identifier: GPL-2.0-only
"""The attacks, which went on beside the other phases on clones of the server, come to their end."""

from __future__ import annotations

from ccslab.labs.run import Run

NEEDS = ("a server", "attacks", "protected domains")


def run(run: Run) -> None:
    """Wait for them."""
    run.server.finish()
