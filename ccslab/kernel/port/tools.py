# SPDX-License-Identifier: GPL-2.0-only
"""The programs that do the work: patch(1), git merge-file and git diff-tree."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.kernel.port.mail import Section, decode, encode
from ccslab.kernel.port.sides import File, write
from ccslab.process import need, run
from ccslab.store import remove

TIMEOUT_S = 60.0
STAT_COLUMNS = 72  # git-format-patch's
CONFLICTS_MAX = 127  # git merge-file's exit status: as many conflicts, or more; above it, an error
_OFFSET = re.compile(r"^Hunk #\d+ succeeded at \d+(?: \(offset (?P<offset>-?\d+) lines?\))?\.$")
# A person's configuration (colours, other algorithms, prefixes) changes what git writes.
_PLAIN_GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
_ATTRIBUTES = "* -text -ident !filter !diff !working-tree-encoding\n"


@dataclass(frozen=True)
class Merge:
    """What git merge-file made of three versions."""

    content: bytes
    """The merge, with the new tree's side where both sides changed."""
    marked: bytes
    """The merge with diff3's markers."""
    conflicts: int


def merge(ours: bytes, base: bytes, theirs: bytes, *, labels: Sequence[str], scratch: Path) -> Merge:
    """Merge what changed from ``base`` to ``theirs`` into ``ours``.

    :param labels: what the markers call ours, base and theirs.
    """
    named = [word for label in labels for word in ("-L", label)]
    marked, conflicts = _merge_file(ours, base, theirs, ["--diff3", *named], scratch)
    content = _merge_file(ours, base, theirs, ["--ours"], scratch)[0] if conflicts else marked
    return Merge(content, marked, conflicts)


def mark(ours: bytes, base: bytes, theirs: bytes, *, labels: Sequence[str]) -> bytes:
    """Whole files between diff3's markers, where no two lines clash but a person has to decide."""
    heads = [
        f"{marker} {label}\n".encode() for marker, label in zip(("<<<<<<<", "|||||||"), labels, strict=False)
    ]
    texts = [side if not side or side.endswith(b"\n") else side + b"\n" for side in (ours, base, theirs)]
    return b"".join(
        (heads[0], texts[0], heads[1], texts[1], b"=======\n", texts[2], f">>>>>>> {labels[2]}\n".encode())
    )


def _merge_file(
    ours: bytes, base: bytes, theirs: bytes, options: Sequence[str], scratch: Path
) -> tuple[bytes, int]:
    paths = [scratch / name for name in ("ours", "base", "theirs")]
    for path, content in zip(paths, (ours, base, theirs), strict=True):
        path.write_bytes(content)
    argv: list[str | Path] = [need("git", "git"), "merge-file", "--quiet", *options, *paths]
    status, said = run(argv, cwd=scratch, env=_PLAIN_GIT, timeout_s=TIMEOUT_S, check=False)
    if not 0 <= status <= CONFLICTS_MAX:
        raise InfrastructureError(f"git merge-file failed: {said.strip()}")
    return paths[0].read_bytes(), status


def apply_hunks(
    content: bytes, sections: Sequence[Section], scratch: Path, *, reverse: bool = False
) -> tuple[bytes, list[int]] | None:
    """Apply hunks without fuzz; None if they do not apply.

    :param reverse: take them out instead.
    :returns: the new content, and how many lines each hunk was off.
    """
    target, given = scratch / "target", scratch / "hunks"
    target.write_bytes(content)
    offsets: list[int] = []
    for section in reversed(sections) if reverse else sections:
        given.write_bytes(encode(section.text(target.name)))
        status, said = run(
            [
                need("patch", "patch"), "--fuzz=0", "--forward", "--batch", "--verbose",
                "--no-backup-if-mismatch", "--reject-file=-", *(["--reverse"] if reverse else []),
                "-i", given, target,
            ],
            cwd=scratch,
            timeout_s=TIMEOUT_S,
            check=False,
        )  # fmt: skip
        found = [match for line in said.splitlines() if (match := _OFFSET.match(line))]
        if status != 0 or not found:
            return None
        offsets += [int(match["offset"] or 0) for match in found]
    return (target.read_bytes() if target.exists() else b"", offsets) if sections else None


class Differ:
    """Makes patches of two states of some files, in git's format, from a repository of its own."""

    def __init__(self, scratch: Path) -> None:
        self._repository = scratch / "repository"
        self._files = scratch / "files"
        self._said = scratch / "said"
        self._git("init", "--quiet")
        (self._repository / "info").mkdir(exist_ok=True)
        (self._repository / "info/attributes").write_text(_ATTRIBUTES)

    def diff(
        self,
        before: Mapping[str, File | None],
        after: Mapping[str, File | None],
        *,
        context: Mapping[str, int],
        own: Mapping[str, str],
        digits: int,
    ) -> tuple[str, str]:
        """What changes from one state to the other: (diffstat, unified diff); both empty if nothing does.

        :param context: file -> how many unchanged lines around its changes.
        :param own: file -> its hunks, where somebody wrote better ones than git would.
        :param digits: how much of a file's hash to give.
        """
        trees = [self._tree(state) for state in (before, after)]
        stat = self._shown(f"--stat={STAT_COLUMNS}", "--summary", "-M", *trees)
        parts = []
        for lines in sorted(set(context.values())):
            names = sorted(name for name in context if context[name] == lines)
            # As text, whatever is in it: patch cannot read git's binary form.
            shown = ["--patch", "--text", f"-U{lines}", "-M", f"--abbrev={digits}"]
            parts += _by_file(self._shown(*shown, *trees, "--", *names))
        parts = [_with_hunks(part, own) for part in parts]
        return stat, "".join(sorted(parts, key=lambda part: part.partition("\n")[0]))

    def _tree(self, state: Mapping[str, File | None]) -> str:
        remove(self._files)
        self._files.mkdir()
        for name, file in state.items():
            write(self._files, name, file)
        self._git("add", "--all", "--force", ".")
        return self._git("write-tree").strip()

    def _shown(self, *words: str) -> str:
        """diff-tree's output; its whole, which may be longer than what ``run`` keeps."""
        self._git("diff-tree", "-r", "--no-ext-diff", "--no-textconv", f"--output={self._said}", *words)
        return decode(self._said.read_bytes())

    def _git(self, *words: str) -> str:
        self._files.mkdir(exist_ok=True)
        own = {
            "GIT_DIR": str(self._repository),
            "GIT_WORK_TREE": str(self._files),
            "GIT_INDEX_FILE": str(self._repository / "index"),
        }
        plain = ["-c", "core.quotePath=false", "-c", "core.fileMode=true", "-c", "init.defaultBranch=main"]
        argv = [need("git", "git"), *plain, *words]
        return run(argv, cwd=self._files, env={**_PLAIN_GIT, **own}, timeout_s=TIMEOUT_S)[1]


def _with_hunks(part: str, own: Mapping[str, str]) -> str:
    """A file's diff, with its own hunks if it has such."""
    head, at, _ = part.partition("\n@@ ")
    name = head.rpartition("\n+++ b/")[2]
    return f"{head}\n{own[name]}" if at and name in own else part


def _by_file(diff: str) -> list[str]:
    return [part for part in re.split(r"^(?=diff --git )", diff, flags=re.MULTILINE) if part]
