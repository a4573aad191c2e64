# SPDX-License-Identifier: GPL-2.0-only
"""What a port leaves, how a person goes on from a conflict, and what the user can get wrong."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from port_trees import Trees, code, put, trees

from ccslab.errors import UserError
from ccslab.kernel.port import command
from ccslab.kernel.series import NO_PATCHES, apply_series, load_series
from ccslab.settings import ROOT, Settings

OLD = code("one", "two", "three")
FIRST, SECOND, THIRD = (f"000{number}-net-Change-{number}.patch" for number in (1, 2, 3))
MARKED = f"conflicts/{FIRST.removesuffix('.patch')}/a.c"
LATER = f"conflicts/{SECOND.removesuffix('.patch')}/a.c"


def run(made: Trees, out: Path, *, force: bool = False) -> int:
    return command.port_series(
        made.series, made.old, made.new, out=out, force=force, again="./inv kernel.port"
    )


def mend(out: Path, place: str, *swaps: tuple[str, str]) -> None:
    """Take the patch's side of each conflict, and replace text."""
    kept, part = [], ""
    for line in (out / place).read_text().splitlines(keepends=True):
        if line[:7] in {"<<<<<<<", "|||||||", "=======", ">>>>>>>"}:
            part = line[:1].strip(">")
        elif part in {"", "="}:
            kept.append(line)
    text = "".join(kept)
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new)
    (out / place).write_text(text)


@pytest.fixture
def clashing(tmp_path: Path) -> Trees:
    """Two patches of one line, which the new tree changed too; a third of another file."""
    new = OLD.replace("two_6();", "two_new();").replace("two_7();", "two_newer();")
    changes = (
        {"a.c": OLD.replace("two_6();", "two_x();")},
        {"a.c": OLD.replace("two_6();", "two_y();")},
        {"b.c": OLD.replace("one_6", "one_six")},
    )
    return trees(tmp_path, {"a.c": OLD, "b.c": OLD}, {"a.c": new, "b.c": OLD}, *changes)


def test_a_new_series_a_report_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ({"a.c": OLD.replace("two_6", "two_x")}, {"a.c": OLD.replace("one_6", "one_x")}, {"b.c": "b\n"})
    new = {"a.c": "/* more */\n" + OLD.replace("two_6", "two_x"), "c.c": "c\n"}
    made = trees(tmp_path, {"a.c": OLD}, new, *changes)
    out = tmp_path / "deep/out"
    assert run(made, out) == 0
    assert sorted(path.name for path in out.iterdir()) == [SECOND, THIRD, "port.json", "report.md", "series"]
    assert (out / "series").read_text() == f"# {FIRST}: left out, the new tree has it\n{SECOND}\n{THIRD}\n"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    apply_series(load_series(out), made.new.folder, scratch)
    assert (scratch / "b.c").read_text() == "b\n"
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == str(out / "report.md")
    assert "3 patches: 1 upstream, 1 clean, 1 offset; 2 applied from scratch without fuzz" in said


