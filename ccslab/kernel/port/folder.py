# SPDX-License-Identifier: GPL-2.0-only
"""The folder a port leaves: the new series, its report, and the files that wait for a person's decision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ccslab.errors import InfrastructureError, UserError
from ccslab.kernel.port.file import Outcome
from ccslab.kernel.port.mail import encode
from ccslab.kernel.port.sides import File, read
from ccslab.kernel.port.walk import PortedPatch
from ccslab.kernel.series import Series, apply_series, inside, load_patches
from ccslab.output import check_folder
from ccslab.store import disk_errors, hash_file, temporary

SERIES = "series"
REPORT = "report.md"
STATE = "port.json"
CONFLICTS = "conflicts"
OUTDATED = ".outdated"
RESERVED = {SERIES, REPORT, STATE}


@dataclass(frozen=True)
class Identity:
    """Which port a folder is of: the next run of the same port goes on in it."""

    origin: str
    """The series' kernel, ``6.12``."""
    target: str
    """The new tree's version without the last number, ``7.2``: a newer stable tree is the same port."""
    patchset: str = ""
    """Whose patches they are."""


@dataclass(frozen=True)
class Folder:
    """A port's folder, as an earlier run of the same port left it, or empty."""

    path: Path
    identity: Identity
    written: Mapping[str, str]
    """File -> SHA-256 of what we wrote there."""
    asked: Mapping[str, str]
    """File below it that a person mends -> the key of the conflict it is about."""

    @property
    def resumed(self) -> bool:
        """Whether an earlier run of this port wrote here."""
        return (self.path / STATE).is_file()

    def answer(self, patch: str, name: str, key: str) -> bytes | None:
        """What a person made of a conflict so far; None if it is another conflict by now."""
        place = marked_file(patch, name)
        path = self.path / place
        if self.asked.get(place) != key or not path.is_file():
            return None
        return path.read_bytes()


def marked_file(patch: str, name: str) -> str:
    """Where a conflict of a patch in a file is put for mending, below the port's folder."""
    return f"{CONFLICTS}/{PurePosixPath(patch).with_suffix('')}/{name}"


def open_folder(path: Path, identity: Identity, *, force: bool = False) -> Folder:
    """The folder for a port's results.

    :param force: write over what is there.
    :raises UserError: something else is there, or what we wrote was changed by hand.
    """
    check_folder(path, "--out")  # not after the port, which takes half a minute
    state = _state(path / STATE)
    mine = all(state.get(key) == value for key, value in asdict(identity).items())
    folder = Folder(path, identity, state.get("written", {}), state.get("asked", {}) if mine else {})
    if force:
        return folder
    if not mine and path.is_dir() and any(path.iterdir()):
        whose = f" of patchset {state.get('patchset', 'unknown')}" if state else ""
        what = f"is of the port {state['origin']} to {state['target']}{whose}" if state else "is not empty"
        raise UserError(what, where=path, mend="give another --out, or --force to write over it")
    for name, sha256 in folder.written.items():
        if (path / name).is_file() and hash_file(path / name) != sha256:
            raise UserError(
                "was changed by hand since kernel.port wrote it",
                where=path / name,
                mend=f"mend conflicts in {CONFLICTS}/, or give --force to write over it",
            )
    return folder


def check_names(names: Sequence[str]) -> None:
    """Refuse patches whose names are our own files'.

    :raises UserError: there is one.
    """
    for name in names:
        if name in RESERVED or name.split("/")[0] == CONFLICTS:
            raise UserError("a patch of this name cannot be ported", where=name, mend="rename it")


def listing(patches: Sequence[PortedPatch]) -> str:
    """The new series: the patches before the first conflict; the others as comments that say why."""
    lines, whole = [], True
    for one in patches:
        whole = whole and one.settled
        if one.waits_for:
            lines.append(f"# {one.name}: waits for {', '.join(one.waits_for)}")
        elif not one.settled:
            lines.append(f"# {one.name}: conflict, see {marked_file(one.name, '')}")
        elif not one.new:
            why = "the new tree has it" if one.outcome is Outcome.UPSTREAM else "nothing is left of it"
            lines.append(f"# {one.name}: left out, {why}")
        elif whole:
            lines.append(one.name)
        else:
            lines.append(f"# {one.name}: applies, and stands behind a conflict")
    return "".join(f"{line}\n" for line in lines)


