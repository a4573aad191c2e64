# SPDX-License-Identifier: GPL-2.0-only
"""Attacks, as a lab's ``attacks.toml`` writes them: what is done, what is gained, what stands against it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ccslab.datafile import Choice, Fault, Lines, Meta, OneOrList, Record, Regex, Text
from ccslab.labs.step import Entry, Status, Step, steps


class Gained(Choice):
    """How one knows what the attacker got."""


class GainedBody(Record, Gained, frozen=True):
    """The last response's body matches."""

    key = "body"
    body: Regex


class GainedRoot(Record, Gained, frozen=True):
    """A command succeeds in the guest."""

    key = "root"
    root: Lines


class Expected(Record, frozen=True):
    """What an attack must meet when the policy is enforced."""

    record: Regex
    """What one audit record's request must match, in permissive and in enforcing mode."""
    status: OneOrList[Status] = OneOrList()
    """HTTP statuses the client may see on the last request; empty for any."""


class AttackEntry(Record, frozen=True):
    """One ``[[attack]]``."""

    name: Text
    title: Text
    steps: Annotated[tuple[Entry, ...], Meta(min_length=1)]
    gained: Gained
    enforcing: Expected


class Attacks(Record, frozen=True):
    """``attacks.toml``."""

    attack: tuple[AttackEntry, ...] = ()


@dataclass(frozen=True)
class Attack:
    """One attack: steps from outside, and how one knows what the attacker got."""

    name: str
    title: str
    steps: tuple[Step, ...]
    gained_body: re.Pattern[str] | None
    """The attacker gained when the last response's body matches, or ..."""
    gained_root: str | None
    """... when this command succeeds in the guest."""
    enforcing: Expected


def attacks(written: Attacks, folder: Path) -> tuple[Attack, ...]:
    """What is done, of what is written.

    :param folder: the lab's.
    :raises Fault: two have one name, or a payload is not in the lab's folder.
    """
    found: dict[str, Attack] = {}
    for number, entry in enumerate(written.attack):
        if entry.name in found:
            raise Fault(
                f"two attacks are named {entry.name!r}", "attack", number, "name", mend="give each its own"
            )
        gained = entry.gained
        found[entry.name] = Attack(
            entry.name,
            entry.title,
            steps(entry.steps, folder, "attack", number, "steps", status=None),
            gained.body if isinstance(gained, GainedBody) else None,
            gained.root.strip() if isinstance(gained, GainedRoot) else None,
            entry.enforcing,
        )
    return tuple(found.values())
