# SPDX-License-Identifier: GPL-2.0-only
"""A failure is one line: where, what, the mend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.errors import InfrastructureError, LabError, UserError, unknown


def test_the_line_says_where_what_and_the_mend() -> None:
    error = UserError("unknown key 'cpu'", where="lab.toml", mend="write cpus")
    assert str(error) == "lab.toml: unknown key 'cpu' - write cpus"


def test_nothing_is_made_up_for_what_is_not_known() -> None:
    assert str(UserError("no")) == "no"


@given(st.text(), st.text(), st.text())
def test_it_is_one_line_whatever_a_program_said(what: str, where: str, mend: str) -> None:
    assert len(str(InfrastructureError(what, where=where, mend=mend)).splitlines()) <= 1


@pytest.mark.parametrize(("kind", "code"), [(UserError, 2), (InfrastructureError, 3)])
def test_the_families_have_exit_codes_apart_from_a_verdict(kind: type[LabError], code: int) -> None:
    assert kind("x").exit_code == code


def test_the_nearest_names_are_suggested() -> None:
    error = unknown("lab", "apache_cgi", ["apache-cgi", "desktop", "mail"])
    assert str(error) == "unknown lab 'apache_cgi' - did you mean apache-cgi?"


def test_without_a_near_name_all_are_listed() -> None:
    assert "there are: desktop, mail" in str(unknown("lab", "zzz", ["mail", "desktop"]))


def test_an_empty_list_of_names_is_said() -> None:
    assert "there are: none" in str(unknown("lab", "x", []))
