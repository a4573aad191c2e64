# SPDX-License-Identifier: GPL-2.0-only
"""A set is installed when it is needed first, by the launcher, and only into what the launcher made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ccslab import sets
from ccslab.errors import InfrastructureError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose launcher marks what it was told, and a Python that it prepared."""
    for name in ("ci/packages", "requirements", "venv"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "requirements/pictures.txt").write_text("drawing==1\n")
    (tmp_path / "venv/.core.requirements").touch()
    inv = tmp_path / "inv"
    inv.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\ncp {tmp_path}/requirements/$2.txt '
                   f'{tmp_path}/venv/.$2.requirements\n')  # fmt: skip
    inv.chmod(0o755)
    monkeypatch.setattr(sets, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    return tmp_path


def test_a_set_is_installed_at_first_need_and_again_when_its_list_changed(checkout: Path) -> None:
    for text in ("drawing==1\n", "drawing==2\n"):
        (checkout / "requirements/pictures.txt").write_text(text)
        sets.need("pictures")
        sets.need("pictures")
    assert (checkout / "calls").read_text() == "--prepare pictures\n" * 2


def test_a_python_that_the_launcher_did_not_prepare_is_left_alone(checkout: Path) -> None:
    (checkout / "venv/.core.requirements").unlink()
    sets.need("pictures")
    assert not (checkout / "calls").exists()


def test_what_cannot_be_installed_ends_the_task(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "inv").write_text("#!/bin/sh\necho 'inv: apt-get could not' >&2\nexit 3\n")
    with pytest.raises(InfrastructureError, match=r"^what pictures needs could not be installed - mend what"):
        sets.need("pictures")
    assert capsys.readouterr().err == "inv: apt-get could not\n"
