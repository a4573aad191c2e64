# SPDX-License-Identifier: GPL-2.0-only
"""Payloads of machine code are made for the guest's architecture."""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError, UserError
from ccslab.labs import payload
from ccslab.labs.definition import Lab, find, load
from ccslab.labs.step import HttpStep, Upload
from ccslab.settings import ROOT
from ccslab.store import Store

MACHINES = {"x86_64": (2, 62), "i386": (1, 3)}  # elf.h: EI_CLASS and e_machine


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture
def copy(tmp_path: Path) -> Lab:
    """The lab in a folder that a test may damage."""
    folder = tmp_path / "labs/apache-cgi"
    shutil.copytree(ROOT / "labs/apache-cgi", folder, symlinks=True)
    return load(folder)


def uploads(lab: Lab) -> list[Upload]:
    groups = [lab.workload, lab.forgotten, lab.repair, *(attack.steps for attack in lab.attacks)]
    return [s.upload for steps in groups for s in steps if isinstance(s, HttpStep) and s.upload]


@pytest.mark.parametrize("arch", MACHINES)
def test_a_library_is_of_the_guests_machine(arch: str, store: Store) -> None:
    lab = payload.fitted(find("apache-cgi", ROOT, arch), store)
    made = [upload.content for upload in uploads(lab) if upload.made]
    assert [content[:4] for content in made] == [b"\x7fELF"]
    assert (made[0][4], *struct.unpack_from("<H", made[0], 18)) == MACHINES[arch]


def test_other_payloads_are_the_same_bytes_on_both(store: Store) -> None:
    one, other = (payload.fitted(find("apache-cgi", ROOT, arch), store) for arch in MACHINES)
    assert [u.content for u in uploads(one) if not u.made] == [
        u.content for u in uploads(other) if not u.made
    ]
    assert all(u.content for u in uploads(one))


def test_made_once_it_is_found_again(copy: Lab, store: Store) -> None:
    first = payload.made(copy, store)
    assert payload.made(copy, store) == first
    assert payload.made(replace(copy, arch="i386"), store) != first
    (copy.payloads / "preload.c").write_text("int another;\n")
    assert payload.made(copy, store) != first


def test_what_the_makefile_does_not_make_is_named(copy: Lab, store: Store) -> None:
    shutil.move(copy.payloads / "Makefile", copy.payloads / "Makefile.old")
    (copy.payloads / "Makefile").write_text("all:\n")
    with pytest.raises(UserError, match=r"payloads/Makefile: makes no 'preload\.png'"):
        payload.fitted(copy, store)


def test_a_payload_that_cannot_be_made_is_an_error_with_its_reason(copy: Lab, store: Store) -> None:
    (copy.payloads / "preload.c").write_text("#error no picture today\n")
    with pytest.raises(InfrastructureError, match="no picture today"):
        payload.fitted(replace(copy, arch="i386"), store)
