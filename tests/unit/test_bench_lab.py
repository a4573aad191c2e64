# SPDX-License-Identifier: GPL-2.0-only
"""The requests whose cost is measured, and what the guest's client says of them."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ccslab.bench import lab as cost
from ccslab.errors import InfrastructureError, UserError
from ccslab.labs import definition
from ccslab.labs.client import raw
from ccslab.labs.definition import Lab
from ccslab.labs.step import HttpStep
from ccslab.settings import ROOT

SAID = """\
request 0 status 200 minimum 190114 median 191993 mean 201644.3 calls 15
request 1 status 404 minimum 187000 median 188029 mean 190001.1 calls 15
"""
WHERE = Path("runs/cost/guest")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """The lab, with a cost.toml of its own to be changed."""
    found = definition.find("apache-cgi", ROOT)
    shutil.copy(found.folder / cost.COST, tmp_path)
    return replace(found, folder=tmp_path)


def wanted(*statuses: int) -> list[cost.Request]:
    return [
        cost.Request(f"kind {at}", HttpStep("a", "GET", "/", status=status), 1.1)
        for at, status in enumerate(statuses)
    ]


def test_every_kind_of_page_and_each_cgi_is_among_them(lab: Lab) -> None:
    calls, found = cost.requests(lab)
    assert calls >= 5
    paths = " ".join(one.step.path for one in found)
    cgis = {path.name for path in (ROOT / "labs/apache-cgi/overlay/usr/lib/cgi-bin").glob("*.cgi")}
    assert {*cgis - {"multi.cgi"}, "namazu.cgi"} <= set(re.findall(r"\w+\.cgi", paths))
    assert ".php" in paths
    assert any(one.step.path == "/" for one in found)
    assert all(1 < one.most < 2 for one in found)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('step = "home"', 'step = "nosuch"', "request 1: step: unknown request 'nosuch'"),
        ("most = ", "least = ", "request 1: unknown key 'least'"),
        ("calls = 101", "calls = 'x'", "calls: must be a whole number"),
        ("[[request]]", "[[request", "cost.toml: "),
    ],
)
def test_what_is_wrong_is_one_line(lab: Lab, old: str, new: str, said: str) -> None:
    path = lab.folder / cost.COST
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError) as wrong:
        cost.requests(lab)
    assert said in str(wrong.value)


def test_a_lab_without_the_file_is_told_the_mend(lab: Lab) -> None:
    (lab.folder / cost.COST).unlink()
    with pytest.raises(UserError, match=r"cost\.toml: is missing - write what requests may cost"):
        cost.requests(lab)


def test_figures_are_read_in_order() -> None:
    one, other = cost.read(SAID, wanted(200, 404), WHERE)
    assert (one.median, other.median) == (191993, 188029)
    assert one.calls == 15


def test_another_answer_is_not_measured() -> None:
    with pytest.raises(InfrastructureError, match="kind 1: the server answered with status 404"):
        cost.read(SAID, wanted(200, 200), WHERE)
    with pytest.raises(InfrastructureError, match="kind 2: the server answered with nothing"):
        cost.read(SAID, wanted(200, 404, 200), WHERE)


def test_a_request_over_the_wire() -> None:
    step = HttpStep("vote", "POST", "/poll.php", form={"choice": "b c"})
    head, _, body = raw(step).partition(b"\r\n\r\n")
    assert head.splitlines()[:2] == [b"POST /poll.php HTTP/1.1", b"Host: server"]
    assert b"Content-Length: 10" in head.splitlines()
    assert b"Connection: close" in head.splitlines()
    assert body == b"choice=b+c"
