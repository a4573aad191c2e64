# SPDX-License-Identifier: GPL-2.0-only
"""What a user named for a result and is not ours is not written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ccslab import output
from ccslab.errors import UserError
from ccslab.policy.command import convert_file


def svg(content: bytes) -> bool:
    return content.startswith(output.SVG)


@pytest.mark.parametrize("content", [None, b"<svg class='rich-terminal'>"])
def test_a_new_file_and_one_of_ours_may_be_written(tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "run.svg").write_bytes(content)
    output.check_file(tmp_path / "run.svg", svg, "--svg")


FOREIGN: dict[str, Callable[[Path], object]] = {
    "another file": lambda path: path.write_text("ten years"),
    "an empty file": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
    "a link to one of ours": lambda path: (
        path.with_name("there").write_text("<svg"),
        path.symlink_to("there"),
    ),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a looping link": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_is_not_ours_is_not_written_over(tmp_path: Path, foreign: str) -> None:
    FOREIGN[foreign](tmp_path / "run.svg")
    with pytest.raises(UserError, match=r"run.svg: is there already .* or give another --svg"):
        output.check_file(tmp_path / "run.svg", svg, "--svg")


@pytest.mark.parametrize(
    "path", ["/proc/nosuch/folder", "/dev/null", "/dev/null/below", "loop/below", "nul\0"]
)
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(UserError, match=r"(is no folder|cannot be written: .*) - give another --out"):
        output.check_folder(Path(path), "--out")


def test_a_check_leaves_nothing(tmp_path: Path) -> None:
    output.check_folder(tmp_path / "a/b/c", "--out")
    assert not list(tmp_path.iterdir())


def test_a_converted_policy_is_not_written_over_another_one(tmp_path: Path) -> None:
    (tmp_path / "old.conf").write_text("<kernel> /sbin/init\n4 /etc/hosts\n")
    convert_file(tmp_path / "old.conf", tmp_path / "out")
    convert_file(tmp_path / "old.conf", tmp_path / "out")  # the same again
    (tmp_path / "out/domain_policy.conf").write_text("mine\n")
    with pytest.raises(UserError, match=r"domain_policy.conf: is there already"):
        convert_file(tmp_path / "old.conf", tmp_path / "out")
    assert (tmp_path / "out/domain_policy.conf").read_text() == "mine\n"
