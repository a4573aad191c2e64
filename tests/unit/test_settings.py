# SPDX-License-Identifier: GPL-2.0-only
"""Defaults, the user's configuration over them, flags over both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.errors import UserError
from ccslab.settings import NUMBERS, Settings, path_of, read, resolved


def test_flags_win_over_the_configuration() -> None:
    settings = read({"arch": "i386", "jobs": 2, "accel": "kvm"}, arch="x86_64", jobs="4", accel="")
    assert (settings.arch, settings.jobs, settings.accel) == ("x86_64", 4, "kvm")


@pytest.mark.parametrize("nothing", [None, ""])
def test_what_is_not_said_has_defaults(nothing: object) -> None:
    names = ("arch", "kernel", "accel", "jobs", "cache", "tree", "patchset")
    assert read(dict.fromkeys(names, nothing)) == Settings()


@pytest.mark.parametrize("jobs", ["many", "-1", "1.5", True, "²"])
def test_jobs_that_are_no_number(jobs: object) -> None:
    with pytest.raises(UserError, match="jobs must be"):
        read({"jobs": jobs})


@pytest.mark.parametrize("name", ["arhc", "root", "store"])
def test_a_setting_nobody_reads(name: str) -> None:
    with pytest.raises(UserError, match=rf"^invoke.yaml: unknown setting lab.{name}"):
        read({name: "x"})


@pytest.mark.parametrize("config", [5, "text", ["arch"]])
def test_a_configuration_that_is_no_table(config: Any) -> None:
    with pytest.raises(UserError, match=r"^invoke.yaml: lab must be a table"):
        read(config)


def test_the_cache_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("CCSLAB_CACHE", str(tmp_path))
    assert read({"cache": "~/cache"}).store.root == Path("/home/me/cache")
    assert read({}).store.root == tmp_path


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())


@given(st.dictionaries(st.sampled_from(["arch", "kernel", "accel", "jobs", "cache"]), SCALARS))
def test_any_values_are_read_or_refused(config: dict[str, object]) -> None:
    try:
        settings = read(config)
    except UserError:
        return
    assert settings.jobs >= 0
    assert isinstance(settings.cache, str)


@pytest.mark.parametrize(
    "given", ["nan", "inf", "-1", "1e400", "x", "", "0", "9" * 5000, "1_0", "²", 1.5, True]
)
def test_a_number_out_of_range_is_refused(given: object) -> None:
    with pytest.raises(UserError, match=r"^cycles must be a whole number from 1 to 10000000, not "):
        NUMBERS["cycles"].read("cycles", given)


def test_a_number_is_read() -> None:
    assert NUMBERS["cycles"].read("cycles", "1000") == 1000
    assert NUMBERS["minutes"].read("minutes", "0.5") == 0.5
    with pytest.raises(UserError, match=r"^minutes must be a number from 0\.01 to 10080, not 'nan'"):
        NUMBERS["minutes"].read("minutes", "nan")


def test_a_path_that_no_file_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^--out: there is no user of '~nobody-here'"):
        path_of("~nobody-here/x", "out")
    with pytest.raises(UserError, match=r"holds a NUL character"):
        path_of("a\0b")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match=r"loop/x: is a link that leads in a circle"):
        resolved(tmp_path / "loop" / "x")
    monkeypatch.setenv("CCSLAB_CACHE", "~nobody-here/x")
    with pytest.raises(UserError, match=r"^CCSLAB_CACHE or XDG_CACHE_HOME: names the home of no user"):
        read({}).store  # noqa: B018
