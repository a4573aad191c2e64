# SPDX-License-Identifier: GPL-2.0-only
"""Steps as the TOML files write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccslab.datafile import Fault, Text, convert, wrong
from ccslab.errors import UserError
from ccslab.labs.step import Entry, HttpStep, RootStep, Step, steps


def parse(folder: Path, entry: Any, status: int | None = 200) -> Step:
    """The step of a ``[[step]]``."""
    written = convert({"step": [entry]}, dict[Text, tuple[Entry, ...]], "workload.toml")["step"]
    try:
        (step,) = steps(written, folder, "step", status=status)
    except Fault as fault:
        raise wrong(fault, "workload.toml") from None
    return step


def test_a_request_has_a_name_and_a_status_of_its_own_making(tmp_path: Path) -> None:
    assert parse(tmp_path, {"http": "GET /a?b=%2F"}) == HttpStep(
        "GET /a?b=%2F", "GET", "/a?b=%2F", status=200
    )
    assert parse(tmp_path, {"http": "GET /a"}, status=None) == HttpStep("GET /a", "GET", "/a", status=None)


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
    with pytest.raises(UserError, match=r"is not in the lab's folder|must be a path inside the folder"):
        parse(lab, {"http": "POST /a", "upload": {"file": name}})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (5, r"workload.toml: step 1: must be a table"),
        ({}, "step 1: needs one of the keys http, root, and has none"),
        (
            {"http": "GET /", "root": "true"},
            "keys http, root, and has http and root",
        ),
        ({"http": "GET /", "within_s": 5}, "unknown key 'within_s'"),
        ({"root": "true", "state": 1}, "unknown key 'state'"),
        ({"http": 5}, "step 1: http: must be a request"),
        ({"http": "GET /a\r\nX: y"}, "step 1: http: must be a request"),
        ({"http": "GET /é"}, "is no request"),
        ({"http": "GET /", "headers": {"X": "a\r\nb"}}, "the value of an HTTP header"),
        ({"http": "GET /", "headers": {"A B": "x"}}, "the name of an HTTP header"),
        ({"http": "GET /", "status": 99}, "step 1: status: must be an HTTP status, such as 403, not 99"),
        ({"http": "GET /", "form": {"a": ["x"]}}, "step 1: form: a: must be"),
        ({"http": "POST /", "upload": {}}, "upload: needs one of content, file and made"),
        ({"http": "POST /", "upload": {"file": "a", "content": "b"}}, "upload: needs one of"),
        ({"http": "POST /", "upload": {"file": "a", "made": "b"}}, "upload: needs one of"),
        (
            {"http": "POST /", "upload": {"made": "../x"}},
            "made: must be a file that payloads/Makefile",
        ),
        ({"root": " "}, "step 1: root: must be a text"),
        ({"root": "x", "within_s": float("nan")}, "within_s: must be seconds"),
        ({"root": "x", "within_s": "1"}, "within_s: must be seconds"),
        ({"root": "x", "output": 1}, "output: must be true or false"),
    ],
)
def test_a_malformed_step_is_named(tmp_path: Path, entry: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse(tmp_path, entry)
