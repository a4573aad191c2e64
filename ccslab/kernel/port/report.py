# SPDX-License-Identifier: GPL-2.0-only
"""What a port says: a table on the terminal, and a report that a stranger can go on from."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from ccslab.kernel.port.answer import WORD
from ccslab.kernel.port.chunk import Chunk
from ccslab.kernel.port.file import ORDER, Outcome
from ccslab.kernel.port.folder import CONFLICTS, SERIES, marked_file
from ccslab.kernel.port.mail import Section, lines_of, parse
from ccslab.kernel.port.sidebyside import block, printable
from ccslab.kernel.port.walk import PortedFile, PortedPatch, Tree

WAITS = "waits"
MEANINGS = {
    Outcome.CLEAN: "every hunk applies at its line",
    Outcome.OFFSET: "every hunk applies without fuzz, some at other lines",
    Outcome.MERGED: "the text around it changed; a three-way merge settled it. Read the new patch",
    Outcome.MENDED: "a conflict that a person settled",
    Outcome.UPSTREAM: "the new tree has it already; nothing is left to do",
    Outcome.CONFLICT: "both sides changed the same lines, or the file came or went: a person has to decide",
}
WAITING = (
    "touches a file of a patch that is not settled. It was tried on the best there is so far, and what is "
    "said of it may change when that patch is mended"
)
STYLES = {Outcome.CONFLICT: "bold red", Outcome.MERGED: "yellow", Outcome.MENDED: "yellow", WAITS: "red"}
DIFF_LINES_MAX = 200  # of what a patch changes
TREE_LINES_MAX = 40  # of what a new tree changes, which may be whole functions


@dataclass(frozen=True)
class Port:
    """A whole port, for its report."""

    old: Tree
    new: Tree
    patches: Sequence[PortedPatch]
    verified: int
    """How many patches were applied from scratch."""
    again: str
    """The command that goes on after mending."""

    @property
    def conflicts(self) -> list[PortedPatch]:
        """The patches that wait for a decision, not those that wait for them."""
        return [one for one in self.patches if one.outcome is Outcome.CONFLICT and not one.waits_for]


def outcome_of(patch: PortedPatch) -> str:
    """The word for a patch in tables."""
    return WAITS if patch.waits_for else str(patch.outcome)


def summary(patches: Sequence[PortedPatch]) -> str:
    """``6 patches: 2 offset, 2 conflict, 2 waits``."""
    counts = Counter(map(outcome_of, patches))
    parts = [f"{counts[word]} {word}" for word in (*map(str, ORDER), WAITS) if counts[word]]
    return f"{len(patches)} patch{'' if len(patches) == 1 else 'es'}: {', '.join(parts)}"


def table(port: Port) -> Table:
    """Patch, outcome, files, detail."""
    shown = Table(
        box=box.SIMPLE_HEAD, title=f"{port.old.version} to {port.new.version}", title_justify="left"
    )
    shown.add_column("patch", overflow="fold", ratio=5)
    shown.add_column("outcome", no_wrap=True)
    shown.add_column("files", justify="right", no_wrap=True)
    shown.add_column("detail", overflow="fold", ratio=6)
    for one in port.patches:
        word = outcome_of(one)
        name, detail = (Text(printable(text)) for text in (one.name, _detail(one)))
        shown.add_row(name, Text(word, STYLES.get(word, "green")), str(len(one.files)), detail)
    return shown


def _detail(patch: PortedPatch) -> str:
    """The files that made the patch's outcome, and why."""
    if patch.waits_for:
        return f"for {', '.join(_short(one) for one in patch.waits_for)}; by itself: {patch.outcome}"
    telling = [one for one in patch.files if one.verdict.outcome is patch.outcome and one.verdict.detail]
    return "; ".join(f"{_base(one.name)}: {one.verdict.detail}" for one in telling)


def _short(name: str) -> str:
    """A patch by its number, if it begins with one."""
    number = name.partition("-")[0]
    return number if number.isdigit() else name


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def report(port: Port) -> str:
    """The report, in Markdown."""
    parts = [
        f"# The series of {port.old.version}, ported to {port.new.version}",
        "Made by `./inv kernel.port`; docs/porting.md says how.",
        f"**{summary(port.patches)}.**",
        "\n".join(_overview(port)),
        "\n".join(_words(port)),
    ]
    if port.conflicts:
        parts.append("\n".join(_how_to_go_on(port)))
        parts += [_conflict(one, port) for one in port.conflicts]
    if later := [one for one in port.patches if one.waits_for and one.outcome is Outcome.CONFLICT]:
        parts.append("## What you will probably have to decide after that\n\nThere are no files to mend yet.")
        parts += [_conflict(one, port) for one in later]
    if dropped := [(one, file) for one in port.patches for file in one.files if file.verdict.dropped]:
        parts.append("## What was dropped\n\nNothing does this in the new series any more.")
        parts += [_dropped(one, file) for one, file in dropped]
    parts.append("## The patches one by one")
    parts += ["\n".join(_patch(one)) for one in port.patches]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _overview(port: Port) -> Iterator[str]:
    yield "| patch | outcome | files | detail |"
    yield "|---|---|---|---|"
    for one in port.patches:
        yield f"| {_cell(one.name)} | {outcome_of(one)} | {len(one.files)} | {_cell(_detail(one))} |"


