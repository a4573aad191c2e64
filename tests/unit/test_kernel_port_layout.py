# SPDX-License-Identifier: GPL-2.0-only
"""Reading patches, finding conflicts' places, and laying both sides beside each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from port_trees import code

from ccslab.kernel.port import mail
from ccslab.kernel.port.chunk import Chunk, Side, chunks_of, leftover_markers
from ccslab.kernel.port.hints import hints
from ccslab.kernel.port.sidebyside import WIDTH, block

QUILT = """\
Subject: net: Say it

It was not said.

Index: linux/a.c
===================================================================
--- linux.orig/a.c\t2026-01-01
+++ linux/a.c\t2026-01-02
@@ -1,3 +1,3 @@
 a
---- b
+++++ b
 c
"""


def test_a_quilt_patch_has_one_file_and_lines_that_look_like_headers() -> None:
    found = mail.parse(QUILT)
    assert [section.names for section in found.sections] == [{"a.c"}]
    assert found.sections[0].hunks == ("@@ -1,3 +1,3 @@\n a\n---- b\n+++++ b\n c\n",)
    assert found.head == "Subject: net: Say it\n\nIt was not said.\n\n"
    assert found.text(" a.c | 2 +-\n", "DIFF\n") == f"{found.head}DIFF\n"  # it had no statistics


def test_notes_below_the_message_stay_and_statistics_go() -> None:
    notes = "S\n---\nv2: better\n a table | 2 of 3\n"
    found = mail.parse(
        f"{notes}\n a.c | 2 +-\n b.c | Bin 0 -> 5 bytes\n 2 files changed\n\ndiff --git a/a.c b/a.c\n"
    )
    assert found.head == notes
    assert found.statistics


def test_hunks_move_with_what_was_added_above_them() -> None:
    hunks = ("@@ -3,2 +3,4 @@ f()\n a\n+b\n+c\n d\n", "@@ -20 +22,0 @@\n-x\n", "@@ -30,0 +32 @@\n+y\n")
    section = mail.Section(frozenset({"a.c"}), hunks)
    assert section.moved([0, 0, 0]) == "".join(hunks).replace("+22,0", "+21,0")
    moved = section.moved([5, -1, 7])
    assert [line for line in moved.splitlines() if line.startswith("@@")] == [
        "@@ -8,2 +8,4 @@ f()",
        "@@ -19 +20,0 @@",
        "@@ -37,0 +39 @@",
    ]


@given(st.binary(max_size=60))
def test_any_bytes_are_text_and_the_same_bytes_again(content: bytes) -> None:
    text = mail.decode(content)
    assert mail.encode(text) == content
    assert "".join(mail.lines_of(text)) == text
    assert all(line.count("\n") <= 1 for line in mail.lines_of(text))


@given(
    st.lists(
        st.sampled_from(
            ["--- a/x", "+++ b/x", "@@ -1 +1 @@", "@@ -1,9 +1 @@", "-a", "+b", " ", "-- ", "\\", "---"]
        )
    )
)
def test_any_lines_are_read(lines: list[str]) -> None:
    found = mail.parse("\n".join(lines))
    for section in found.sections:
        assert section.context >= 0
        assert list(section.added()) == []  # none is long enough


def test_only_markers_that_the_files_had_not_themselves_are_left_over() -> None:
    title = b"Heading\n=======\n"
    assert leftover_markers(title, title) == []
    assert leftover_markers(title + b"<<<<<<< a\nx\n=======\n>>>>>>> b\n", title) == [3, 6]
    assert leftover_markers(b"======= \n<<<<<<<<\n <<<<<<< a\n>>>>>>>\r\n", b"") == [1, 4]


def test_the_lines_of_a_place_are_those_of_each_side_s_file() -> None:
    ours = "a\n" * 5 + "int f(void)\n{\n\tmine\nout:\n\tmore\n}\n"
    theirs = "int f(void)\n{\n\tyours\nout:\n\tmore\n}\n"
    marked = (
        "a\na\na\na\na\nint f(void)\n{\n<<<<<<< o\n\tmine\n||||||| b\nbase\n=======\n\tyours\n>>>>>>> t\n"
        "out:\n<<<<<<< o\n\tmore\n||||||| b\n=======\n\tmore\n>>>>>>> t\n}\n"
    )
    first, second = chunks_of(marked.encode(), ours.encode(), theirs.encode())
    assert (first.ours.line, first.theirs.line, first.marked_line) == (8, 3, 8)
    assert first.base == ("base\n",)
    assert (second.ours.line, second.theirs.line, second.marked_line) == (10, 5, 16)
    assert second.ours.function == second.theirs.function == "int f(void)"  # a label is no function


def test_a_place_whose_lines_are_there_twice_is_the_near_one() -> None:
    ours = "a\nmine\nb\n" + "c\n" * 9 + "a\nmine\nb\n"
    marked = ours[: -len("mine\nb\n")] + "<<<<<<< o\nmine\n||||||| b\n=======\nyours\n>>>>>>> t\nb\n"
    (found,) = chunks_of(marked.encode(), ours.encode(), marked.encode())
    assert found.ours.line == 14


def chunk(ours: list[str], base: list[str], theirs: list[str]) -> Chunk:
    one, other = (Side(tuple(f"{line}\n" for line in side), 10, "int f(void)") for side in (ours, theirs))
    return Chunk(one, tuple(f"{line}\n" for line in base), other, ("before\n",), ("after\n",), 1)


def test_what_the_patch_does_not_change_is_left_out_of_a_long_place() -> None:
    base = [f"line {number}" for number in range(100)]
    shown = block(chunk([], base, [*base[:50], "NEW", *base[50:]]), "ours", "theirs")
    assert "NEW" in shown
    assert "line 49" in shown
    assert "line 20" not in shown
    assert "... 42 lines in which the patch changes nothing ..." in shown
    # A deletion has no line of its own; what is around it is shown.
    shown = block(chunk([], base, [*base[:50], *base[51:]]), "ours", "theirs")
    assert "line 49" in shown
    assert "line 51" in shown
    assert "line 20" not in shown


def test_a_long_text_of_the_new_tree_s_own_is_shown_by_its_beginning() -> None:
    shown = block(chunk([f"line {number}" for number in range(100)], [], ["NEW"]), "ours", "theirs")
    assert "line 39" in shown
    assert "line 60" not in shown


@given(*[st.lists(st.text(st.characters(codec="utf-8"), max_size=130), max_size=12)] * 3)
def test_a_block_is_as_wide_as_it_says_and_loses_nothing(
    ours: list[str], base: list[str], theirs: list[str]
) -> None:
    lines = block(chunk(ours, base, theirs), "o" * 200, "t" * 200).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert all(line.isprintable() for line in lines)
    assert all(line[59:60] in {"", " ", "|", "<", ">"} for line in lines[3:] if "..." not in line)


def test_long_lines_go_on_below() -> None:
    long = "".join(chr(ord("a") + number % 26) for number in range(120))
    shown = block(chunk([long], [], []), "ours", "theirs").splitlines()
    assert "".join(line[6:58].rstrip() for line in shown[4:7]) == long


def test_a_name_is_gone_only_if_the_patch_uses_it() -> None:
    base, ours = (code("one", name).encode() for name in ("two", "three"))
    section = mail.Section(frozenset({"a.c"}), ("@@ -1 +1,2 @@\n \ttwo_2();\n+\ttwo_1(two_0);\n",))
    assert hints([section], base, ours) == ["uses two_0, two_1, gone from the new tree's file: look at it"]
    assert hints([section], base, base) == []
