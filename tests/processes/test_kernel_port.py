# SPDX-License-Identifier: GPL-2.0-only
"""Each outcome of a port, from small trees; and what must hold of every port."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from port_trees import CHANGED, EARLIER, OLD, applied, code, git, only, put, says, trees

from ccslab.errors import InfrastructureError, UserError
from ccslab.kernel.port import folder, mail
from ccslab.kernel.port.file import Outcome
from ccslab.kernel.port.sides import File


def test_on_its_own_tree_a_series_stays_as_it_is_byte_by_byte(tmp_path: Path) -> None:
    changes = (
        {"a.c": CHANGED, "b.c": "b\n", "with space.c": code("eight")},
        {"a.c": code("two"), "b.c": None, "d/e.c": OLD.replace("one_0", "one_O")},
        {"d/e.c": None, "f/e.c": OLD.replace("one_0", "one_zero")},
    )
    made = trees(tmp_path, {"a.c": OLD, "d/e.c": OLD}, {"a.c": OLD, "d/e.c": OLD}, *changes)
    for patch in made.port():
        assert {file.verdict.outcome for file in patch.files} == {Outcome.CLEAN}
        assert patch.new == patch.patch.path.read_text()


def test_the_author_s_own_cut_of_a_hunk_stays(tmp_path: Path) -> None:
    one, two, three = (f"/*\n * {name}\n */\n{code(name)}\n" for name in ("one", "two", "three"))
    made = trees(
        tmp_path,
        {"a.c": one + three},
        {"a.c": "/* more */\n" + one + three},
        {"a.c": one + two + three},
        options=["--no-indent-heuristic"],
    )
    patch = only(made)
    (before,), (after,) = (mail.parse(text).sections for text in (patch.patch.path.read_text(), patch.new))
    assert patch.outcome is Outcome.OFFSET
    assert after.hunks[0].partition("\n")[2] == before.hunks[0].partition("\n")[2]
    # Without this git would have cut it otherwise, and nothing were shown.
    regenerated = git(tmp_path / "repository", "diff", "HEAD~1").partition("@@")[2]
    assert mail.parse(f"--- a/a.c\n+++ b/a.c\n@@{regenerated}\n").sections[0].hunks != before.hunks


def test_clean(tmp_path: Path) -> None:
    patch = only(trees(tmp_path, {"a.c": OLD}, {"a.c": OLD + "/* end */\n"}, {"a.c": CHANGED}))
    assert says(patch) == [("a.c", Outcome.CLEAN, "")]


def test_offset_says_how_far_and_the_new_patch_has_none(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": EARLIER}, {"a.c": CHANGED.replace("three_6", "three_six")})
    patch = only(made)
    assert says(patch) == [("a.c", Outcome.OFFSET, "+7 lines")]
    told = applied(patch, made.new.folder, tmp_path / "applied")
    assert "offset" not in told
    assert "fuzz" not in told
    assert told.count("succeeded") == 2


def test_an_offset_of_some_hunks_counts_them(tmp_path: Path) -> None:
    new = OLD.replace(code("three"), "/* one more */\n" + code("three"))
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": new}, {"a.c": CHANGED.replace("three_6", "three_six")})
    assert says(only(made)) == [("a.c", Outcome.OFFSET, "1 of 2 hunks +1 line")]


def test_merged_where_the_context_changed(tmp_path: Path) -> None:
    # The third line below the change: patch wants it unchanged, and no line of the patch is in question.
    new = OLD.replace("two_9();", "two_nine();")
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": new}, {"a.c": CHANGED})
    patch = only(made)
    assert says(patch) == [("a.c", Outcome.MERGED, "the text around it changed")]
    assert "offset" not in applied(patch, made.new.folder, tmp_path / "applied")
    wanted = new.replace("two_6();", "two_six();")
    assert (tmp_path / "applied/a.c").read_text() == wanted


def test_message_author_and_signature_stay(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": OLD.replace("two_9", "two_nine")}, {"a.c": CHANGED})
    patch = only(made)
    before, after = (mail.parse(text) for text in (patch.patch.path.read_text(), patch.new))
    assert 'From: "A. Author" <author@example.org>\n' in after.head
    assert "Because of 1.\n" in after.head
    assert (before.head, before.tail) == (after.head, after.tail)
    assert after.tail.startswith("-- \n")
    assert (
        " a.c | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n\ndiff --git a/a.c b/a.c\nindex "
        in patch.new
    )


def test_context_that_the_author_left_out_stays_out(tmp_path: Path) -> None:
    new = EARLIER.replace("two_8", "two_eight").replace("two_4", "two_four")
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": new}, {"a.c": CHANGED}, options=["-U1"])
    patch = only(made)
    assert patch.outcome is Outcome.OFFSET
    assert "@@ -31,3 +31,3 @@" in patch.new


def test_a_place_that_only_looks_alike_is_not_taken(tmp_path: Path) -> None:
    # The block moved down by two copies' length: nearest to the old line is now the first copy.
    block = "\tlock();\n\tdo_it();\n\tdo_that();\n\tunlock();\n\tend();\n"
    old = f"{code('one')}int first(void)\n{{\n{block}}}\n{code('two')}"
    copied = f"{code('one')}int other(void)\n{{\n{block}}}\n{code('four')}"
    new = f"{copied}int first(void)\n{{\n{block}}}\n{code('two')}"
    changed = old.replace("\tdo_that();\n", "\tdo_that();\n\tdo_more();\n")
    made = trees(tmp_path, {"a.c": old}, {"a.c": new}, {"a.c": changed}, options=["-U2"])
    patch = only(made)
    ((_, outcome, detail),) = says(patch)
    assert outcome is Outcome.MERGED
    assert detail.startswith("patch would put it elsewhere")
    assert patch.after["a.c"].content.decode().partition("int first")[2].count("do_more") == 1


def test_already_upstream_in_the_same_words(tmp_path: Path) -> None:
    patch = only(trees(tmp_path, {"a.c": OLD}, {"a.c": "/* more */\n" + CHANGED}, {"a.c": CHANGED}))
    assert says(patch) == [("a.c", Outcome.UPSTREAM, "the new tree has it")]
    assert (patch.new, patch.settled) == ("", True)


def test_already_upstream_in_a_function_that_moved_since(tmp_path: Path) -> None:
    old = code("two", "one", "three")
    changed = old.replace("two_6();", "two_six();\n\ttwo_and();\n\ttwo_more();")
    new = (
        code("one", "three", "four")
        + "\n"
        + code("two").replace("two_6();", "two_six();\n\ttwo_and();\n\ttwo_more();")
    )
    patch = only(trees(tmp_path, {"a.c": old}, {"a.c": new}, {"a.c": changed}))
    assert says(patch) == [("a.c", Outcome.UPSTREAM, "the new tree has it: it can be taken out of it")]


def test_what_a_brace_tells_is_not_enough_to_be_upstream(tmp_path: Path) -> None:
    # Deletes a line; of the patched text only "}" and a blank line are left, which are everywhere.
    old = f"{OLD}a\n}}\ndelete me\n\nb\n"
    new, changed = old.replace("me", "me, too"), old.replace("delete me\n", "")
    made = trees(tmp_path, {"a.c": old}, {"a.c": new}, {"a.c": changed}, options=["-U1"])
    assert only(made).outcome is Outcome.CONFLICT


def test_what_would_be_added_twice_is_named(tmp_path: Path) -> None:
    helper = code("helper", size=3)
    changed = OLD.replace(code("two"), f"{code('two')}\n{helper}")
    new = f"{helper}\n{OLD}"
    assert says(only(trees(tmp_path / "a", {"a.c": OLD}, {"a.c": new}, {"a.c": changed}))) == [
        ("a.c", Outcome.OFFSET, "+7 lines; adds lines that the new tree has at line 1: look at it")
    ]
    # Where the old tree had them too, it is meant so.
    made = trees(tmp_path / "b", {"a.c": new}, {"a.c": new}, {"a.c": f"{new}{helper}"})
    assert says(only(made)) == [("a.c", Outcome.CLEAN, "")]


def test_a_name_that_is_gone_is_named_though_the_lines_merge(tmp_path: Path) -> None:
    old = code("one", "three").replace("one_0();", "int old_name = 1;")
    new = old.replace("old_name", "new_name")
    used = old.replace("three_6();", "three_6(old_name); /* one_1 */")
    assert says(only(trees(tmp_path / "a", {"a.c": old}, {"a.c": new}, {"a.c": used}))) == [
        ("a.c", Outcome.CLEAN, "uses old_name, gone from the new tree's file: look at it")
    ]
    # In a comment, or in a text that is no program, it is a word like others.
    said = old.replace("\tthree_6();", "\t/* old_name */\n\tthree_6();")
    assert says(only(trees(tmp_path / "b", {"a.c": old}, {"a.c": new}, {"a.c": said})))[0][2] == ""
    assert says(only(trees(tmp_path / "c", {"a.rst": old}, {"a.rst": new}, {"a.rst": used})))[0][2] == ""


def test_half_upstream_is_merged(tmp_path: Path) -> None:
    both = CHANGED.replace("three_6();", "three_six();")
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": CHANGED}, {"a.c": both}, options=["-U1"])
    patch = only(made)
    assert patch.outcome is Outcome.MERGED
    assert "\n \tthree_5();\n-\tthree_6();\n+\tthree_six();\n \tthree_7();\n-- \n" in patch.new
    assert " \tthree_4();\n" not in patch.new  # the author wanted one line of context
    assert [line for line in patch.new.splitlines() if line.startswith(("+\t", "-\t"))] == [
        "-\tthree_6();",
        "+\tthree_six();",
    ]


def test_one_file_upstream_the_other_not(tmp_path: Path) -> None:
    new = {"a.c": CHANGED, "b.c": OLD}
    made = trees(tmp_path, {"a.c": OLD, "b.c": OLD}, new, {"a.c": CHANGED, "b.c": CHANGED})
    patch = only(made)
    assert [file.verdict.outcome for file in patch.files] == [Outcome.UPSTREAM, Outcome.CLEAN]
    assert patch.outcome is Outcome.CLEAN
    assert mail.parse(patch.new).sections[0].names == {"b.c"}
    assert folder.verify([patch], made.series, made.new.folder) == 1


def test_conflict_names_the_place_on_both_sides(tmp_path: Path) -> None:
    new = "/* new */\n" + OLD.replace("two_6();", "two_sixth();")
    patch = only(trees(tmp_path, {"a.c": OLD}, {"a.c": new}, {"a.c": CHANGED}))
    ((_, outcome, detail),) = says(patch)
    assert (outcome, detail, patch.new) == (Outcome.CONFLICT, "1 place changed on both sides", "")
    clash = patch.files[0].verdict.clash
    assert clash is not None
    (chunk,) = clash.chunks
    assert chunk.ours.lines == ("\ttwo_sixth();\n",)
    assert chunk.base == ("\ttwo_6();\n",)
    assert chunk.theirs.lines == ("\ttwo_six();\n",)
    assert (chunk.ours.line, chunk.theirs.line) == (
        new.split("\n").index("\ttwo_sixth();") + 1,
        CHANGED.split("\n").index("\ttwo_six();") + 1,
    )
    assert chunk.ours.function == chunk.theirs.function == "int two(void)"
    assert chunk.before == ("\ttwo_3();\n", "\ttwo_4();\n", "\ttwo_5();\n")
    assert clash.marked is not None
    assert clash.marked.decode().split("\n")[chunk.marked_line - 1] == "<<<<<<< 7.2.3 a.c"


def test_line_ends_that_changed_are_named(tmp_path: Path) -> None:
    patch = only(trees(tmp_path, {"a.c": OLD}, {"a.c": OLD.replace("\n", "\r\n")}, {"a.c": CHANGED}))
    assert says(patch) == [("a.c", Outcome.CONFLICT, "line ends changed from LF to CR LF")]


def test_a_file_with_cr_lf_on_both_sides_is_a_file_like_others(tmp_path: Path) -> None:
    old, new, changed = (text.replace("\n", "\r\n") for text in (OLD, EARLIER, CHANGED))
    made = trees(tmp_path, {"a.c": old}, {"a.c": new}, {"a.c": changed})
    patch = only(made)
    assert says(patch) == [("a.c", Outcome.OFFSET, "+7 lines")]
    content = patch.after["a.c"].content
    assert content == EARLIER.replace("two_6();", "two_six();").replace("\n", "\r\n").encode()
    assert folder.verify([patch], made.series, made.new.folder) == 1


def test_bytes_that_are_no_utf_8_stay(tmp_path: Path) -> None:
    old = b"/* \xe9t\xe9 */\n" + OLD.encode()
    made = trees(
        tmp_path, {"a.c": old}, {"a.c": old + b"\xff\n"}, {"a.c": old.replace(b"\xe9t\xe9", b"\xe0")}
    )
    patch = only(made)
    assert patch.after["a.c"].content == b"/* \xe0 */\n" + OLD.encode() + b"\xff\n"
    assert folder.verify([patch], made.series, made.new.folder) == 1


def test_no_newline_at_the_end(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD + "end"}, {"a.c": EARLIER + "end"}, {"a.c": OLD + "END"})
    patch = only(made)
    assert patch.after["a.c"].content.endswith(b"}\nEND")
    assert folder.verify([patch], made.series, made.new.folder) == 1


def test_what_comes_after_a_conflict_is_tried_and_told_what_it_waits_for(tmp_path: Path) -> None:
    def all_with(text: str) -> str:
        return OLD.replace("two_6();", text)

    old = {"a.c": OLD, "b.c": OLD, "c.c": OLD, "d.c": OLD}
    changes = (
        {"a.c": all_with("x();"), "b.c": CHANGED},  # conflict in a.c
        {"b.c": CHANGED.replace("one_6", "one_six"), "c.c": CHANGED},  # needs b.c of the first
        {"a.c": all_with("z();"), "c.c": CHANGED.replace("one_6", "one_six")},  # needs both
        {"d.c": CHANGED},
    )
    made = trees(tmp_path, old, {**old, "a.c": all_with("y();")}, *changes)
    ported = made.port()
    first, second, third, _ = names = [patch.name for patch in ported]
    assert [patch.waits_for for patch in ported] == [(), (first,), (first, second), ()]
    outcomes = [Outcome.CONFLICT, Outcome.CLEAN, Outcome.CONFLICT, Outcome.CLEAN]
    assert [patch.outcome for patch in ported] == outcomes
    assert [patch.settled for patch in ported] == [False, False, False, True]
    assert folder.listing(ported).splitlines() == [
        f"# {first}: conflict, see conflicts/{first.removesuffix('.patch')}/",
        f"# {second}: waits for {first}",
        f"# {third}: waits for {first}, {second}",
        f"# {names[3]}: applies, and stands behind a conflict",
    ]
    assert folder.verify(ported, made.series, made.new.folder) == 1


def test_a_series_that_does_not_fit_its_own_tree_is_named(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": OLD}, {"a.c": CHANGED})
    put(tmp_path / "old", {"a.c": "something else\n"})
    with pytest.raises(
        UserError, match=r"0001-net-Change-1\.patch: hunk 1 does not apply to a\.c at line 22"
    ):
        made.port()


def test_a_new_series_that_is_not_what_was_said_is_never_written(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": OLD}, {"a.c": CHANGED})
    patch = only(made)
    other = replace(patch, after={"a.c": File(OLD.encode())})
    with pytest.raises(InfrastructureError, match=r"a\.c: the new series makes something else of it"):
        folder.verify([other], made.series, made.new.folder)
    other = replace(patch, new=patch.new.replace("two_5", "two_50"))
    with pytest.raises(InfrastructureError, match=r"the new series does not apply: hunk 1 .* a\.c"):
        folder.verify([other], made.series, made.new.folder)


def test_neither_tree_is_written_to(tmp_path: Path) -> None:
    made = trees(tmp_path, {"a.c": OLD}, {"a.c": EARLIER}, {"a.c": CHANGED, "b.c": "b\n"})
    before = {path: path.read_bytes() for tree in ("old", "new") for path in (tmp_path / tree).rglob("*")}
    made.port()
    assert {
        path: path.read_bytes() for tree in ("old", "new") for path in (tmp_path / tree).rglob("*")
    } == before
