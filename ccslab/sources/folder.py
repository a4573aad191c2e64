# SPDX-License-Identifier: GPL-2.0-only
"""What a user's source folder holds at one instant, found again quickly; the folder is only ever read."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab.errors import InfrastructureError, UserError
from ccslab.process import need
from ccslab.store import disk_errors

GIT_TIMEOUT_S = 120.0
RACY_S = 2.0  # a file changed so shortly before it was looked at may change again within the same time stamp


@dataclass(frozen=True)
class Snapshot:
    """The files of a folder: name -> digest of kind, mode and content."""

    folder: Path
    files: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """One hash over all of it."""
        lines = "".join(f"{self.files[name]} {name}\0" for name in sorted(self.files))
        return hashlib.sha256(os.fsencode(lines)).hexdigest()


def take(folder: Path, memory: Path) -> Snapshot:
    """The folder's files as they are now: what git would commit in a git work tree, else all of them.

    :param memory: a file that remembers digests by size and time, so that what did not change is not read.
    :raises InfrastructureError: the folder cannot be read.
    """
    known = _remembered(memory)
    now = time.time_ns()
    found: dict[str, list[Any]] = {}
    with disk_errors(folder):
        for name in names(folder):
            path = folder / name
            try:
                about = path.lstat()
            except FileNotFoundError:  # git knows it, somebody deleted it
                continue
            if stat.S_ISDIR(about.st_mode):  # a submodule
                continue
            mark = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, about.st_mode]
            before = known.get(name)
            if before and before[:-1] == mark and now - about.st_ctime_ns > RACY_S * 1e9:
                found[name] = before
            else:
                found[name] = [*mark, digest(path)]
    if found != known:
        with disk_errors(memory):
            memory.parent.mkdir(parents=True, exist_ok=True)
            aside = memory.with_suffix(".new")
            aside.write_text(json.dumps(found))
            aside.replace(memory)
    return Snapshot(folder, {name: str(entry[-1]) for name, entry in found.items()})


def names(folder: Path) -> list[str]:
    """The names of a source folder's files, relative to it."""
    if (folder / ".git").exists():
        listed = _git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        return sorted(set(filter(None, listed.split("\0"))))
    found = []
    for parent, folders, files in os.walk(folder):
        below = Path(parent).relative_to(folder)
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        found += [(below / name).as_posix() for name in (*files, *links)]
    return sorted(found)


def describe(folder: Path) -> str:
    """What git calls the commit of a work tree; "" for a folder without one."""
    if not (folder / ".git").exists():
        return ""
    try:
        return _git(folder, "describe", "--always", "--tags").strip()
    except UserError:  # a repository without a commit
        return ""


def digest(path: Path) -> str:
    """Kind, mode (whether it can be executed) and SHA-256 of a file, or the target of a link.

    :raises InfrastructureError: it is neither.
    """
    about = path.lstat()
    if stat.S_ISLNK(about.st_mode):
        return f"l:{hashlib.sha256(os.fsencode(path.readlink())).hexdigest()}"
    if not stat.S_ISREG(about.st_mode):
        raise InfrastructureError("is no file, folder or link", where=path, mend="take it out of the tree")
    mark = "x" if about.st_mode & 0o111 else "f"
    return f"{mark}:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _remembered(memory: Path) -> dict[str, list[Any]]:
    try:
        found = json.loads(memory.read_text())
    except (OSError, ValueError):  # none yet, or damaged: all is read again
        return {}
    return found if isinstance(found, dict) else {}


def _git(folder: Path, *words: str) -> str:
    """What git says of a work tree, without writing to it or running what its configuration names."""
    program = need("git", "git")
    quiet = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*"]
    try:
        done = subprocess.run(
            [program, "--no-optional-locks", *quiet, "-C", folder, *words],
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(f"git did not end within {GIT_TIMEOUT_S:.0f} s", where=folder) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["git said nothing"]
        raise UserError(f"git cannot read it: {said[0]}", where=folder, mend="see what git status says there")
    return os.fsdecode(done.stdout)
