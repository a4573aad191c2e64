# SPDX-License-Identifier: GPL-2.0-only
"""Small trees and series for the tests of kernel.port; the patches are git's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccslab.kernel.port import mail, walk
from ccslab.kernel.port.file import Outcome
from ccslab.kernel.port.walk import PortedPatch
from ccslab.kernel.series import Series, load_series

Files = Mapping[str, bytes | str | None]
"""Name -> content; None deletes a file that was there."""
MAKEFILE = "VERSION = {}\nPATCHLEVEL = {}\nSUBLEVEL = {}\n"
AUTHOR = "A. Author"
ENV = {
    **os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": AUTHOR, "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_COMMITTER_NAME": "C. Committer", "GIT_COMMITTER_EMAIL": "committer@example.org",
}  # fmt: skip


def code(*functions: str, size: int = 12) -> str:
    """A C file of these functions, each of ``size`` lines that no other function has."""
    return "\n".join(
        f"int {name}(void)\n{{\n" + "".join(f"\t{name}_{n}();\n" for n in range(size)) + "}\n"
        for name in functions
    )


def put(folder: Path, files: Files) -> None:
    """Write files below a folder, or delete them."""
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)


def git(folder: Path, *words: str) -> str:
    """What git says in a folder."""
    done = subprocess.run(
        ["git", "-c", "core.autocrlf=false", *words], cwd=folder, env=ENV, capture_output=True, check=True
    )
    return done.stdout.decode(errors="surrogateescape").strip()


@dataclass
class Trees:
    """An old tree with its series, and a new tree."""

    root: Path

    @property
    def old(self) -> walk.Tree:
        """The old tree."""
        return walk.Tree(self.root / "old", "6.12.1")

    @property
    def new(self) -> walk.Tree:
        """The new tree."""
        return walk.Tree(self.root / "new", "7.2.3")

    @property
    def series(self) -> Series:
        """The series of the old tree."""
        return load_series(self.root / "series")

    def port(self, answers: walk.Answers = lambda *_: None) -> list[walk.PortedPatch]:
        """Port the one to the other."""
        return walk.port(self.series, self.old, self.new, answers)


def trees(root: Path, old: Files, new: Files, *changes: Files, options: Sequence[str] = ()) -> Trees:
    """Make both trees, and a series of one patch for each change, with git-format-patch.

    :param options: for git-format-patch: ``-U1``, ``--no-stat`` ...
    """
    repository = root / "repository"
    for folder, files, version in (
        (repository, old, ()),
        (root / "old", old, (6, 12, 1)),
        (root / "new", new, (7, 2, 3)),
    ):
        folder.mkdir(parents=True)
        put(folder, files)
        if version:
            put(folder, {"Makefile": MAKEFILE.format(*version)})
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "before")
    for number, change in enumerate(changes, start=1):
        put(repository, change)
        git(repository, "add", "--all")
        git(
            repository,
            "commit",
            "--quiet",
            "-m",
            f"net: Change {number}\n\nBecause of {number}.\n\nSigned-off-by: {AUTHOR}",
        )
    series = root / "series"
    series.mkdir()
    names = (
        git(repository, "format-patch", "-M", *options, "-o", series, f"-{len(changes)}").split("\n")
        if changes
        else []
    )
    (series / "series").write_text("".join(f"{Path(name).name}\n" for name in names))
    return Trees(root)


OLD = code("one", "two", "three")
CHANGED = OLD.replace("two_6();", "two_six();")
EARLIER = "/* new */\n" * 7 + OLD  # the same code seven lines below


def only(trees: Trees) -> PortedPatch:
    (found,) = trees.port()
    return found


def says(patch: PortedPatch) -> list[tuple[str, Outcome, str]]:
    return [(file.name, file.verdict.outcome, file.verdict.detail) for file in patch.files]


def applied(patch: PortedPatch, tree: Path, scratch: Path) -> str:
    """What patch(1) says of the new patch on the new tree, applied to copies in ``scratch``."""
    for name in patch.after:
        if (tree / name).is_file():
            put(scratch, {name: (tree / name).read_bytes()})
    scratch.mkdir(exist_ok=True)
    argv = ["patch", "-p1", "--fuzz=0", "--batch", "--forward", "--verbose"]
    done = subprocess.run(argv, cwd=scratch, input=mail.encode(patch.new), capture_output=True, check=True)
    return done.stdout.decode()
