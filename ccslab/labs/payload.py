# SPDX-License-Identifier: GPL-2.0-only
"""Payloads that are machine code: made from their source for the guest's architecture."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ccslab.errors import UserError
from ccslab.labs.definition import Lab
from ccslab.labs.step import HttpStep, Step, Upload
from ccslab.rootfs import programs
from ccslab.store import Store


def fitted(lab: Lab, store: Store) -> Lab:
    """The lab with the content of every upload that is made for its architecture.

    :raises UserError: an upload names what the lab's ``payloads/Makefile`` does not make.
    :raises InfrastructureError: make or the compiler fails or is missing.
    """

    def steps(given: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(_filled(step, lab, store) for step in given)

    return dataclasses.replace(
        lab,
        workload=steps(lab.workload),
        forgotten=steps(lab.forgotten),
        repair=steps(lab.repair),
        attacks=tuple(dataclasses.replace(attack, steps=steps(attack.steps)) for attack in lab.attacks),
    )


def made(lab: Lab, store: Store) -> Path:
    """The artifact folder of the lab's made payloads."""
    return programs.made(store, "payloads", lab.payloads, lab.arch)


def _filled(step: Step, lab: Lab, store: Store) -> Step:
    if not isinstance(step, HttpStep) or step.upload is None or not step.upload.made:
        return step
    return dataclasses.replace(step, upload=_read(step.upload, made(lab, store), lab))


def _read(upload: Upload, folder: Path, lab: Lab) -> Upload:
    path = folder / upload.made
    if not path.is_file():
        raise UserError(
            f"makes no {upload.made!r}",
            where=lab.payloads / "Makefile",
            mend="correct it, or the upload's made",
        )
    return dataclasses.replace(upload, content=path.read_bytes())
