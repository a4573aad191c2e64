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
from ccslab.results import WANTED, AttackResult, Check, Outcome, Phase, PhaseResult, Results

# Any text, lone surrogates too: a guest's bytes may have been decoded with them.
texts = st.text(st.characters(), max_size=20)
counts = st.integers(min_value=0, max_value=2**53)
seconds = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
phases = st.sampled_from(Phase)
results = st.builds(
    Results,
    lab=texts,
    arch=texts,
    kernel=texts,
    release=texts,
    accel=texts,
    phases=st.lists(st.builds(PhaseResult, phases, seconds, counts, counts), max_size=4),
    attacks=st.lists(
        st.builds(
            AttackResult,
            name=texts,
            title=texts,
            outcomes=st.dictionaries(st.sampled_from(list(WANTED)), st.sampled_from(Outcome)),
            status=st.dictionaries(phases, counts),
            records=st.dictionaries(phases, st.lists(texts, max_size=3), max_size=3),
        ),
        max_size=4,
    ),
    checks=st.lists(st.builds(Check, phases, texts, st.booleans(), texts, seconds), max_size=4),
    policy_memory_bytes=st.dictionaries(texts, counts, max_size=4),
    drift=st.lists(texts, max_size=4),
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
    assert document["schema"] == 1
    assert document["verdict"] == "failed"
    assert document["phases"][0] == {
        "name": "boot",
        "seconds": 10.5,
        "requests": 20,
        "violations": 3,
        "began": 0.0,
        "spent": {"http": {"seconds": 9.5, "times": 20}},
    }
    shadow, injection = document["attacks"]
    assert [shadow[key] for key in ("disabled", "permissive", "enforcing")] == [
        "succeeded",
        "logged",
        "denied",
    ]
    assert shadow["audit_records"] == {"enforcing": [sample.RECORD]}
    assert (shadow["passed"], injection["passed"]) == (True, False)
    assert document["policy_memory_bytes"]["tuned"] == 98304
    assert len(document["drift"]) == 12


def test_a_broken_run_leaves_its_error(tmp_path: Path) -> None:
    document = json.loads(write_results(sample.broken(), tmp_path).read_bytes())
    assert document["verdict"] == "error"
    assert "the guest panicked" in document["error"]
    assert document["attacks"][0]["permissive"] is None


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("schema",), 2, "schema 2"),
        (("lab",), 7, "lab must be of type str"),
        (("finished",), 1, "finished must be of type bool"),
        (("verdict",), "passed", "says 'passed' where its content says 'failed'"),
        (("phases", 1, "name"), "lunch", "phases[1]: knows no phase 'lunch'"),
        (("phases", 0, "seconds"), None, "phases[0]: seconds must be a number"),
        (("phases", 0, "seconds"), float("nan"), "phases[0]: seconds must be a number"),
        (("phases", 0, "requests"), True, "phases[0]: requests must be of type int"),
        (("attacks", 1, "enforcing"), "forgiven", "attacks[1]: knows no outcome 'forgiven'"),
        (("attacks", 0, "audit_records"), {"enforcing": [1]}, "enforcing must be a list of texts"),
        (("checks",), {}, "checks must be of type list"),
        (("drift",), [None], "drift must be a list of texts"),
        (("policy_memory_bytes",), {"tuned": 1.5}, "tuned must be of type int"),
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


# Runs of earlier days have no such key.
LATER = {"drift_since"}


@pytest.mark.parametrize("key", sorted({*to_document(sample.passed())} - LATER))
def test_incomplete_results_are_refused(key: str) -> None:
    document = to_document(sample.passed())
    del document[key]
    with pytest.raises(UserError, match=f"lacks the key '{key}'"):
        from_document(document)


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
        assert told["attacks"] == whole["attacks"]
