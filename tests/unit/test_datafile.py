# SPDX-License-Identifier: GPL-2.0-only
"""Data files: what is malformed is named with file, line and place, never a traceback."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.datafile import (
    Absolute,
    Checked,
    Choice,
    Count,
    Fault,
    Inside,
    Lines,
    Loose,
    Meta,
    Number,
    OneOrList,
    Parsed,
    Positive,
    Record,
    Regex,
    Text,
    TextOrNothing,
    Word,
    convert,
    line_of,
    parse_toml,
    part,
    read_json,
    read_toml,
)
from ccslab.errors import EXIT_USER, UserError

DEEP = "[" * 5000
Status = Annotated[int, Meta(ge=100, le=599)]


class Step(Choice):
    """A request or a command, by which key is there."""


class HttpStep(Record, Step, frozen=True, kw_only=True):
    key = "http"
    name: Text = ""
    http: Text
    status: OneOrList[Status] | None = None


class RootStep(Record, Step, frozen=True, kw_only=True):
    key = "root"
    root: Lines
    within_s: Positive | None = None


class Mode(Word):
    noun = "mode"
    words = ("learning", "enforcing")


class Even(Checked):
    @classmethod
    def check(cls, text: str) -> None:
        if len(text) % 2:
            raise ValueError("has an odd length")


class Rest(Parsed):
    """``first``, and numbers by any other key."""

    def __init__(self, others: dict[str, int]) -> None:
        self.others = others

    @classmethod
    def from_data(cls, data: Any) -> Rest:
        table = part(data, dict[Text, Any])
        return cls(part({key: value for key, value in table.items() if key != "first"}, dict[Text, Count]))


class Attack(Record, frozen=True, kw_only=True):
    name: Text
    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]
    record: Regex
    kind: Literal["a", "b"] = "a"
    mode: Mode = Mode("learning")
    even: Even | None = None
    limits: dict[Text, dict[Text, Count]] = {}  # noqa: RUF012
    rest: Rest | None = None
    share: Number = 0.0
    note: TextOrNothing = ""
    file: Inside = ""
    place: Absolute = "/"
    on: bool = False

    def __post_init__(self) -> None:
        if self.on and not self.note:
            raise Fault("needs a note where it is on", "note", mend="write one")


class File(Record, frozen=True):
    attack: tuple[Attack, ...]


HEAD = '[[attack]]\nname = "first"\nrecord = "x"\nsteps = [{ http = "GET /" }]\n\n'
SECOND = '[[attack]]\nname = "second"\nrecord = "x"\n'
STEPS = SECOND + 'steps = [{ root = "true" }, '


def refusal(text: str) -> UserError:
    with pytest.raises(UserError) as caught:
        parse_toml(HEAD + text, File, "x.toml")
    assert caught.value.exit_code == EXIT_USER
    assert "\n" not in str(caught.value)
    return caught.value


def test_what_is_good_is_typed() -> None:
    text = HEAD + SECOND + 'note = ""\nmode = "enforcing"\nrest = { first = "x", n = 3 }\nshare = 1\n'
    file = parse_toml(text + '[[attack.steps]]\nroot = """\na\n\tb"""\nwithin_s = 1.5\n', File, "x.toml")
    first, second = file.attack
    assert first.steps == (HttpStep(http="GET /"),)
    assert first.record.search("ax")
    (step,) = second.steps
    assert isinstance(step, RootStep)
    assert (step.root, step.within_s, second.share) == ("a\n\tb", 1.5, 1.0)
    assert second.rest
    assert second.rest.others == {"n": 3}


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ('other = "x"', "x.toml:6: attack 1", "unknown key 'other'"),
        ("[atack]", "x.toml:6", "unknown key 'atack'"),
        (SECOND, "x.toml:6: attack 2", "lacks the key 'steps'"),
        (SECOND + "steps = []", "x.toml:9: attack 2: steps", "that is not empty"),
        (SECOND + "steps = {}", "x.toml:9: attack 2: steps", "must be a list"),
        (SECOND + "steps = [5]", "x.toml:9: attack 2: steps 1", "must be a table, not 5"),
        (STEPS + "{ http = 5 }]", "x.toml:9: attack 2: steps 2: http", "must be a line of text"),
        (STEPS + '{ http = "x", status = 99 }]', "attack 2: steps 2: status", "from 100 to 599"),
        (STEPS + '{ http = "x", status = [true] }]', "attack 2: steps 2: status 1", "not True"),
        (STEPS + '{ http = "x", root = "y" }]', "attack 2: steps 2", "has http and root"),
        (STEPS + '{ name = "x" }]', "attack 2: steps 2", "needs one of the keys http, root, and has none"),
        (STEPS + '{ root = "x", witin_s = 1 }]', "attack 2: steps 2", "unknown key 'witin_s'"),
        (STEPS + '{ root = "x", within_s = 0 }]', "attack 2: steps 2: within_s", "a number above 0"),
        (STEPS + '{ root = "\\u001b[2J" }]', "attack 2: steps 2: root", "no control characters"),
        ('name = "x"', "", "is malformed"),
        ('note = "a\\u0000b"', "x.toml:6: attack 1: note", "no control characters"),
        ('note = "a\\nb"', "attack 1: note", "a line of text"),
        ('note = "\\u202eb"', "attack 1: note", "a line of text"),
        ("on = 1", "attack 1: on", "must be true or false, not 1"),
        ("on = true", "attack 1: note", "needs a note"),
        ('kind = "c"', "attack 1: kind", "must be one of a, b, not 'c'"),
        ('mode = "enforcin"', "attack 1: mode", "unknown mode 'enforcin'"),
        ("mode = 5", "attack 1: mode", "must be"),
        ('even = "abc"', "attack 1: even", "has an odd length"),
        ("share = true", "attack 1: share", "must be a number, not True"),
        ("share = nan", "attack 1: share", "must be a number, not nan"),
        ("share = -inf", "attack 1: share", "must be a number, not -inf"),
        ("share = 1" + "0" * 400, "attack 1: share", "must be a number"),
        ("share = 0x" + "f" * 9000, "attack 1: share", "must be a number"),
        ("share = 1979-05-27", "attack 1: share", "must be a number"),
        ('file = "../x"', "attack 1: file", "must be a path inside the folder"),
        ('file = "a/.."', "attack 1: file", "must be a path inside the folder"),
        ('file = "/a"', "attack 1: file", "must be a path inside the folder"),
        ('file = ""', "attack 1: file", "must be a path inside the folder"),
        ('place = "a"', "attack 1: place", "must be a path from /"),
        ("limits = { a = { b = 1 }, c = { d = 1, e = -1 } }", "attack 1: limits: c: e", "from 0, not -1"),
        ("limits = { a = { b = 1 }, c = { d = -1 } }\non = 5", "attack 1: limits: c: d", "from 0, not -1"),
        ("limits = { a = { b = true } }\non = 5", "attack 1: limits: a: b", "from 0, not True"),
        ('limits = { a = {}, "\\u0007" = {} }', "attack 1: limits", "the key must be a line of text"),
        ("rest = { first = 1, a = 1, b = 'x' }", "attack 1: rest: b", "a whole number from 0, not 'x'"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, where: str, what: str) -> None:
    error = refusal(text)
    assert error.where.endswith(where)
    assert what in error.what
    assert error.mend


@pytest.mark.parametrize("pattern", ["(", ".*", "", " ", "a?", "a{99999999999}", "(" * 5000, 5])
def test_a_regular_expression_is_one_and_proves_something(pattern: object) -> None:
    with pytest.raises(UserError, match=r"f: record: .*- correct the file"):
        convert({"record": pattern}, dict[Text, Regex], "f")


def test_the_nearest_key_is_suggested() -> None:
    assert refusal("limit = 5").mend.startswith("did you mean limits")


def test_the_first_of_many_keys_is_found_in_time() -> None:
    table = {f"k{number}": number if number < 7_777 else "x" for number in range(10_000)}
    with pytest.raises(UserError, match="f: k7777: must be a whole number from 0, not 'x'"):
        convert(table, dict[Text, Count], "f")


def test_a_place_and_a_mend_of_the_callers() -> None:
    with pytest.raises(UserError, match=r"f: a 3: must be a line of text .*, not 5 - do it"):
        convert(5, Text, "f", "do it", place=("a", 2))  # type: ignore[arg-type]


def test_a_loose_table_may_hold_more() -> None:
    class Some(Loose, frozen=True):
        name: Text

    assert convert({"name": "x", "more": []}, Some, "f") == Some("x")
    with pytest.raises(UserError, match="f: lacks the key 'name'"):
        convert({"more": []}, Some, "f")


LINES = """\
[a]
b.c = 1
text = '''
b = 2
[d]
'''
"q r" = [
  1,
]
[[e]]
x = 1
[e.f]
[[e]]
[[e.g]]
y = 1
[[e.g]]
y = 1
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ((), 0),
        (("z",), 0),
        (("a",), 1),
        (("a", "b", "c"), 2),
        (("a", "b", "z"), 1),
        (("a", "q r", 1), 7),
        (("e", 0, "x"), 11),
        (("e", 0, "f", "z"), 12),
        (("e", 1, "x"), 13),
        (("e", 1, "g", 1, "y"), 17),
        (("d",), 0),
    ],
)
def test_the_line_of_a_place(place: tuple[str | int, ...], line: int) -> None:
    assert line_of(LINES, place) == line


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"a = \xff", "is malformed: byte 4 is not of UTF-8"),
        (b"a = " + DEEP.encode(), "is malformed: nested too deeply"),
        (b"a = " + b"9" * 5000, "is malformed: "),
        (b"[[", "is malformed: "),
        (None, "is missing"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, content: bytes | None, what: str) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: {what}")
    assert str(caught.value).endswith(" - correct the file")


