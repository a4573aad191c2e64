# SPDX-License-Identifier: GPL-2.0-only
"""Until when Debian's releases have support, by the table that Debian itself keeps (distro-info-data).

The index of a suite has a date after which it does not count; of a release whose support has ended nobody
makes newer ones, so that it is taken although its date is over. Its signature is checked like any other's.
"""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path

from ccslab.sources.mirrors import base

TABLE = Path("/usr/share/distro-info/debian.csv")


def ended(suite: str, today: date | None = None) -> date | None:
    """The last day of long-term support of a suite's release if it is over; None if not, or not known."""
    if not TABLE.is_file():
        return None
    with TABLE.open(newline="") as lines:
        rows = {row["series"]: row for row in csv.DictReader(lines)}
    row = rows.get(base(suite), {})
    text = row.get("eol-lts") or row.get("eol") or ""
    last = date.fromisoformat(text) if text else None
    return last if last and last < (today or datetime.now(UTC).date()) else None


def note(suite: str) -> str:
    """What is to be said of a suite whose support has ended; "" of any other."""
    last = ended(suite)
    return (
        f"support of {base(suite)} ended on {last}: what its archive has, by a signed index" if last else ""
    )
