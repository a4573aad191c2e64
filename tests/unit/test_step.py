# SPDX-License-Identifier: GPL-2.0-only
"""Steps as the TOML files write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccslab.errors import UserError
from ccslab.labs.step import HttpStep, RootStep, Step, parse_steps


def parse(folder: Path, entry: Any, **options: Any) -> Step:
    (step,) = parse_steps([entry], folder, "workload.toml [[step]]", **options)
    return step


def test_a_request_has_a_name_and_a_status_of_its_own_making(tmp_path: Path) -> None:
    assert parse(tmp_path, {"http": "GET /a?b=%2F"}) == HttpStep(
        "GET /a?b=%2F", "GET", "/a?b=%2F", status=200
    )
    assert parse(tmp_path, {"http": "GET /a"}, default_status=None) == HttpStep(
        "GET /a", "GET", "/a", status=None
    )


def test_numbers_in_a_form_are_sent_as_text(tmp_path: Path) -> None:
    step = parse(tmp_path, {"http": "POST /a", "form": {"n": 5}})
    assert isinstance(step, HttpStep)
    assert step.form == {"n": "5"}


def test_a_command_is_named_by_its_first_line(tmp_path: Path) -> None:
    assert parse(tmp_path, {"root": "true\nfalse\n"}) == RootStep("true", "true\nfalse")


def test_an_upload_from_a_file_and_from_a_text(tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(b"\x00\xff")
    upload = {"field": "f", "filename": "x.php", "file": "payload", "type": "text/plain"}
    step = parse(tmp_path, {"http": "POST /a", "upload": upload})
    assert isinstance(step, HttpStep)
    assert step.upload is not None
    assert (step.upload.content, step.upload.filename) == (b"\x00\xff", "x.php")
    step = parse(tmp_path, {"http": "POST /a", "upload": {"content": "é"}})
    assert isinstance(step, HttpStep)
    assert step.upload is not None
    assert step.upload.content == "é".encode()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "nosuch", "", "a\0b", "link"])
def test_a_payload_stays_in_the_labs_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").touch()
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="is not in the lab's folder"):
        parse(lab, {"http": "POST /a", "upload": {"file": name}})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (5, r"\[\[step\]\] step 1: needs either http"),
        ({}, "needs either http"),
        ({"http": "GET /", "root": "true"}, "needs either http"),
        ({"http": "GET /", "within_s": 5}, "unknown key 'within_s'"),
        ({"root": "true", "state": 1}, "unknown key 'state'"),
        ({"http": 5}, "http must be a text"),
        ({"http": "GET /a\r\nX: y"}, "is no request"),
        ({"http": "GET /é"}, "is no request"),
        ({"http": "GET /", "headers": {"X": "a\r\nb"}}, "is no HTTP header"),
        ({"http": "GET /", "status": 99}, "99 is no HTTP status - write e.g. 403"),
        ({"http": "POST /", "upload": {}}, "upload needs field, filename, and one of content, file"),
        ({"http": "POST /", "upload": {"file": "a", "content": "b"}}, "upload needs"),
        ({"http": "POST /", "upload": {"file": "a", "made": "b"}}, "upload needs"),
        ({"http": "POST /", "upload": {"made": "../x"}}, "'../x' is no file's name - name what payloads"),
        ({"root": " "}, "root must be a text"),
        ({"root": "x", "within_s": float("nan")}, "within_s must be seconds, not nan"),
        ({"root": "x", "within_s": "1"}, "within_s must be seconds, not '1'"),
    ],
)
def test_a_malformed_step_is_named(tmp_path: Path, entry: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse(tmp_path, entry)
