# SPDX-License-Identifier: GPL-2.0-only
"""Which folder is a cache of ours, and what is in one.

A cache has two marks: ``CACHEDIR.TAG``, by which backup programs know it (bford.info/cachedir), and our own,
without which nothing is written into a folder that holds something, and nothing removed from it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ccslab.errors import UserError
from ccslab.store.disk import disk_errors

MARK = ".ccs-lab-cache"
TAG = "CACHEDIR.TAG"
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"  # of CACHEDIR.TAG, word for word
KINDS = frozenset(
    {
        "accel", "apparmor", "bench", "busybox", "checkpoint", "controls", "disk", "interface", "kernel",
        "patchset", "payloads", "programs", "rootfs", "rootfs-base", "tree",
    }
)  # fmt: skip
"""Of artifacts, ``controls`` and ``interface`` those of earlier versions; others are not ours."""
WORKS = frozenset({"apt", "checkpoint", "debs", "kernel", "nox", "rootfs", "snapshot", "vm"})
"""Of work folders."""
WORK, PINS, LOCKS, DAMAGED, CCACHE = "work", "pins", "locks", "damaged", "ccache"
KNOWN = KINDS | {WORK, PINS, LOCKS, DAMAGED, CCACHE, MARK, TAG}
KEY = r"[0-9a-f]{20}"
_ARTIFACT = re.compile(rf"({KEY})|({KEY})\.part|\.({KEY})(\.part)?\.removed")
_EMPTY = {"lost+found"}  # a file system that was just made
# make splits words at spaces and lines at colons, and kbuild's own rules quote neither.
_SAFE = re.compile(r"[\w/.+@-]+")


def default_root() -> Path:
    """The cache folder: ``$CCSLAB_CACHE``, else ``$XDG_CACHE_HOME/ccs-lab``, else ``~/.cache/ccs-lab``."""
    if named := os.environ.get("CCSLAB_CACHE"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or "~/.cache").expanduser().absolute() / "ccs-lab"


def is_ours(root: Path) -> bool:
    """Whether a folder is marked as a cache of ours."""
    return (root / MARK).is_file()


def check(root: Path) -> None:
    """Whether a folder is a cache, or may become one; nothing is written.

    :raises UserError: it holds something and is no cache of ours, or its path is none that make can build in.
    """
    if not _SAFE.fullmatch(os.fspath(root)):
        wrong = next(letter for letter in os.fspath(root) if not _SAFE.fullmatch(letter))
        raise UserError(
            f"the cache folder's path has {wrong!r} in it, and make cannot build a kernel there",
            where=ascii(os.fspath(root)),
            mend="choose another cache folder with CCSLAB_CACHE=DIR",
        )
    if root.is_dir() and any(entry.name not in _EMPTY for entry in os.scandir(root)):
        refuse_foreign(root)


def make(root: Path) -> None:
    """Make a folder a cache: mark it if it is missing or empty; nothing if it is one.

    :raises UserError: as ``check``.
    :raises InfrastructureError: it cannot be written.
    """
    if is_ours(root) and _SAFE.fullmatch(os.fspath(root)):
        return
    with disk_errors(root):
        check(root)
        root.mkdir(parents=True, exist_ok=True)
        if is_ours(root):  # another process has marked it meanwhile
            return
        # The mark first: killed between the two, it is a cache.
        (root / MARK).write_text("This folder is ccs-lab's cache; ./inv lab.clean --all empties it.\n")
        (root / TAG).write_text(f"{SIGNATURE}\n# This folder is a cache of ccs-lab.\n")


def refuse_foreign(root: Path) -> None:
    """Refuse a folder that is no cache of ours.

    :raises UserError: it is not.
    """
    if not is_ours(root):
        raise UserError(
            "the folder is not empty and is no cache of ccs-lab",
            where=root,
            mend="name an empty or new folder with CCSLAB_CACHE=DIR; "
            f"if an earlier version of ccs-lab made it, touch {root / MARK}",
        )


def key_in(name: str) -> str:
    """The key of which a name in a kind's folder is an artifact, or what is left of one; "" if of none."""
    match = _ARTIFACT.fullmatch(name)
    return next(filter(None, match.groups()), "") if match else ""