def test_a_conflict_is_mended_step_by_step(
    clashing: Trees, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(clashing, out) == 1
    assert f"mend {out}/{Path(MARKED).parent}/" in capsys.readouterr().out
    assert (out / "series").read_text().splitlines() == [
        f"# {FIRST}: conflict, see {Path(MARKED).parent}/",
        f"# {SECOND}: waits for {FIRST}",
        f"# {THIRD}: applies, and stands behind a conflict",
    ]
    assert not (out / LATER).exists()  # it would be made on sand

    half = (out / MARKED).read_text().replace("<<<<<<< ", "")
    (out / MARKED).write_text(half)
    assert run(clashing, out) == 1
    assert "still marked at lines" in capsys.readouterr().out
    assert (out / MARKED).read_text() == half  # what a person writes is not written over

    (out / MARKED).write_text(half.replace("7.2.3 a.c\n", "<<<<<<< 7.2.3 a.c\n"))
    mend(out, MARKED, ("two_x", "two_xx"))
    assert run(clashing, out) == 1
    assert (out / "series").read_text().splitlines()[:2] == [
        FIRST,
        f"# {SECOND}: conflict, see {Path(LATER).parent}/",
    ]

    mend(out, LATER)
    assert run(clashing, out) == 0
    assert (out / "series").read_text().splitlines() == [FIRST, SECOND, THIRD]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    apply_series(load_series(out), clashing.new.folder, scratch)
    assert (scratch / "a.c").read_text() == (out / LATER).read_text()
    assert run(clashing, out) == 0  # and again, from what is there


def test_an_answer_to_another_question_is_not_taken(clashing: Trees, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(clashing, out)
    mend(out, MARKED, ("two_x", "two_xx"))
    run(clashing, out)
    mend(out, LATER)
    assert run(clashing, out) == 0
    later = (out / LATER).read_text()
    # The first is mended in another way: the second's file, which is whole, would take that back.
    (out / MARKED).write_text((out / MARKED).read_text().replace("one_0();", "one_zero();"))
    assert run(clashing, out) == 1
    assert "<<<<<<<" in (out / LATER).read_text()
    assert "one_zero" in (out / LATER).read_text()
    assert (out / f"{LATER}.outdated").read_text() == later


def test_an_empty_answer_is_no_file(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": f"{OLD}/* more */\n"}, {"a.c": None})
    out = tmp_path / "out"
    assert run(made, out) == 1
    (out / MARKED).write_text("")
    assert run(made, out) == 0
    assert "deleted file mode 100644" in (out / FIRST).read_text()


@pytest.mark.parametrize("answer", ["", "as in the new tree"])
def test_nothing_of_a_patch_is_dropped_without_a_word(
    clashing: Trees, tmp_path: Path, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(clashing, out)
    new = (clashing.new.folder / "a.c").read_bytes()
    (out / MARKED).write_bytes(new if answer else b"")
    capsys.readouterr()
    assert run(clashing, out) == 1
    assert (out / "series").read_text().startswith(f"# {FIRST}: conflict")
    assert (
        "nothing of the patch is left at 1 place: write a line 'DROP: why'" in (out / "report.md").read_text()
    )
    (out / MARKED).write_text("DROP: two() is gone\n")
    run(clashing, out)
    assert (out / "series").read_text().startswith(f"# {FIRST}: left out, nothing is left of it")
    told = (out / "report.md").read_text()
    assert (
        f"## What was dropped\n\nNothing does this in the new series any more.\n\n### {FIRST}, a.c: " in told
    )
    assert "two() is gone" in told
    assert "+\ttwo_x();" in told


def test_hooks_of_a_file_that_moved_away_are_not_lost_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new tree keeps the code elsewhere: the file's conflict is left empty, as there is no such file."""
    made = trees(tmp_path, {"a.c": OLD}, {"other.c": "x\n"}, {"a.c": OLD.replace("two_6();", "ccs_hook();")})
    out = tmp_path / "out"
    assert run(made, out) == 1
    (out / MARKED).write_text("")
    put(out, {str(Path(MARKED).with_name("other.c")): "ccs_hook();\n"})
    capsys.readouterr()
    assert run(made, out) == 1
    said = capsys.readouterr().out
    assert f"not used, for no conflict asks for it: {out / Path(MARKED).with_name('other.c')}" in said
    assert "nothing of the patch is left" in (out / "report.md").read_text()
    (out / MARKED).write_text("DROP: other.c has it, by hand\n")
    assert run(made, out) == 0
    assert "+\tccs_hook();" in (out / "report.md").read_text()


def test_one_place_of_two_is_not_dropped_without_a_word(tmp_path: Path) -> None:
    new = OLD.replace("one_6();", "one_new();").replace("three_6();", "three_new();")
    change = OLD.replace("one_6();", "one_x();").replace("three_6();", "three_x();")
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": new}, {"a.c": change})
    out = tmp_path / "out"
    run(made, out)
    (out / MARKED).write_text(new.replace("one_new();", "one_x();"))
    assert run(made, out) == 1
    assert "nothing of the patch is left at 1 place" in (out / "report.md").read_text()
    (out / MARKED).write_text("DROP: three() needs none\n" + new.replace("one_new();", "one_x();"))
    assert run(made, out) == 0
    assert "DROP" not in (out / FIRST).read_text()
    assert "one_x();" in (out / FIRST).read_text()


def test_the_folder_of_another_patchset(clashing: Trees, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(clashing, out)
    there = sorted(path.name for path in out.iterdir())
    with pytest.raises(UserError, match=r"out: is of the port 6\.12 to 7\.2 of patchset "):
        command.port_series(
            clashing.series, clashing.old, clashing.new, out=out, again="", patchset="another"
        )
    assert sorted(path.name for path in out.iterdir()) == there


def test_a_binary_file_is_put_there_by_a_person(tmp_path: Path) -> None:
    made = trees(
        tmp_path, {"a.c": OLD}, {"a.c": b"\0" + OLD.encode()}, {"a.c": OLD.replace("one_6", "one_six")}
    )
    out = tmp_path / "out"
    assert run(made, out) == 1
    assert not (out / MARKED).exists()
    assert "put the file there as it is to be" in (out / "report.md").read_text()
    (out / MARKED).write_text(OLD)
    assert run(made, out) == 0


def test_the_report_says_all_of_a_conflict(clashing: Trees, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(clashing, out)
    told = (out / "report.md").read_text()
    assert f"./inv kernel.port --out {shlex.quote(str(out))}" in told
    assert f"| {SECOND} | waits | 1 | for 0001; by itself: conflict |" in told
    assert f"File to mend: `{MARKED}`." in told
    block = told.partition("```text\n")[2].partition("```")[0].splitlines()
    assert max(map(len, block)) <= 120
    assert block[0].split("  ")[-1].strip() == "6.12.1 with 0001"
    assert "line 25, in int two(void)" in block[1]
    left, right = block[6][:59], block[6][60:]
    assert left.split() == ["25", "two_new();"]
    assert block[6][59] == "|"
    assert right.split() == ["25", "two_x();"]
    assert "-\ttwo_6();\n+\ttwo_x();\n" in told  # the patch
    assert "-\ttwo_6();\n-\ttwo_7();\n+\ttwo_new();\n+\ttwo_newer();\n" in told  # the new tree


def test_the_report_shows_what_a_merge_made_of_a_patch(tmp_path: Path) -> None:
    new = OLD.replace("two_9();", "two_nine();")
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": new}, {"a.c": OLD.replace("two_6();", "two_six();")})
    out = tmp_path / "out"
    assert run(made, out) == 0
    assert (
        "```diff\n +\ttwo_six();\n  \ttwo_7();\n  \ttwo_8();\n- \ttwo_9();\n+ \ttwo_nine();\n```"
        in (out / "report.md").read_text()
    )


def test_a_waiting_patch_that_merges_is_in_the_report_without_its_hunks(tmp_path: Path) -> None:
    changed = OLD.replace("two_6();", "two_six();")
    new = OLD.replace("two_6();", "two_new();").replace("three_9();", "three_nine();")
    made = trees(
        tmp_path, {"a.c": OLD}, {"a.c": new}, {"a.c": changed}, {"a.c": changed.replace("three_6", "three_x")}
    )
    out = tmp_path / "out"
    assert run(made, out) == 1
    told = (out / "report.md").read_text()
    assert f"### {SECOND}: waits" in told
    assert "By itself: merged." in told
    assert "from the old patch's hunks" not in told


def test_texts_of_patches_cannot_break_out_of_the_report(tmp_path: Path) -> None:
    new = OLD.replace("two_6();", "\x1b[2J```` |")
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": new}, {"a.c": OLD.replace("two_6();", "````` | x")})
    out = tmp_path / "out"
    assert run(made, out) == 1
    told = (out / "report.md").read_text()
    assert "\x1b" not in told
    assert "``````diff" in told
    assert "``````text" in told


# --- what the user can get wrong ----------------------------------------------------------------------


def refused(said: str, made: Trees, out: Path) -> None:
    with pytest.raises(UserError, match=said):
        run(made, out)


def test_a_folder_with_something_else_in_it(clashing: Trees, tmp_path: Path) -> None:
    put(tmp_path / "full", {"series": "mine.patch\n"})
    refused("full: is not empty - give another --out, or --force", clashing, tmp_path / "full")
    assert (tmp_path / "full/series").read_text() == "mine.patch\n"
    assert run(clashing, tmp_path / "full", force=True) == 1
    refused("is no folder", clashing, tmp_path / "full/series")


@pytest.mark.parametrize("out", ["/proc/nosuch", "/dev/null/below", "/proc/self/status"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_port(
    clashing: Trees, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command.walk, "port", None)
    refused(rf"{out}: (is no folder|cannot be written).* - give another --out", clashing, Path(out))


@pytest.mark.parametrize("tree", ["old", "new"])
def test_a_folder_in_a_tree(clashing: Trees, tree: str) -> None:
    refused("is in a kernel tree, which is only read", clashing, clashing.root / tree / "out")
    assert not (clashing.root / tree / "out").exists()


def test_the_folder_of_another_port(clashing: Trees, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(clashing, out)
    with pytest.raises(UserError, match=r"out: is of the port 6\.12 to 7\.2"):
        command.port_series(clashing.series, clashing.new, clashing.new, out=out, again="")


def test_a_patch_that_was_changed_by_hand_is_not_written_over(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": OLD}, {"a.c": OLD + "x\n"})
    out = tmp_path / "out"
    run(made, out)
    (out / FIRST).write_text("mine")
    refused(f"{FIRST}: was changed by hand", made, out)
    assert run(made, out, force=True) == 0
    assert (out / FIRST).read_text() != "mine"


def test_a_patch_that_is_no_more_leaves_the_folder(clashing: Trees, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(clashing, out)
    assert (out / THIRD).is_file()
    put(clashing.root / "series", {"series": f"{FIRST}\n{SECOND}\n"})
    run(clashing, out)
    assert not (out / THIRD).exists()


@pytest.mark.parametrize(
    "state",
    [
        "{",
        "[]",
        '{"origin": "6.12"}',
        '{"origin": "6.12", "target": "7.2", "written": {"../x": ""}, "asked": {}}',
    ],
)
def test_a_state_that_is_none(clashing: Trees, tmp_path: Path, state: str) -> None:
    put(tmp_path, {"x": "outside\n"})
    put(tmp_path / "out", {"port.json": state})
    refused(r"port\.json: ", clashing, tmp_path / "out")
    assert (tmp_path / "x").read_text() == "outside\n"


def test_an_empty_series(clashing: Trees, tmp_path: Path) -> None:
    put(clashing.root / "series", {"series": "# nothing\n"})
    refused("nothing to port: the series is empty", clashing, tmp_path / "out")
    with pytest.raises(UserError, match="nothing to port"):
        command.port_series(NO_PATCHES, clashing.old, clashing.new, out=tmp_path / "out", again="")


@pytest.mark.parametrize("name", ["series", "report.md", "port.json", "conflicts/a.patch"])
def test_a_patch_by_the_name_of_our_own_files(clashing: Trees, tmp_path: Path, name: str) -> None:
    text = (clashing.root / "series" / FIRST).read_bytes()
    put(clashing.root / "series", {"list": f"{name}\n", name: text})
    series = load_series(clashing.root / "series", "list")
    with pytest.raises(UserError, match="a patch of this name cannot be ported"):
        command.port_series(series, clashing.old, clashing.new, out=tmp_path / "out", again="")
    assert not (tmp_path / "out").exists()


def test_a_series_that_leads_outside(clashing: Trees) -> None:
    put(clashing.root / "series", {"series": "../repository/a.c\n"})
    with pytest.raises(UserError, match="leads outside its folder"):
        assert clashing.series


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("", "say which tree to port to"),
        ("7.3", "unknown kernel or folder '7.3'"),
        ("./nosuch", "there is no such folder"),
        ("bare", "is no kernel tree: it has no Makefile"),
        ("other", "is no kernel tree: its Makefile says no version"),
    ],
)
def test_a_tree_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, said: str) -> None:
    put(tmp_path, {"bare/README": "", "other/Makefile": "all:\n"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        command.target(Settings(cache=str(tmp_path / "cache")), to)


def test_a_folder_is_read_where_it_is(tmp_path: Path, clashing: Trees) -> None:
    found = command.target(Settings(cache=str(tmp_path / "cache")), str(clashing.new.folder))
    assert found == clashing.new
    assert not (tmp_path / "cache").exists()  # no snapshot, no copy


@pytest.mark.parametrize(
    ("kernel", "said"), [("6.13", "unknown kernel '6.13'"), ("all", "unknown kernel 'all'")]
)
def test_a_kernel_that_is_none(tmp_path: Path, kernel: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        command.port(Settings(kernel=kernel, cache=str(tmp_path)), to="7.2")


def test_the_state_holds_no_path_of_this_machine(clashing: Trees, tmp_path: Path) -> None:
    run(clashing, tmp_path / "out")
    text = (tmp_path / "out/port.json").read_text()
    assert str(ROOT) not in text
    assert str(tmp_path) not in text
    assert json.loads(text)["asked"].keys() == {MARKED}
