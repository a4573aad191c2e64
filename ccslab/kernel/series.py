# SPDX-License-Identifier: GPL-2.0-only
"""A quilt series: ordered patches, the files they touch, and their application without fuzz."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from ccslab.errors import UserError
from ccslab.process import need, run
from ccslab.store import hash_file

PATCH_TIMEOUT_S = 60.0
NAME_MAX = 255  # bytes, linux/limits.h
_HEADER = re.compile(r"^(?:---|\+\+\+) (?P<path>[^\t]+)")
GIT_HEADER = re.compile(r'^diff --git (?P<old>"a/(?:[^"\\]|\\.)+"|a/\S+) (?P<new>"b/(?:[^"\\]|\\.)+"|b/\S+)$')
_QUOTED_BYTE = re.compile(r"\\([0-7]{3}|.)")
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_HUNK = re.compile(r"^@@ -\d+(?:,(?P<old>\d+))? \+\d+(?:,(?P<new>\d+))? @@")
_FAILED = re.compile(r"Hunk #(?P<hunk>\d+) FAILED at (?P<line>\d+)")
_PATCHING = re.compile(r"^(?:checking|patching) file '?(?P<path>[^']+?)'?(?: \(.*\))?$")
_QUOTED = re.compile(r"^\|\+\+\+ [^/]+/(?P<path>[^\t]+)")


@dataclass(frozen=True)
class Patch:
    """One patch of a series."""

    path: Path
    files: tuple[str, ...]
    """The files it touches, relative to the tree, in the patch's order."""

    @property
    def name(self) -> str:
        """Its file name."""
        return self.path.name

    def identity(self) -> dict[str, str]:
        """What an artifact's key needs to know of it."""
        return {"name": self.name, "sha256": hash_file(self.path)}


@dataclass(frozen=True)
class Overlaid:
    """A file that is laid over the tree before it is patched."""

    path: Path
    name: str
    """Where in the tree it goes."""

    def identity(self) -> dict[str, str]:
        """What an artifact's key needs to know of it."""
        mode = "x" if self.path.stat().st_mode & 0o111 else "f"
        return {"name": self.name, "mode": mode, "sha256": hash_file(self.path)}


@dataclass(frozen=True)
class Series:
    """What is done to a tree: files laid over it, then patches in their order."""

    folder: Path | None
    patches: tuple[Patch, ...]
    overlay: tuple[Overlaid, ...] = ()

    def files(self) -> list[str]:
        """All files of the tree that change, sorted."""
        patched = {name for patch in self.patches for name in patch.files}
        return sorted(patched | {one.name for one in self.overlay})

    def identity(self) -> dict[str, list[dict[str, str]]]:
        """What an artifact's key needs to know of it."""
        return {
            "patches": [patch.identity() for patch in self.patches],
            "overlay": [one.identity() for one in self.overlay],
        }


NO_PATCHES = Series(None, ())


def load_series(folder: Path, listing: str = "series") -> Series:
    """Read ``folder/series`` and the patches it names.

    Blank lines and ``#`` comments are skipped, as quilt does; patch options (``-p0``) are refused,
    because every patch here is made against the top of the tree (``-p1``).

    :raises UserError: no series file, a patch that is missing, escapes the folder or touches no file.
    """
    path = folder / listing
    if not path.is_file():
        raise UserError("there is no series file", where=folder, mend="list the patches in it, one a line")
    return Series(folder, tuple(_patches(path)))


def load_patches(folder: Path, names: Sequence[str], where: object) -> tuple[Patch, ...]:
    """The patches of these names below a folder, in this order.

    :param where: who names them, for the error.
    :raises UserError: one is missing, escapes the folder or touches no file.
    """
    return tuple(_patch(folder, name, where) for name in names)


