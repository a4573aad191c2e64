# SPDX-License-Identifier: GPL-2.0-only
"""results.json holds what a run found out, and is refused when it does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import evidence_sample as sample
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.errors import InfrastructureError, UserError
from ccslab.evidence.results import (
    from_document,
    phase_document,
    read_results,
    to_document,
    verdict_of,
    write_results,
)
from ccslab.results import Cell, Check, Grid, Measure, Phase, Results, Row, Spent, What

# Any text, lone surrogates too: a guest's bytes may have been decoded with them.
texts = st.text(st.characters(), max_size=20)
counts = st.integers(min_value=0, max_value=2**53)
seconds = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
numbers = st.floats(allow_nan=False, allow_infinity=False)
cells = st.builds(Cell, texts, texts, st.booleans(), texts, texts, st.lists(texts, max_size=3))
rows = st.builds(Row, texts, texts, st.dictionaries(texts, cells, max_size=3), texts)
grids = st.builds(
    Grid, texts, texts, st.lists(texts, max_size=3), st.lists(rows, max_size=3), st.booleans(), texts
)
phases = st.builds(
    Phase,
    texts,
    seconds,
    st.dictionaries(texts, counts, max_size=3),
    st.dictionaries(st.sampled_from(What), st.builds(Spent, seconds, counts), max_size=3),
    seconds,
    st.booleans(),
)
results = st.builds(
    Results,
    lab=texts,
    arch=texts,
    kernel=texts,
    release=texts,
    accel=texts,
    phases=st.lists(phases, max_size=4),
    checks=st.lists(st.builds(Check, texts, texts, st.booleans(), texts, seconds, texts), max_size=4),
    grids=st.lists(grids, max_size=3),
    measures=st.lists(st.builds(Measure, texts, texts, numbers, texts), max_size=4),
    drift=st.none() | st.lists(texts, max_size=4),
    drift_since=st.dictionaries(texts, texts, max_size=3),
    finished=st.booleans(),
    error=texts,
)


@given(results)
def test_what_is_written_is_read(found: Results) -> None:
    document = json.loads(json.dumps(to_document(found), allow_nan=False))
    assert from_document(document) == found


def test_the_file_is_written_and_read(tmp_path: Path) -> None:
    path = write_results(sample.failed(), tmp_path)
    assert read_results(path) == sample.failed()
    assert read_results(tmp_path) == sample.failed()
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_the_keys_the_issue_names(tmp_path: Path) -> None:
    document = json.loads(write_results(sample.failed(), tmp_path).read_bytes())
    assert document["schema"] == 2
    assert document["verdict"] == "failed"
    assert document["phases"][0] == {
        "name": "boot",
        "seconds": 10.5,
        "counts": {"request": 20, "violation": 3},
        "spent": {"http": {"seconds": 9.5, "times": 20}},
        "began": 0.0,
        "beside": False,
    }
    (grid,) = document["grids"]
    assert (grid["name"], grid["phase"], grid["judged"]) == ("attacks", "attacked", True)
    assert grid["columns"] == ["disabled", "permissive", "enforcing"]
    shadow, injection = grid["rows"]
    assert [shadow["cells"][column]["got"] for column in grid["columns"]] == ["succeeded", "logged", "denied"]
    assert shadow["cells"]["enforcing"] == {
        "got": "denied",
        "wanted": "denied",
        "right": True,
        "why": "it was denied",
        "note": "HTTP 403",
        "records": [sample.RECORD],
    }
    assert [row["cells"]["enforcing"]["right"] for row in (shadow, injection)] == [True, False]
    assert document["measures"][1] == {
        "name": "policy memory",
        "of": "tuned",
        "value": 98304,
        "unit": "bytes",
    }
    assert len(document["drift"]) == 12


def test_a_broken_run_leaves_its_error(tmp_path: Path) -> None:
    document = json.loads(write_results(sample.broken(), tmp_path).read_bytes())
    assert document["verdict"] == "error"
    assert "the guest panicked" in document["error"]
    assert [*document["grids"][0]["rows"][0]["cells"]] == ["disabled"]
    assert document["drift"] is None


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("schema",), 1, "is of schema 1 - this ccs-lab reads schema 2"),
        (("schema",), 3, "is of schema 3 - this ccs-lab reads schema 2"),
        (("lab",), 7, "results.json: lab: Expected `str`, got `int`"),
        (("finished",), 1, "finished: Expected `bool`, got `int`"),
        (("verdict",), "passed", "says 'passed' where its content says 'failed'"),
        (("phases", 1, "name"), None, "phases[1].name: Expected `str`, got `null`"),
        (("phases", 0, "seconds"), None, "phases[0].seconds: Expected `float`, got `null`"),
        (("phases", 0, "counts", "request"), True, "phases[0].counts[...]: Expected `int`, got `bool`"),
        (("phases", 0, "spent"), {"sleep": {}}, "phases[0].spent: Invalid enum value 'sleep'"),
        (("grids", 0, "rows", 1, "cells", "enforcing", "right"), "no", "rows[1].cells[...].right: Expected"),
        (("grids", 0, "rows", 0, "cells", "enforcing", "records"), [1], "records[0]: Expected `str`"),
        (("grids", 0, "rows"), None, "grids[0].rows: Expected `array`, got `null`"),
        (("checks",), {}, "checks: Expected `array`, got `object`"),
        (("drift",), [None], "drift[0]: Expected `str`, got `null`"),
        (("measures", 1, "value"), "much", "measures[1].value: Expected `float`, got `str`"),
    ],
)
def test_malformed_results_are_refused(place: tuple[Any, ...], value: Any, said: str) -> None:
    document = to_document(sample.failed())
    target = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    with pytest.raises(UserError) as refused:
        from_document(document, "results.json")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ((), "lab"),
        ((), "arch"),
        ((), "kernel"),
        (("phases", 0), "name"),
        (("checks", 0), "phase"),
        (("checks", 0), "name"),
        (("checks", 0), "passed"),
        (("grids", 0), "name"),
        (("grids", 0), "phase"),
        (("grids", 0), "columns"),
        (("grids", 0, "rows", 0), "name"),
        (("grids", 0, "rows", 0), "title"),
        (("grids", 0, "rows", 0, "cells", "disabled"), "got"),
        (("grids", 0, "rows", 0, "cells", "disabled"), "wanted"),
        (("grids", 0, "rows", 0, "cells", "disabled"), "right"),
        (("measures", 0), "value"),
        (("measures", 0), "unit"),
    ],
)
def test_incomplete_results_are_refused(place: tuple[Any, ...], key: str) -> None:
    document = to_document(sample.passed())
    target = document
    for step in place:
        target = target[step]
    del target[key]
    with pytest.raises(UserError, match=f"missing required field `{key}`.* - run the lab again"):
        from_document(document)


@pytest.mark.parametrize("key", ["schema", "verdict", "finished", "checks", "grids"])
def test_results_that_lost_what_decides_are_refused(key: str) -> None:
    """What a run that passed, or failed, cannot lack without becoming another."""
    document = to_document(sample.failed())
    if key in ("checks", "grids"):  # one of the two is why it failed
        document["checks" if key == "grids" else "grids"] = []
    del document[key]
    with pytest.raises(UserError, match=r"is of schema None|where its content says"):
        from_document(document)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, word: str) -> None:
    path = write_results(sample.passed(), tmp_path)
    path.write_text(path.read_text().replace('"seconds": 10.5', f'"seconds": {word}', 1))
    with pytest.raises(UserError, match=f"is malformed: {word} is no number"):
        read_results(path)


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_results_nested_too_deeply_are_refused(tmp_path: Path, depth: int) -> None:
    path = write_results(sample.passed(), tmp_path)
    path.write_text(path.read_text().replace('"drift": []', f'"drift": {"[" * depth}{"]" * depth}'))
    with pytest.raises(UserError, match=r"results\.json: "):
        read_results(path)


def test_keys_of_a_later_minor_change_are_passed_over() -> None:
    assert from_document({**to_document(sample.passed()), "weather": "fair"}) == sample.passed()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"results\.json"):
        read_results(path)


def test_missing_results_are_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        read_results(tmp_path)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_results(sample.passed(), tmp_path)

    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InfrastructureError, match="No space left"):
        write_results(sample.failed(), tmp_path)
    assert read_results(tmp_path) == sample.passed()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_bad_file_hides_no_other_run(tmp_path: Path) -> None:
    path = write_results(sample.failed(), tmp_path)
    assert verdict_of(tmp_path) == "failed"
    path.write_text("{")
    assert verdict_of(tmp_path) == "unreadable"


def test_a_phase_s_document_is_what_the_whole_says_of_it() -> None:
    results = sample.failed()
    whole = to_document(results)
    for phase in results.phases:
        told = phase_document(phase, results)
        assert told["phase"] in whole["phases"]
        assert told["checks"] == [one for one in whole["checks"] if one["phase"] == phase.name]
        assert told["grids"] == whole["grids"]