def _words(port: Port) -> Iterator[str]:
    met = {file.verdict.outcome for one in port.patches for file in one.files}
    yield from (f"- *{word}*: {MEANINGS[word]}." for word in ORDER if word in met)
    if any(one.waits_for for one in port.patches):
        yield f"- *{WAITS}*: {WAITING}."
    yield ""
    yield (
        f"The {port.verified} settled patches were applied in order to the untouched tree, without fuzz, and "
        f"gave exactly what this report says. `{SERIES}` lists those before the first conflict."
    )
    yield "They were not compiled: build and boot them before you believe them."


def _dropped(patch: PortedPatch, file: PortedFile) -> str:
    title = f"### {patch.name}, {file.name}: {printable(file.verdict.dropped)}"
    return f"{title}\n\nOf these hunks of the old patch:\n\n{_fenced(_hunks(file.sections))}"


def _how_to_go_on(port: Port) -> Iterator[str]:
    yield "## What you have to decide"
    yield ""
    yield (
        f"Edit the files below `{CONFLICTS}/` until none of the lines `<<<<<<<`, `|||||||`, `=======` and "
        "`>>>>>>>` is left. Each is the whole file as it is to be with its patch; leave it empty if the "
        f"patch deletes it. Where nothing of what the patch does is to be left, write a line `{WORD} why`, "
        "one for each such place; as the file's only line it leaves the new tree's file as it is. Then run "
        "this; it takes them as the patches' results and goes on:"
    )
    yield ""
    yield f"    {port.again}"


def _conflict(patch: PortedPatch, port: Port) -> str:
    parts = [f"### {patch.name}", _subject(patch)]
    for file in patch.files:
        clash = file.verdict.clash
        if clash is None:
            continue
        place = marked_file(patch.name, file.name)
        to_mend = "" if patch.waits_for else f" File to mend: `{place}`."
        parts.append(f"#### {file.name}\n\n{_sentence(file.verdict.detail)}{to_mend}")
        if clash.marked is None:
            parts.append("There is no text to mark: put the file there as it is to be.")
        for number, chunk in enumerate(clash.chunks, start=1):
            parts.append(_place(number, len(clash.chunks), chunk, port, patch))
    return "\n\n".join(part for part in parts if part)


def _place(number: int, count: int, chunk: Chunk, port: Port, patch: PortedPatch) -> str:
    sides = block(
        chunk, f"{port.new.version} (the new tree)", f"{port.old.version} with {_short(patch.name)}"
    )
    told = [
        f"Place {number} of {count}"
        + ("." if patch.waits_for else f", line {chunk.marked_line} of that file."),
        _fence(sides, "text"),
        f"What the patch changes there ({port.old.version} without it, and with it):",
        _fenced(_diff(chunk.base, chunk.theirs.lines)),
        f"What the new tree changed there ({port.old.version}, and {port.new.version}):",
        _fenced(_diff(chunk.base, chunk.ours.lines), TREE_LINES_MAX),
    ]
    return "\n\n".join(told)


def _patch(patch: PortedPatch) -> Iterator[str]:
    yield f"### {patch.name}: {outcome_of(patch)}"
    yield ""
    if subject := _subject(patch):
        yield subject
        yield ""
    if patch.waits_for:
        yield f"Waits for {', '.join(patch.waits_for)}. By itself: {patch.outcome}."
        yield ""
    yield "| file | outcome | detail |"
    yield "|---|---|---|"
    for file in patch.files:
        yield f"| {_cell(file.name)} | {file.verdict.outcome} | {_cell(file.verdict.detail)} |"
    now = parse(patch.new) if patch.new and not patch.waits_for else None
    for file in patch.files:
        if now and file.verdict.outcome in {Outcome.MERGED, Outcome.MENDED}:
            yield ""
            yield from _changed_patch(file, now.of(file.name))


def _changed_patch(file: PortedFile, now: Sequence[Section]) -> Iterator[str]:
    """How the new patch of a file differs from the old one: what there is to review."""
    diff = _diff(_hunks(file.sections), _hunks(now))
    if not any(line.startswith(("+", "-")) for line in diff):
        yield f"{file.name}: the new patch changes the same lines in the same context."
        return
    yield f"{file.name}: from the old patch's hunks (`-`) to the new patch's (`+`):"
    yield ""
    yield _fenced(diff)


def _hunks(sections: Sequence[Section]) -> list[str]:
    """Hunks without their line numbers."""
    return [
        f"@@{line.split('@@', 2)[2]}" if number == 0 else line
        for section in sections
        for hunk in section.hunks
        for number, line in enumerate(lines_of(hunk))
    ]


def _diff(before: Sequence[str], after: Sequence[str]) -> list[str]:
    old, new = ([line.rstrip("\r\n") for line in side] for side in (before, after))
    return list(difflib.unified_diff(old, new, lineterm="", n=3))[2:]  # without the names


def _fenced(lines: Sequence[str], most: int = DIFF_LINES_MAX) -> str:
    cut = ["@@" if line.startswith("@@ -") else printable(line) for line in lines[:most]]
    shown = cut[1:] if cut[:1] == ["@@"] else cut  # between two pieces it says that something is left out
    if len(lines) > most:
        shown.append(f"... {len(lines) - most} more lines")
    body = "\n".join(shown) or "(nothing)"
    return _fence(body, "diff")


def _fence(body: str, kind: str) -> str:
    """A block of code that nothing in it can end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", body)), default=0))
    return f"{fence}{kind}\n{body.rstrip(chr(10))}\n{fence}"


def _subject(patch: PortedPatch) -> str:
    lines = patch.old.head.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("Subject: "):
            more = [part.strip() for part in lines[number + 1 : number + 2] if part.startswith(" ")]
            return printable(" ".join([line.removeprefix("Subject: "), *more]))
    return ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