def verify(patches: Sequence[PortedPatch], series: Series, new: Path) -> int:
    """Apply the settled patches, as they will be written, to the new tree from scratch; how many they are.

    :raises InfrastructureError: that does not give what the port says.
    """
    settled = [one for one in patches if one.settled and one.new]
    with temporary.folder("port") as aside:
        written, scratch = aside / "series", aside / "tree"
        scratch.mkdir()
        for one in settled:
            path = written / one.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(one.new))
        ported = load_patches(written, [one.name for one in settled], "the new series")
        whole = Series(written, ported, series.overlay)
        try:
            apply_series(whole, new, scratch)
        except UserError as error:
            raise InfrastructureError(
                f"the new series does not apply: {error.what}", where=error.where
            ) from error
        wanted: dict[str, File | None] = {}
        for one in settled:
            wanted |= one.after
        for name, file in wanted.items():
            # What no patch changes any more was not copied.
            if read(scratch if name in whole.files() else new, name) != file:
                raise InfrastructureError("the new series makes something else of it", where=name)
    return len(settled)


def save(folder: Folder, patches: Sequence[PortedPatch], report: str) -> None:
    """Write series, patches, report and the files to mend; a file that a person is mending stays as it is."""
    texts = {one.name: encode(one.new) for one in patches if one.new and one.settled}
    texts[SERIES] = encode(listing(patches))
    texts[REPORT] = report.encode(errors="replace")
    asked = dict(folder.asked)
    with disk_errors(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
        _remember(replace(folder, written={}, asked=asked))  # killed from here on, nothing is claimed
        for name in folder.written.keys() - texts.keys():
            (folder.path / name).unlink(missing_ok=True)
        for one in patches:
            for file in one.files:
                place = marked_file(one.name, file.name)
                clash = file.verdict.clash
                if clash and not one.waits_for:
                    _ask(folder.path / place, clash.marked, fresh=asked.get(place) != clash.key)
                    asked[place] = clash.key
        _remember(replace(folder, written={}, asked=asked))
        for name, content in texts.items():
            _put(folder.path / name, content)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in texts.items()}
        _remember(replace(folder, written=hashes, asked=asked))


def unused(folder: Folder, patches: Sequence[PortedPatch]) -> list[str]:
    """Files that a person put below ``conflicts/`` and that answer nothing, below the port's folder."""
    asked = {marked_file(one.name, file.name) for one in patches for file in one.files} | set(folder.asked)
    found = (path for path in (folder.path / CONFLICTS).rglob("*") if path.is_file())
    names = (path.relative_to(folder.path).as_posix() for path in found)
    return sorted(name for name in names if name not in asked and not name.endswith(OUTDATED))


def _ask(path: Path, marked: bytes | None, *, fresh: bool) -> None:
    """Put a marked file where a person mends it; the answer to an earlier question is kept beside it."""
    if fresh and path.is_file():
        path.replace(path.with_name(path.name + OUTDATED))
    if marked is None:
        path.parent.mkdir(parents=True, exist_ok=True)  # the person puts the file there
    elif not path.is_file():
        _put(path, marked)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(content)
    aside.replace(path)


def _remember(folder: Folder) -> None:
    state = {
        **asdict(folder.identity),
        "written": dict(sorted(folder.written.items())),
        "asked": dict(sorted(folder.asked.items())),
    }
    _put(folder.path / STATE, (json.dumps(state, indent=1) + "\n").encode())


def _state(path: Path) -> dict[str, Any]:
    """What an earlier run remembered; nothing if there was none."""
    try:
        state = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", where=path, mend="give another --out") from error
    keys = ("written", "asked")
    names = isinstance(state, dict) and all(isinstance(state.get(key), str) for key in ("origin", "target"))
    tables = names and all(isinstance(state.get(key), dict) for key in keys)
    if not tables:
        raise UserError("is no state of kernel.port", where=path, mend="give another --out")
    for name in (name for key in keys for name in state[key]):
        inside(name, path)
    return dict(state)