def _patches(listing: Path) -> Iterator[Patch]:
    for number, line in enumerate(listing.read_text(errors="replace").splitlines(), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        where = f"{listing}:{number}"
        if len(words) > 1:
            raise UserError(
                f"patch options are not supported: {' '.join(words[1:])}",
                where=where,
                mend="make it apply with -p1",
            )
        yield _patch(listing.parent, words[0], where)


def _patch(folder: Path, name: str, where: object) -> Patch:
    inside(name, where)
    path = folder / name
    if len(name) > NAME_MAX or not path.is_file():
        raise UserError(
            f"names {name}, which is not there", where=where, mend="put it there, or strike the line out"
        )
    return Patch(path, touched_files(path))


def touched_files(path: Path) -> tuple[str, ...]:
    """The files a patch touches, from its ``---`` and ``+++`` lines.

    :raises UserError: it touches none, or one outside the tree.
    """
    names: dict[str, None] = {}
    text = path.read_bytes().decode("utf-8", "surrogateescape")  # a file's name may be of any bytes
    for header in map(unquoted, _headers(text.split("\n"))):
        name = header.partition("/")[2]  # -p1
        if name and header != "/dev/null":
            inside(name, path)
            names[name] = None
    if not names:
        raise UserError(
            "is no patch: it has no '+++ b/FILE' line", where=path, mend="make it with git format-patch"
        )
    return tuple(names)


def _headers(lines: list[str]) -> Iterator[str]:
    """The file names of a patch's headers; hunks and messages may hold lines that only look like headers."""
    old = new = 0  # lines the hunk still has
    for line, following in pairwise([*lines, ""]):
        if old > 0 or new > 0:
            old -= not line.startswith(("+", "\\"))
            new -= not line.startswith(("-", "\\"))
        elif hunk := _HUNK.match(line):
            old, new = (int(count) if count is not None else 1 for count in hunk.group("old", "new"))
        elif git := GIT_HEADER.match(line):
            yield from git.group("old", "new")  # all that a rename or a change of mode has
        elif line.startswith("--- ") and following.startswith("+++ "):
            yield from (match["path"] for match in (_HEADER.match(line), _HEADER.match(following)) if match)


def unquoted(name: str) -> str:
    r"""A name as git (and patch) quote one with unusual bytes: ``"b/\346\227\245.c"``; any other as it is."""
    name = name.strip()
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name

    def byte(match: re.Match[str]) -> bytes:
        text = match[1]
        if len(text) == 3:
            return bytes([int(text, 8) & 0xFF])
        return bytes([_ESCAPES[text]]) if text in _ESCAPES else text.encode("utf-8", "surrogateescape")

    parts, end = [], 1
    for match in _QUOTED_BYTE.finditer(name, 1, len(name) - 1):
        parts += [name[end : match.start()].encode("utf-8", "surrogateescape"), byte(match)]
        end = match.end()
    parts.append(name[end:-1].encode("utf-8", "surrogateescape"))
    return b"".join(parts).decode("utf-8", "surrogateescape")


def inside(name: str, where: object) -> None:
    """Refuse a path that leads outside its folder.

    :raises UserError: it is absolute or climbs out.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(f"{name!r} leads outside its folder", where=where, mend="name what is inside")


def apply_series(series: Series, pristine: Path, scratch: Path) -> None:
    """Lay the series over copies of the files it touches and apply it to them.

    :param pristine: the unpatched tree, only read.
    :param scratch: an empty folder; afterwards it holds each touched file that still exists.
    :raises UserError: a hunk does not apply without fuzz; names patch, file and hunk.
    """
    for name in series.files():
        source = pristine / name
        if source.is_file():
            target = scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
    for one in series.overlay:
        target = scratch / one.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one.path, target)
        target.chmod(0o755 if one.path.stat().st_mode & 0o111 else 0o644)
    for patch in series.patches:
        _apply(patch, scratch)


def _apply(patch: Patch, tree: Path) -> None:
    program = need("patch", "patch")
    status, said = run(
        [
            program, "-p1", "--fuzz=0", "--forward", "--batch", "--no-backup-if-mismatch", "--reject-file=-",
            "-i", patch.path.resolve(),
        ],
        cwd=tree,
        timeout_s=PATCH_TIMEOUT_S,
        check=False,
    )  # fmt: skip
    if status == 0:
        return
    current = ""
    for line in said.splitlines():
        if match := _PATCHING.match(line) or _QUOTED.match(line):
            current = match["path"]
        if match := _FAILED.search(line):
            raise UserError(
                f"hunk {match['hunk']} does not apply to {current} at line {match['line']}",
                where=patch.path,
                mend="refresh the patch against this tree",
            )
    raise UserError(
        f"does not apply to {current or patch.files[0]}: {_reason(said)}",
        where=patch.path,
        mend="refresh the patch against this tree",
    )


def _reason(said: str) -> str:
    """The line of patch's output that tells most."""
    lines = [line for line in said.replace(",\n", ", ").splitlines() if line.strip()]
    if fatal := [line for line in lines if ": **** " in line]:
        return fatal[0].partition(": **** ")[2].rstrip(" :")
    telling = [line for line in lines if not line.startswith(("|", "---")) and not _PATCHING.match(line)]
    return telling[0] if telling else "patch said nothing"
