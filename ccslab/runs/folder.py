# SPDX-License-Identifier: GPL-2.0-only
"""The folders that runs leave: made, linked as the latest, listed, removed.

``runs/<lab>-<arch>-<kernel>-<time>/`` is one run, ``runs/latest/<lab>`` the newest finished one of a lab.
What is made of several runs (a matrix, a comparison) has such folders, too: ``runs/matrix/<lab>-<time>/``.
The file ``.run`` in a folder says whose it is; the living run holds a flock on it, which the kernel frees
with its process, so that a killed run is told from a running one, and a running one is never removed.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from ccslab.errors import UserError
from ccslab.evidence.text import disk_errors
from ccslab.runs import journal

MARK = ".run"
LATEST = "latest"
RESULTS = "results.json"
REPORT = "report.html"
_NEW, _GONE = ".new-", ".gone-"


class State(enum.StrEnum):
    """How far a run came."""

    RUNNING = "running"
    FINISHED = "finished"
    """It left results, whatever its verdict."""
    BROKEN = "broken off"
    """It was killed before it could leave results."""


@dataclass(frozen=True)
class Run:
    """A run's folder, seen from outside."""

    folder: Path
    lab: str
    arch: str
    kernel: str
    started: datetime
    pid: int = 0
    """The process that made it; 0 if its mark does not say."""

    @property
    def state(self) -> State:
        """Running, finished or broken off, as of now."""
        if _locked(self.folder):
            return State.RUNNING
        if (self.folder / RESULTS).is_file():
            return State.FINISHED
        kept = journal.read(self.folder)
        return State.FINISHED if kept and kept.ended else State.BROKEN

    @property
    def told(self) -> str:
        """Its state, and how many of its results a run has that broke off or goes on."""
        state = self.state
        kept = journal.read(self.folder) if state is not State.FINISHED else None
        return f"{state}, {len(kept.results)} of {kept.of}" if kept else str(state)


class LivingRun:
    """The folder of the run that goes on in this process; a context, its end frees the lock."""

    def __init__(self, run: Run, lock: int) -> None:
        self.run = run
        self.folder = run.folder
        self._lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)


