# SPDX-License-Identifier: GPL-2.0-only
"""Unpacks archives of strangers: nothing is written, linked or read outside the folder they are given."""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from ccslab.errors import InfrastructureError, UserError
from ccslab.store import disk_errors, hash_file

MEMBERS_MAX = 500_000  # a kernel tree has 90,000
BYTES_MAX = 8 << 30  # a kernel tree has 1.5 GiB
# What the disk says of members that contradict each other: a file below a file, a link to nothing.
_MEMBERS_FAULT = {
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL,
}  # fmt: skip
GONE = "correct its name"
ANEW = "have it made or fetched again"
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")


def is_archive(path: Path) -> bool:
    """Whether the name is one of a tar archive that we unpack."""
    return path.name.endswith(SUFFIXES)


def verify(path: Path, sha256: str) -> str:
    """The archive's SHA-256, which must be the one that was asked for, if any was.

    :raises UserError: it is another, or there is no such file.
    """
    if not path.is_file():
        raise UserError("there is no such file", where=path, mend=GONE)
    found = hash_file(path)
    if sha256 and found != sha256.strip().lower():
        raise UserError(
            f"its SHA-256 is {found}, not {sha256}", where=path, mend="fetch it again, or correct --sha256"
        )
    return found


def unpack(path: Path, folder: Path) -> Path:
    """Unpack a tar archive into an empty folder; returns it, or its only folder if there is but one.

    Owners, times, set-user-ID bits and the like are not taken over.

    :raises UserError: no archive, a damaged one, or one with a member that leads outside (``../``, an
        absolute name, a link), is a device, or is too much; names the member. The folder is half-filled then.
    """
    folder = folder.resolve()
    try:
        with tarfile.open(path, "r:*") as archive:
            _members(archive, path, folder)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"is no tar archive, or a damaged one: {error}", where=path, mend=ANEW) from error
    except UnicodeError as error:
        raise UserError(f"has a name that is no text: {error}", where=path, mend=ANEW) from error
    except FileNotFoundError as error:
        raise UserError("there is no such file", where=path, mend=GONE) from error
    _links_stay_inside(path, folder)
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink() else folder


def _members(archive: tarfile.TarFile, path: Path, folder: Path) -> None:
    total = 0
    for number, member in enumerate(archive, start=1):
        total += member.size
        if number > MEMBERS_MAX or total > BYTES_MAX:
            raise UserError(
                f"holds more than {MEMBERS_MAX} members or {BYTES_MAX >> 30} GiB", where=path, mend=ANEW
            )
        _one(archive, member, path, folder)


def _one(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, folder: Path) -> None:
    target = _target(member.name, path, folder)
    if target == folder:
        return
    try:
        with disk_errors(folder):
            _put(archive, member, path, folder, target)
    except InfrastructureError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _MEMBERS_FAULT:
            raise UserError(
                f"{member.name!r} cannot be unpacked: {cause.strerror}", where=path, mend=ANEW
            ) from error
        raise


def _put(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, folder: Path, target: Path) -> None:
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = target
    if member.islnk():
        content = _target(member.linkname, path, folder)
        if content.is_symlink() or not content.is_file():
            raise UserError(
                f"{member.name!r} is a link to {member.linkname!r}, which is no file", where=path, mend=ANEW
            )
        if content == target:
            return
    if target.is_symlink() or target.is_file():
        target.unlink()  # a name that comes twice, as tar has it: the last one counts
    if member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        shutil.copyfile(content, target)
        target.chmod(content.stat().st_mode)
    elif member.isreg():
        source = archive.extractfile(member)
        assert source is not None
        with source, target.open("xb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        target.chmod(0o755 if member.mode & 0o111 else 0o644)
    else:
        raise UserError(f"holds {member.name!r}, which is no file, folder or link", where=path, mend=ANEW)


def _target(name: str, path: Path, folder: Path) -> Path:
    """Where a member goes: below the folder, and through no symbolic link on the way."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\0" in name:
        raise UserError(f"{name!r} leads outside the archive's folder", where=path, mend="don't use it")
    target = folder
    for part in pure.parts[:-1]:
        target = target / part
        if target.is_symlink():
            raise UserError(f"{name!r} goes through a symbolic link", where=path, mend="don't use it")
    return folder / pure


def _links_stay_inside(path: Path, folder: Path) -> None:
    """Refuse symbolic links that lead out, after all are there: one may lead through another."""
    for parent, names, files in os.walk(folder):
        for name in (*names, *files):
            link = Path(parent) / name
            if link.is_symlink() and not Path(os.path.realpath(link)).is_relative_to(folder):
                shown = link.relative_to(folder).as_posix()
                raise UserError(f"{shown!r} is a link that leads outside", where=path, mend="don't use it")
