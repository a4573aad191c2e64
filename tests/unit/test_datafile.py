# SPDX-License-Identifier: GPL-2.0-only
"""Data files: what is malformed or of another shape is named with its place, never a traceback."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.datafile import ANY, NUMBER, Nothing, check, read_json, read_toml
from ccslab.errors import UserError

SHAPE = {
    "name": str,
    "count?": int,
    "most?": (NUMBER, Nothing),
    "lists?": [[str]],
    "on?": bool,
    "mode?": frozenset({"a", "b"}),
}
DEEP = "[" * 5000


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "it must be a table, not []"),
        ({}, "it lacks the key 'name'"),
        ({"name": " "}, "name must be a text that is not blank, not ' '"),
        ({"name": "x", "cuont": 1}, "unknown key 'cuont' (did you mean count"),
        ({"name": "x", "count": True}, "count must be a whole number from 0, not True"),
        ({"name": "x", "count": -1}, "count must be a whole number from 0, not -1"),
        ({"name": "x", "count": 10**400}, "count must be a whole number from 0, not 1000"),
        ({"name": "x", "most": float("nan")}, "most must be nothing, not nan"),
        ({"name": "x", "lists": [["a"], [""]]}, "lists[2][1] must be a text that is not blank, not ''"),
        ({"name": "x", "on": 1}, "on must be true or false, not 1"),
        ({"name": "x", "mode": ["a"]}, "mode must be one of a, b, not ['a']"),
    ],
)
def test_another_shape_is_named_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check(value, SHAPE, "file")
    assert str(caught.value).startswith(f"file: {said}")


def test_a_good_shape_passes() -> None:
    check({"name": "x", "count": 0, "most": None, "lists": [["a"]], "on": False, "mode": "a"}, SHAPE, "file")
    check({"any": {"n": 1.5}}, {ANY: {"n": NUMBER}}, "file")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = \xff", "is malformed: byte 4 is not of UTF-8"),
        (b"a = " + DEEP.encode(), "is malformed: nested too deeply"),
        (b"a = " + b"9" * 5000, "is malformed: "),
        (b"[[", "is malformed: "),
        (None, "is missing"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert str(caught.value).endswith(" - correct the file")


@given(st.one_of(st.binary(max_size=40), st.just(DEEP.encode()), st.just(b'{"a":' * 5000)))
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        assert isinstance(read_json(path), dict)
