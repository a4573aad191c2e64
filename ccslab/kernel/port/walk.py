# SPDX-License-Identifier: GPL-2.0-only
"""A series tried patch by patch on another tree. Neither tree is written to; only touched files are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ccslab.kernel.port import answer as answers
from ccslab.kernel.port import file as one_file
from ccslab.kernel.port import mail, moved
from ccslab.kernel.port.chunk import leftover_markers
from ccslab.kernel.port.file import ORDER, Clash, Labels, Outcome, Verdict
from ccslab.kernel.port.sides import File, Sides, read, write
from ccslab.kernel.port.tools import Differ
from ccslab.kernel.series import Patch, Series, apply_series
from ccslab.store import remove, temporary

MARKERS_SHOWN = 6


Answers = Callable[[str, str, str], bytes | None]
"""(patch, file, the conflict's key) -> the file as a person left it; None if there is none."""


@dataclass(frozen=True)
class PortedFile:
    """One file of a patch."""

    name: str
    """In the new tree."""
    verdict: Verdict
    sections: tuple[mail.Section, ...]
    """The old patch's hunks for it."""


@dataclass(frozen=True)
class PortedPatch:
    """One patch, and what became of it."""

    patch: Patch
    name: str
    """Its path below the series' folder."""
    files: tuple[PortedFile, ...]
    waits_for: tuple[str, ...]
    """The patches in conflict, or waiting themselves, that touch a file of this one."""
    old: mail.Mail
    new: str = ""
    """The patch for the new tree; "" if there is a conflict, or nothing left to change."""
    after: Mapping[str, File | None] = field(default_factory=dict)
    """The new tree's files that it changes, as they are with it."""

    @property
    def outcome(self) -> Outcome:
        """The hardest of its files'."""
        return max((file.verdict.outcome for file in self.files), key=ORDER.index, default=Outcome.UPSTREAM)

    @property
    def settled(self) -> bool:
        """Whether it is part of the new series, or needs not be."""
        return self.outcome is not Outcome.CONFLICT and not self.waits_for


@dataclass(frozen=True)
class Tree:
    """A kernel's tree, and what to call it."""

    folder: Path
    version: str


def port(series: Series, old: Tree, new: Tree, answers: Answers) -> list[PortedPatch]:
    """Try each patch of a series in turn.

    After a conflict the next patches are tried on the best there is; those that touch a file of an
    unsettled patch are marked as waiting for it.

    :raises UserError: the series does not apply to its own tree.
    """
    with temporary.folder("port") as scratch:
        return list(_Walk(series, old, new, answers, scratch).patches())


@dataclass(frozen=True)
class _Change:
    """What a patch does to one file of the old tree."""

    source: str
    goal: str
    """Another name than ``source`` if the patch renames the file."""
    base: File | None
    theirs: File | None


class _Walk:
    """Both trees' touched files, as the series goes on."""

    def __init__(self, series: Series, old: Tree, new: Tree, answers: Answers, scratch: Path) -> None:
        self.series, self.old, self.new, self.answers, self.scratch = series, old, new, answers, scratch
        laid = {one.name: read(one.path.parent, one.path.name) for one in series.overlay}
        self.was: dict[str, File | None] = dict(laid)
        self.now: dict[str, File | None] = dict(laid)
        self.moves: dict[str, moved.Move] = {}
        self.unsettled: dict[str, set[str]] = {}  # patch -> the new tree's files that it touches
        self.differ = Differ(self._folder("differ"))

    def patches(self) -> Iterator[PortedPatch]:
        """Each patch in turn."""
        for patch in self.series.patches:
            yield self._patch(patch)

    def _patch(self, patch: Patch) -> PortedPatch:
        assert self.series.folder is not None
        name = patch.path.relative_to(self.series.folder).as_posix()
        text = mail.read(patch.path)
        changes = [(change, *self._places(change)) for change in self._changes(patch, text)]
        touched = list(dict.fromkeys(place for _, here, there in changes for place in (here, there)))
        waits_for = tuple(one for one, places in self.unsettled.items() if not places.isdisjoint(touched))
        before = {place: self._ours(place) for place in touched}
        files = tuple(
            self._file(name, change, (here, there), tuple(text.of(change.source, change.goal)))
            for change, here, there in changes
        )
        done = PortedPatch(patch, name, files, waits_for, text)
        if not done.settled:
            self.unsettled[name] = set(touched)
        if done.outcome is Outcome.CONFLICT:
            return done
        after = {place: self.now[place] for place in touched}
        return replace(done, new=self._regenerated(text, files, before, after), after=after)

    def _regenerated(
        self,
        text: mail.Mail,
        files: Sequence[PortedFile],
        before: Mapping[str, File | None],
        after: Mapping[str, File | None],
    ) -> str:
        """The patch's message with the hunks that lead from one state of the new tree to the next."""
        own = {
            file.name: file.sections[0].moved(file.verdict.offsets)
            for file in files
            if file.verdict.offsets is not None
        }
        context = dict.fromkeys(before, mail.CONTEXT)
        context |= {
            file.name: max((one.context for one in file.sections), default=mail.CONTEXT) for file in files
        }
        statistics, diff = self.differ.diff(before, after, context=context, own=own, digits=text.digits)
        return text.text(statistics, diff) if diff else ""

    def _changes(self, patch: Patch, text: mail.Mail) -> list[_Change]:
        """Apply a patch to the old tree's files; what it changed."""
        base, theirs = self._folder("base"), self._folder("theirs")
        for name in patch.files:
            self.was.setdefault(name, read(self.old.folder, name))
            write(base, name, self.was[name])
        apply_series(Series(None, (patch,)), base, theirs)
        after = {name: read(theirs, name) for name in patch.files}
        goals = {name: name for name in patch.files if name not in dict(text.renames).values()}
        goals |= dict(text.renames)
        changes = [_Change(source, goal, self.was[source], after[goal]) for source, goal in goals.items()]
        self.was |= after
        return [one for one in changes if one.source != one.goal or one.base != one.theirs]

    def _places(self, change: _Change) -> tuple[str, str]:
        """The file's names in the new tree, before and after the patch."""
        here = self.moves[change.source].name if change.source in self.moves else change.source
        if self._ours(here) is None and change.base:
            if change.goal != change.source and self._ours(change.goal):
                here = change.goal  # the new tree renamed it as the patch does
            elif move := moved.find(change.source, change.base, self.old.folder, self.new.folder):
                self.moves[change.source] = move
                here = move.name
        return here, here if change.goal == change.source else change.goal

    def _file(
        self,
        patch: str,
        change: _Change,
        places: tuple[str, str],
        sections: tuple[mail.Section, ...],
    ) -> PortedFile:
        here, there = places
        sides = Sides(change.base, change.theirs, self._ours(here))
        if here != there and self._ours(there):
            clash = Clash(None, (), sides.key)
            verdict = Verdict(Outcome.CONFLICT, sides.ours, f"becomes {there}, which is there already", clash)
            there = here
        else:
            verdict = one_file.port(sides, sections, self._labels(patch, here), self._folder("file"))
        if here != there and verdict.outcome is Outcome.UPSTREAM:
            verdict = replace(verdict, outcome=Outcome.CLEAN, detail="")  # the new name is yet to be given
        if verdict.clash:
            answer = self.answers(patch, there, verdict.clash.key)
            verdict = self._answered(verdict, verdict.clash, sides, answer)
        if move := self.moves.get(change.source):
            where = f"moved from {change.source} with {move.share:.0%} of its lines"
            verdict = replace(verdict, detail="; ".join(filter(None, (where, verdict.detail))))
        self.now[here] = None
        self.now[there] = verdict.result
        return PortedFile(there, verdict, sections)

    def _labels(self, patch: str, name: str) -> Labels:
        return Labels(
            ours=f"{self.new.version} {name}",
            base=f"{self.old.version} before {patch}",
            theirs=f"{self.old.version} with {patch}",
        )

    def _answered(self, verdict: Verdict, clash: Clash, sides: Sides, answer: bytes | None) -> Verdict:
        if answer is None:
            return verdict
        mended = answers.read(answer)
        originals = (side.content for side in (sides.ours, sides.theirs) if side)
        if markers := leftover_markers(mended.content, *originals):
            lines = ", ".join(map(str, markers[:MARKERS_SHOWN]))
            return replace(verdict, detail=f"{verdict.detail}; still marked at lines {lines}")
        lost = 0 if mended.nothing else answers.dropped(mended.content, sides, clash.chunks)
        if lost > len(mended.reasons):
            places = "1 place" if lost == 1 else f"{lost} places"
            ask = f"write a line '{answers.WORD} why' for each into the file if that is meant"
            return replace(
                verdict, detail=f"{verdict.detail}; nothing of the patch is left at {places}: {ask}"
            )
        file = answers.result(mended, sides, bool(verdict.result and verdict.result.executable))
        how = "by hand" if file is not None or mended.nothing else "by hand: no such file"
        why = "; ".join(mended.reasons)
        return Verdict(Outcome.MENDED, file, f"{how}, dropped: {why}" if why else how, dropped=why)

    def _ours(self, name: str) -> File | None:
        if name not in self.now:
            self.now[name] = read(self.new.folder, name)
        return self.now[name]

    def _folder(self, name: str) -> Path:
        """An empty folder of this name."""
        folder = self.scratch / name
        remove(folder)
        folder.mkdir()
        return folder
