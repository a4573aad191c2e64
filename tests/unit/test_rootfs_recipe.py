# SPDX-License-Identifier: GPL-2.0-only
"""Recipes: what is wrong is named with its line, and nothing unknown slips through."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.datafile import line_of
from ccslab.errors import UserError
from ccslab.rootfs import recipe as recipes

ROOT = Path(__file__).parents[2]
GOOD = """\
hostname = "server"
root_password = "secret"
source_date_epoch = 1767225600

[suites]
required = ["bookworm"]
optional = ["bookworm-security"]

[packages]
install = ["systemd", "apache2"]
preseed = ["postfix postfix/mailname string server.example"]

[image]
size_mib = 512
uuid = "7f0c6a52-4f0b-4c9e-9d6b-2008ccab0001"

[content]
overlays = ["rootfs/overlay/base"]

[content.programs]
ccs-init = "/sbin/ccs-init"
"""


def parse(text: str) -> recipes.Recipe:
    return recipes.parse(text, name="good", where="good.toml")


def test_a_good_recipe_is_taken_as_it_says() -> None:
    recipe = parse(GOOD)
    assert recipe.required_suites == ("bookworm",)
    assert recipe.components == ("main",)
    assert recipe.programs == {"ccs-init": "/sbin/ccs-init"}
    assert recipe.size_mib == 512


@pytest.mark.parametrize("name", recipes.recipes(ROOT))
def test_the_recipes_of_the_tree_load(name: str) -> None:
    assert recipes.load_recipe(name, ROOT).packages


def test_the_tree_has_the_server_of_the_report() -> None:
    wanted = {"apache2", "libapache2-mod-php", "namazu2", "nkf", "postfix", "cron", "openssh-server"}
    assert wanted <= set(recipes.load_recipe("webserver", ROOT).packages)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[packages]", "[packages]\nextra = 1", r"good\.toml:10: packages: unknown key 'extra'"),
        (
            'hostname = "server"',
            'hostnam = "server"',
            r"good\.toml:1: unknown key 'hostnam' - did you mean hostname",
        ),
        ('hostname = "server"', 'hostname = "Server!"', r"good\.toml:1: hostname: must be a host name"),
        ("size_mib = 512", "size_mib = 1", r"good\.toml:14: image: size_mib: must be a whole number from 64"),
        ("size_mib = 512", "size_mib = true", r"good\.toml:14: image: size_mib: must be a whole number"),
        ("size_mib = 512\n", "", r"good\.toml:13: image: lacks the key 'size_mib'"),
        ('"apache2"]', '"apache2", "apache2"]', r"good\.toml:10: packages: install: names apache2 twice"),
        ('"apache2"]', '"a b"]', r"good\.toml:10: packages: install 2: must be a package name, not 'a b'"),
        (
            '["bookworm-security"]',
            '["bookworm"]',
            r"good\.toml:7: suites: optional: bookworm is required and optional",
        ),
        (
            '"/sbin/ccs-init"',
            '"sbin/ccs-init"',
            r"good\.toml:21: content: programs: ccs-init: must be an absolute path",
        ),
        (
            '"rootfs/overlay/base"',
            '"../elsewhere"',
            r"content: overlays 1: must be a path below the tree, not '\.\./elsewhere'",
        ),
        ("7f0c6a52", "7F0C6A52", r"image: uuid: must be a UUID in lower case"),
        ("string server", "strin server", r"packages: preseed 1: must be a debconf line"),
        ("[suites]", "[suites", r"good\.toml: .*line 5"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError, match=said):
        parse(GOOD.replace(old, new))


def test_an_unknown_recipe_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match="unknown recipe 'webserv' - did you mean webserver"):
        recipes.load_recipe("webserv", ROOT)


def test_an_overlay_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = tmp_path / recipes.FOLDER
    folder.mkdir(parents=True)
    (folder / "good.toml").write_text(GOOD)
    with pytest.raises(UserError, match=r"good\.toml:18: content: overlays 1: names rootfs/overlay/base"):
        recipes.load_recipe("good", tmp_path)
    (tmp_path / "rootfs/overlay/base").mkdir(parents=True)
    assert recipes.load_recipe("good", tmp_path).name == "good"


KEYS = st.sampled_from(
    [
        *((key,) for key in ("description", "hostname", "root_password", "source_date_epoch")),
        *(("suites", key) for key in ("required", "optional", "components")),
        *(("packages", key) for key in ("install", "preseed", "exclude_paths")),
        *(("image", key) for key in ("size_mib", "label", "uuid")),
        *(("content", key) for key in ("overlays", "hooks")),
    ]
)
VALUES = st.one_of(
    st.integers(),
    st.booleans(),
    st.text(alphabet="ab/.:-\\\n\"'", max_size=6),
    st.lists(st.integers(), max_size=2),
)


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return str(value)


@given(KEYS, VALUES)
def test_any_value_is_taken_or_refused_by_name(key: tuple[str, ...], value: object) -> None:
    *tables, last = key
    lines = GOOD.splitlines()
    number = max(line_of(GOOD, key), 1) - 1
    if lines[number].startswith(f"{last} ="):
        lines[number] = f"{last} = {toml(value)}"
    else:
        lines.insert(number + 1 if tables else 0, f"{last} = {toml(value)}")
    text = "\n".join(lines)
    assert tomllib.loads(text)
    refusal = ""
    try:
        parse(text)
    except UserError as error:
        refusal = str(error)
    assert not refusal or f": {': '.join(key)}" in refusal or "required and optional" in refusal