def create(
    runs: Path, *, lab: str, arch: str = "", kernel: str = "", now: datetime | None = None
) -> LivingRun:
    """Make the folder of a new run; another run of the same second gets another name (``-2``, ``-3`` ...).

    :param runs: the folder of all runs; made if missing.
    :param arch: left out of the folder's name if empty, and so is ``kernel``: it is of several.
    :param now: when the run started; this instant if None.
    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    started = (now or datetime.now(UTC)).astimezone(UTC)
    words = [_slug(word) for word in (lab, arch, kernel) if word]
    stem = "-".join([*words, f"{started:%Y%m%dT%H%M%SZ}"])
    pid = os.getpid()
    said = {"lab": lab, "arch": arch, "kernel": kernel, "started": started.isoformat(), "pid": pid}
    with disk_errors(runs):
        runs.mkdir(parents=True, exist_ok=True)
        # Filled and locked under another name: a folder with a run's name is at no instant without its mark.
        # Nobody else may enter it, as mkdtemp makes it: audit logs, guests' memory and a key are in there.
        aside = Path(tempfile.mkdtemp(prefix=_NEW, dir=runs))
        lock = os.open(aside / MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.write(lock, (json.dumps(said) + "\n").encode())
            folder = _rename_free(aside, runs, stem)
        except BaseException:
            os.close(lock)
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return LivingRun(Run(folder, lab, arch, kernel, started, pid), lock)


def reopen(run: Run) -> LivingRun | None:
    """Take over the folder of a run that is over, to go on in it; None if it still goes on.

    :raises InfrastructureError: the folder cannot be read.
    """
    with disk_errors(run.folder):
        lock = os.open(run.folder / MARK, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
    return LivingRun(run, lock)


def _rename_free(aside: Path, runs: Path, stem: str) -> Path:
    for number in itertools.count(1):
        folder = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            aside.rename(folder)  # refused by the kernel if it exists, for it holds a mark
        except (FileExistsError, OSError) as error:
            if not folder.exists():
                raise error
        else:
            return folder
    raise AssertionError("unreachable")


def link_latest(run: Run) -> Path:
    """Point ``runs/latest/<lab>`` to this run, unless one that started later has it; returns the link."""
    runs = run.folder.parent
    link = runs / LATEST / _slug(run.lab)
    with disk_errors(link), _latest_lock(runs):
        there = _read(_followed(link)) if link.is_symlink() else None
        if there is None or there.started <= run.started:
            aside = link.with_name(f".{link.name}.new")
            aside.unlink(missing_ok=True)
            aside.symlink_to(Path("..") / run.folder.name)
            aside.replace(link)
    return link


def latest(runs: Path, lab: str) -> Run:
    """The newest finished run of a lab.

    :raises UserError: there is none.
    """
    link = runs / LATEST / _slug(lab)
    found = _read(_followed(link)) if link.is_symlink() else None
    if found is None:
        raise UserError(f"no finished run of {lab}", where=runs, mend=f"start one: ./inv lab.scenario {lab}")
    return found


def find(runs: Path, named: str) -> Run:
    """The run of a folder, of a folder's name, or a lab's newest.

    :raises UserError: there is none.
    """
    for folder in (Path(named), runs / named):
        if named and (found := _read(_followed(folder))):
            return found
    return latest(runs, named)


def listed(runs: Path, lab: str = "") -> list[Run]:
    """The runs below a folder (of one lab, if named), the newest last."""
    if not runs.is_dir():
        return []
    # No links: what they lead to is no run of this folder's, and would be moved or removed in its name.
    inside = (path for path in runs.iterdir() if not path.name.startswith(".") and not path.is_symlink())
    found = map(_read, inside)
    mine = [run for run in found if run is not None and lab in ("", run.lab)]
    return sorted(mine, key=lambda run: (run.started, run.folder.name))


def collections(runs: Path) -> list[Path]:
    """The folders of what is made of several runs, or of none: ``runs/matrix``, ``runs/bench`` ..."""
    if not runs.is_dir():
        return []
    found = (path for path in runs.iterdir() if path.is_dir() and not path.is_symlink())
    return sorted(path for path in found if path.name != LATEST and not (path / MARK).exists())


def clean(runs: Path, *, keep: int, lab: str = "") -> list[Path]:
    """Remove runs but the newest ``keep`` of each lab on each kernel; returns the folders that went.

    A running one stays; so does the one that ``latest`` points to, unless ``keep`` is 0.

    :raises UserError: ``keep`` is negative.
    :raises InfrastructureError: a folder cannot be removed.
    """
    if keep < 0:
        raise UserError(f"keep must be 0 or more, not {keep}")
    removed: list[Path] = []
    if not runs.is_dir():
        return removed
    with disk_errors(runs):
        of_a_kind: dict[tuple[str, str, str], list[Run]] = {}
        for run in listed(runs, lab):
            of_a_kind.setdefault((run.lab, run.arch, run.kernel), []).append(run)
        for (name, _, _), some in sorted(of_a_kind.items()):
            link = runs / LATEST / _slug(name)
            pointed = _followed(link) if keep and link.is_symlink() else None
            for run in some[: max(0, len(some) - keep)]:
                if _followed(run.folder) != pointed and _remove(run):
                    removed.append(run.folder)
        for link in (runs / LATEST).glob("*"):
            if not lab or link.name == _slug(lab):
                _unlink_dangling(link)
        _sweep(runs)
    return removed


def _unlink_dangling(link: Path) -> None:
    """Remove a link to a run that is gone, whoever removed that."""
    if link.is_symlink() and not link.exists():
        link.unlink(missing_ok=True)


def _remove(run: Run) -> bool:
    """Take a folder out of sight at once, then delete it; not if its run lives."""
    with _try_lock(run.folder / MARK) as got:
        if not got:
            return False
        gone = run.folder.with_name(f"{_GONE}{run.folder.name}")
        run.folder.rename(gone)
        _delete(gone)
        return True


def _delete(folder: Path) -> None:
    """Delete a run's folder, its mark last: what a killed removal leaves can still be told to be ours."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARK:
            path.unlink()
    (folder / MARK).unlink(missing_ok=True)
    folder.rmdir()


def _sweep(runs: Path) -> None:
    """Delete what a run or a removal that was killed left under a hidden name."""
    hidden = [path for path in runs.glob(".*") if path.name.startswith((_NEW, _GONE))]
    for path in hidden:
        # A folder without its mark may be one that is being made this instant, or none of ours.
        if not path.is_symlink() and (path / MARK).exists():
            with _try_lock(path / MARK) as got:
                if got:
                    _delete(path)
        elif path.name.startswith(_GONE) and path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()  # only if it is empty


def _read(folder: Path) -> Run | None:
    """The run of a folder; None if it is no run's."""
    try:
        said = json.loads((folder / MARK).read_text())
        started = datetime.fromisoformat(said["started"])
        pid = int(said.get("pid", 0))
        return Run(folder, str(said["lab"]), str(said["arch"]), str(said["kernel"]), started, pid)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _followed(path: Path) -> Path:
    """A path with its links followed; as it is where they lead in a circle, or no file has such a name."""
    try:
        return path.resolve()
    except (RuntimeError, OSError, ValueError):
        return path


def _slug(text: str) -> str:
    """A word for a file name."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip(".-") or "unnamed"


def _locked(folder: Path) -> bool:
    with _try_lock(folder / MARK) as got:
        return not got


@contextlib.contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    """Hold a file's lock if it is free; a file that is not there is free."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


@contextlib.contextmanager
def _latest_lock(runs: Path) -> Iterator[None]:
    folder = runs / LATEST
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
