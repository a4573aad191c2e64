# SPDX-License-Identifier: GPL-2.0-only
"""What is to be fetched, and what lab.doctor says of it, with a network or without, on any cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError
from ccslab.labs import doctor, supply
from ccslab.labs.supply import Suite, Thing
from ccslab.settings import Settings
from ccslab.sources import mirrors, releases

DEBIAN = """\
version,codename,series,created,release,eol,eol-lts,eol-elts
11,Bullseye,bullseye,2019-07-06,2021-08-14,2024-08-14,2020-08-31,2031-06-30
12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2999-06-30,2033-06-30
,Sid,sid,1993-08-16
"""


@pytest.fixture(autouse=True)
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "url", lambda suite: "http://mirror.invalid/debian")
    (tmp_path / "debian.csv").write_text(DEBIAN)
    monkeypatch.setattr(releases, "TABLE", tmp_path / "debian.csv")


def down(suite: str) -> None:
    raise InfrastructureError("no network", mend="look at it")


def up(suite: str) -> None:
    return None


def test_every_kernel_and_image_is_asked_for(tmp_path: Path) -> None:
    found = supply.things(Settings(cache=str(tmp_path / "cache"), kernel="6.1"))
    assert {thing.name: thing.suites for thing in found} == {
        "kernel 5.10": ("bullseye",),
        "kernel 6.1": ("bookworm",),
        "kernel 6.12": ("bookworm-security",),
        "kernel 7.2": ("sid",),
        "image webserver (x86_64)": ("bookworm",),
    }
    assert [thing.name for thing in found if thing.wanted] == ["kernel 6.1", "image webserver (x86_64)"]
    assert not any(thing.fetched for thing in found)


def things(*, fetched: tuple[str, ...]) -> list[Thing]:
    return [
        Thing(name, suites, name in fetched, name != "kernel 7.2")
        for name, suites in (("kernel 6.12", ("bookworm-security",)), ("kernel 7.2", ("sid",)),
                             ("image", ("bookworm",)))
    ]  # fmt: skip


ALL = ("kernel 6.12", "kernel 7.2", "image")


@pytest.mark.parametrize(
    ("probe", "fetched", "status", "verdict"),
    [
        (up, (), 0, "this machine is ready"),
        (down, (), 3, "this machine is not ready (kernel 6.12, kernel 7.2, image cannot be fetched): mend"),
        (down, ALL, 0, "this machine is ready"),
        (
            down,
            ("kernel 6.12", "image"),
            0,
            "this machine is ready for kernel 6.12, image; not for kernel 7.2",
        ),
        (down, ("kernel 6.12",), 3, "this machine is not ready (kernel 7.2, image cannot be fetched): mend"),
    ],
)
def test_ready_is_what_can_be_fetched_or_was(
    probe: supply.Probe,
    fetched: tuple[str, ...],
    status: int,
    verdict: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(doctor, "_checks", lambda settings: iter(()))
    monkeypatch.setattr(supply, "things", lambda settings: things(fetched=fetched))
    monkeypatch.setattr(supply, "_probe", probe)
    assert doctor.examine(Settings(cache=str(tmp_path / "cache"))) == status
    assert verdict in " ".join(capsys.readouterr().out.split())


def test_a_row_says_what_for_and_whether_it_has_ended() -> None:
    thing = Thing("kernel 5.10", ("bullseye",), False, False)
    (ended,) = supply.look([thing], up)
    assert ended.summary.startswith(
        "for kernel 5.10: signed, at http://mirror.invalid/debian; support of bullseye"
    )
    assert Suite("sid", (thing,), "broken").lacking == ["kernel 5.10"]
    assert supply.look([], up) == []


@pytest.mark.parametrize(
    ("suite", "over"),
    [("bullseye", True), ("bullseye-security", True), ("bookworm", False), ("sid", False), ("hamm", False)],
)
def test_a_release_has_ended_with_its_long_term_support(suite: str, over: bool) -> None:
    assert bool(releases.ended(suite)) == over
    assert bool(releases.note(suite)) == over


def test_without_the_table_no_release_has_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(releases, "TABLE", tmp_path / "none")
    assert releases.ended("bullseye") is None
