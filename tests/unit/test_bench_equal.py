# SPDX-License-Identifier: GPL-2.0-only
"""Random policies: the same for the same seed, of every kind; and what a real guest says of them."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import pytest

from ccslab.bench import policies, verdicts
from ccslab.bench.policies import Trial
from ccslab.errors import InfrastructureError

CONSOLE = Path(__file__).parent / "data/bench/asked.console"
TEXT = CONSOLE.read_bytes().decode()
MANY = list(policies.trials(300, 1))
LINES = [line for trial in MANY for line in (*trial.exceptions, *trial.rules)]


def test_the_same_seed_gives_the_same_policies() -> None:
    assert list(policies.trials(3, 1)) == MANY[:3] == [policies.trial(number, 1) for number in range(3)]
    assert list(policies.trials(3, 2)) != MANY[:3]
    assert len({trial.name for trial in MANY}) == len(MANY)


@pytest.mark.parametrize(
    "kind",
    [
        *(re.escape(one) for one in policies.WILD),
        r"/\\{\S+?\\}/",  # directories
        r"\S\\-\S",  # subtraction
        r"\\303\\244",  # octal
        r"^path_group G\d+_\d ",
        r"^number_group NUMBERS ",
        r"^acl_group \d+ file ",
        r"^use_group 0$",
        r"^use_group [1-9]\d*$",
        r"^use_profile [123]$",
        r"^delete file ",
        r"^file \S+ @G\d+_\d",
        r"^delete path_group ",
        r"^file \S+ \S+ @NUMBERS",
        r"^file \w+/\w+ ",  # several operations
        r"^file \S+ \S+/( |$)",  # a directory
        *(rf" {re.escape(one)}( |$)" for one in policies.CONDITIONS),
        *(rf"^file (\S+/)?{one}[/ ]" for one in (*policies.ONE, *policies.NUMBERED, *policies.TWO, "mkchar")),
    ],
)
def test_every_kind_occurs(kind: str) -> None:
    found = filter(re.compile(kind).search, LINES)
    assert len(list(islice(found, 10))) == 10


def test_some_policies_are_long_and_some_empty() -> None:
    counts = [sum(rule.startswith("file ") for rule in trial.rules) for trial in MANY]
    assert min(counts) == 0
    assert max(counts) > 150


def test_what_is_deleted_was_there_and_some_comes_back() -> None:
    back = 0
    for trial in MANY:
        for at, line in enumerate(trial.rules):
            if line.startswith("delete "):
                rule = line.removeprefix("delete ")
                assert rule in trial.rules[:at]
                back += rule in trial.rules[at:]
    assert back > 20


def test_requests_are_pathnames_of_the_guests_world() -> None:
    for trial in MANY:
        for request in trial.requests:
            operation, *paths = request.split(" ")
            assert operation in {*policies.ONE, *policies.NUMBERED, *policies.TWO, "mkchar", "bind"}
            assert len(paths) == (2 if operation in ("symlink", *policies.TWO) else 1), request
            assert all(path in ("target", "/t") or path.startswith("/t/") for path in paths), request
            assert "\\" not in request


def test_the_script_says_all_in_the_order_that_the_guest_needs() -> None:
    trial = Trial(
        "1/0", ("path_group G0 /t/f",), ("use_profile 3", "file read @G0"), ("read /t/f",), ("/t/f",)
    )
    assert trial.script() == (
        "t 1/0\ne path_group G0 /t/f\nn\nd use_profile 3\nd file read @G0\n"
        "m /t/a\nm /t/a/b\nm /t/a/b/c\nm /t/d1\nm /t/d1/0f\nf /t/f\nr read /t/f\n.\n"
    )


def test_a_real_console() -> None:
    found = verdicts.read(TEXT, MANY[:2], CONSOLE)
    answer = found["1/1"]
    assert answer.verdicts == "xPxPPP.PPPnP.PPPx...PPP..PPPx.PP.Pn.PP.P"
    assert (answer.records, answer.rules) == ("2e32748dc8a976a0", "d498ac4f5c9642fe")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trial 1/1 ", "trial 1/9 ", "trial 1/1 was not asked to its end"),
        ("xPxPPP.PPPnP", "xPxPPP.PPPn", "trial 1/1 was not asked to its end"),
        ("trial 1/1 status 0", "trial 1/1 status 2", "trial 1/1: ccsask ended with 2"),
    ],
)
def test_half_an_answer_is_none(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(InfrastructureError, match=said):
        verdicts.read(TEXT.replace(old, new), MANY[:2], CONSOLE)
