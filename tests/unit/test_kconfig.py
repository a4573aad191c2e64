# SPDX-License-Identifier: GPL-2.0-only
"""What a fragment asks for is in the final .config, or the symbol is named with what it depends on."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.errors import UserError
from ccslab.kernel import kconfig

ROOT = Path(__file__).resolve().parents[2]
FRAGMENTS = sorted((ROOT / "kernel-patches/config").glob("*.config"))


def fragment(tmp_path: Path, text: str, name: str = "one.config") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "security").mkdir(parents=True)
    shutil.copyfile(Path(__file__).parent / "data" / "Kconfig", folder / "security" / "Kconfig")
    return folder


def test_settings_comments_and_what_is_not_set(tmp_path: Path) -> None:
    path = fragment(
        tmp_path, '# a comment\n\nCONFIG_NET=y\nCONFIG_LSM="tomoyo"\n# CONFIG_SMP is not set\nCONFIG_USB=n\n'
    )
    found = kconfig.parse_fragment(path)
    assert [(request.name, request.value) for request in found] == [
        ("NET", "y"), ("LSM", '"tomoyo"'), ("SMP", "n"), ("USB", "n"),
    ]  # fmt: skip
    assert found[1].where == f"{path}:4"
    assert [request.line() for request in found[1:3]] == ['CONFIG_LSM="tomoyo"', "# CONFIG_SMP is not set"]


@pytest.mark.parametrize("line", ["CONFIG_NET", "NET=y", "CONFIG_NET=", "CONFIG NET=y", "CONFIG_A-B=y"])
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(UserError, match=r"one.config:2: .* is no kconfig setting - write CONFIG_NAME=value"):
        kconfig.parse_fragment(fragment(tmp_path, f"CONFIG_A=y\n{line}\n"))


def test_a_missing_fragment_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nosuch.config: cannot be read: No such file"):
        kconfig.parse_fragment(tmp_path / "nosuch.config")


def test_a_later_fragment_overrides(tmp_path: Path) -> None:
    one = fragment(tmp_path, "CONFIG_A=y\nCONFIG_B=y\n")
    two = fragment(tmp_path, "# CONFIG_A is not set\n", "two.config")
    assert {name: request.value for name, request in kconfig.merge([one, two]).items()} == {
        "A": "n",
        "B": "y",
    }


@given(st.binary())
def test_any_fragment_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "any.config"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        kconfig.parse_fragment(path)


NAMES = st.text(ascii_uppercase + digits + "_", min_size=1, max_size=12)
VALUES = st.one_of(
    st.sampled_from(["y", "m", "0x10", "15"]), st.text(ascii_lowercase + " ,", max_size=12).map('"{}"'.format)
)


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_asked_for_is_what_a_config_of_it_grants(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    text = "".join(f"CONFIG_{name}={value}\n" for name, value in settings.items())
    requests = kconfig.merge([fragment(folder, text)])
    config = kconfig.parse_config("".join(f"{request.line()}\n" for request in requests.values()))
    assert config == settings
    kconfig.check(requests, config, folder)


def refusal(tmp_path: Path, tree: Path, text: str, config: str) -> str:
    with pytest.raises(UserError) as caught:
        kconfig.check(kconfig.merge([fragment(tmp_path, text)]), kconfig.parse_config(config), tree)
    return str(caught.value)


def test_a_refused_symbol_is_named_with_what_it_depends_on(tmp_path: Path, tree: Path) -> None:
    said = refusal(
        tmp_path, tree, "CONFIG_NET=y\nCONFIG_SECURITY_TOMOYO=y\n", "CONFIG_NET=y\nCONFIG_SYSFS=y\n"
    )
    assert "one.config:2: CONFIG_SECURITY_TOMOYO is n, asked for y" in said
    assert "security/Kconfig:5: depends on (SYSFS || PROCFS) && SECURITY && NET && 64BIT" in said
    assert "not set: 64BIT, PROCFS, SECURITY)" in said
    assert "CONFIG_NET is" not in said


def test_the_words_of_a_help_text_open_no_block(tmp_path: Path, tree: Path) -> None:
    assert list(kconfig.definitions("SECURITY_OTHER", tree)) == [
        ("security/Kconfig:18", "(SYSFS || PROCFS) && SECURITY")
    ]


def test_the_blocks_around_a_symbol_count(tmp_path: Path, tree: Path) -> None:
    (found,) = kconfig.definitions("INNER", tree)
    assert found[1] == "(SYSFS || PROCFS) && SECURITY_OTHER"
    assert "depends on nothing" in refusal(tmp_path, tree, "CONFIG_FREE=y\n", "")


def test_a_symbol_nobody_defines(tmp_path: Path, tree: Path) -> None:
    assert "no Kconfig file of this tree defines it" in refusal(tmp_path, tree, "CONFIG_NOSUCH=y\n", "")


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("# CONFIG_FREE is not set", "CONFIG_FREE=y"),
        ("CONFIG_FREE=y", "CONFIG_FREE=m"),
        ('CONFIG_FREE="a"', 'CONFIG_FREE="b"'),
    ],
)
def test_another_value_is_refused_too(tmp_path: Path, tree: Path, asked: str, got: str) -> None:
    assert "CONFIG_FREE is" in refusal(tmp_path, tree, asked + "\n", got + "\n")


def test_many_refusals_are_counted(tmp_path: Path, tree: Path) -> None:
    said = refusal(tmp_path, tree, "".join(f"CONFIG_X{number}=y\n" for number in range(20)), "")
    assert said.count("asked for") == 8
    assert "and 12 more" in said


@given(st.text(alphabet="configmenuendifchoice \n\t\\#ABCdepson|&()", max_size=200))
def test_any_kconfig_file_can_be_explained(text: str) -> None:
    for place, depends in kconfig._definitions_in(text, "A", "Kconfig"):
        assert place.startswith("Kconfig:")
        assert isinstance(depends, str)


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_our_own_fragments_are_well_formed(path: Path) -> None:
    found = kconfig.parse_fragment(path)
    assert found
    assert len({request.name for request in found}) == len(found), "a symbol is asked for twice"


def test_our_kernels_start_with_tomoyo() -> None:
    requests = kconfig.merge([path for path in FRAGMENTS if path.stem in ("base", "tomoyo", "x86_64")])
    assert requests["SECURITY_TOMOYO"].value == "y"
    assert "tomoyo" in requests["LSM"].value
