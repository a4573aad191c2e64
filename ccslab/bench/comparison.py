# SPDX-License-Identifier: GPL-2.0-only
"""Two measurements side by side; what cannot be compared is said, not compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ccslab.bench.measurement import Measurement, Subject
from ccslab.errors import UserError

NOISE = 0.005
"""Two runs of the same agree to this, as a share."""


@dataclass(frozen=True)
class Difference:
    """One operation of one configuration, in guest instructions a call."""

    configuration: str
    operation: str
    before: int
    after: int

    @property
    def share(self) -> float:
        """By how much the second is dearer, as a share of the first; negative if it is cheaper."""
        return self.after / self.before - 1 if self.before else 0.0

    def __str__(self) -> str:
        return (
            f"{self.operation} in {self.configuration}: expected {self.before} instructions,"
            f" found {self.after} ({self.share:+.1%})"
        )


def check(before: Subject, after: Subject, *fields: str) -> None:
    """That two measurements are of the same in these fields of a subject.

    :raises UserError: they are not; names the field and both values.
    """
    for field in fields:
        one, other = getattr(before, field), getattr(after, field)
        if one != other:
            raise UserError(
                f"not comparable: {field} is {one!r} of one and {other!r} of the other",
                mend="measure both on the same machine, ./inv bench.run",
            )


def differences(before: Measurement, after: Measurement) -> list[Difference]:
    """What both have measured, in the order of the first.

    :raises UserError: they have nothing in common.
    """
    later = {one.configuration: one.figures for one in after.measured}
    found = [
        Difference(one.configuration.name, name, figure.median, later[one.configuration][name].median)
        for one in before.measured
        for name, figure in one.figures.items()
        if name in later.get(one.configuration, {})
    ]
    if not found:
        raise UserError("the measurements have no configuration in common", mend="run both with one --plan")
    return found


def beyond(found: Iterable[Difference], tolerance: float) -> list[Difference]:
    """The differences greater than a tolerance, either way."""
    return [one for one in found if abs(one.share) > tolerance]