@pytest.mark.parametrize("name", ["folder", "loop", "/proc/self/mem"])
def test_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path / name)


@pytest.mark.parametrize(
    "text", ['{"\\ud800": 1}', '{"name": "\\ud800"}', "[]", "null", "5", '{"name": NaN}']
)
def test_json_of_another_kind(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"x\.json: .* - again"):
        read_json(path, Attack, "again")


@given(st.one_of(st.binary(max_size=40), st.just(DEEP.encode()), st.just(b'{"a":' * 5000)))
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        assert isinstance(read_json(path), dict)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner)),
    max_leaves=5,
)
KEYS = st.sampled_from([*Attack.__struct_fields__, "x"])


@given(st.dictionaries(KEYS, VALUES))
def test_any_data_is_converted_or_refused(entry: dict[str, Any]) -> None:
    good = {"name": "x", "record": "x", "steps": [{"root": "x"}]}
    with contextlib.suppress(UserError):
        convert({"attack": [{**good, **entry}]}, File, "f")


@pytest.mark.parametrize(
    "wanted", [Text | tuple[Text, ...], dict[Text, Count | list[int]], tuple[int | dict[str, int], ...]]
)
def test_unions_that_msgspec_frees_wrongly_are_refused(wanted: Any) -> None:
    with pytest.raises(TypeError, match="say OneOrList or Choice"):
        part(5, wanted)


def test_one_or_a_list() -> None:
    one, many = (part(data, dict[Text, OneOrList[Status]])["a"] for data in ({"a": 200}, {"a": [200, 404]}))
    assert (one, one.listed, many, many.listed) == ((200,), False, (200, 404), True)
    with pytest.raises(
        UserError, match="f: a: must be a whole number from 100 to 599, not 5; or a list of such"
    ):
        convert({"a": 5}, dict[Text, OneOrList[Status]], "f")
