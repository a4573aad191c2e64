# SPDX-License-Identifier: GPL-2.0-only
"""What ``kernel.port`` does."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, UserError, unknown
from ccslab.kernel import catalog, source
from ccslab.kernel.port import folder as folders
from ccslab.kernel.port import report, walk
from ccslab.kernel.series import Series
from ccslab.progress import console
from ccslab.settings import Settings, path_of, resolved


def port(settings: Settings, *, to: str, out: str = "", force: bool = False) -> int:
    """Port a kernel's series to another tree; 0 if all of it is settled, 1 if there is a conflict.

    :param settings: ``kernel`` and ``patchset`` say which series; ``sha256`` is of an archive in ``to``.
    :param to: a kernel's name, a folder or an archive.
    :param out: the folder for the result; an earlier one of the same port goes on.
    :raises UserError: no such kernel, series or tree; the series does not apply to its own tree.
    """
    _named(to)  # before anything is fetched
    where = path_of(out, "out") if out else None
    if where is not None and resolved(where).exists() and not where.is_dir():
        raise UserError("is no folder", where=where, mend="give another --out")
    choice = catalog.find(replace(settings, tree="", sha256="", fragment=(), arch=Settings.arch))
    tree = source.fetch(choice.source, settings.store)
    series = choice.patchset.series(tree.version)
    new = target(settings, to)
    again = f"./inv kernel.port --from {settings.kernel} --to {shlex.quote(to)}"
    for flag, value in (("patchset", settings.patchset), ("sha256", settings.sha256)):
        again += f" --{flag} {shlex.quote(value)}" if value else ""
    return port_series(
        series,
        walk.Tree(tree.folder, tree.version),
        new,
        out=where or _fresh(settings.runs, tree.version, new.version),
        force=force,
        again=again,
        patchset=choice.patchset.name,
    )


def port_series(
    series: Series,
    old: walk.Tree,
    new: walk.Tree,
    *,
    out: Path,
    force: bool = False,
    again: str,
    patchset: str = "",
) -> int:
    """Port, verify, write, show; see :func:`port`.

    :param patchset: whose series it is.
    :param again: the command that did this, without ``--out``.
    """
    if not series.patches or series.folder is None:
        raise UserError(
            "there is nothing to port: the series is empty",
            where=series.folder or "",
            mend="name a patchset that has one for it",
        )
    names = [patch.path.relative_to(series.folder).as_posix() for patch in series.patches]
    folders.check_names(names)
    for tree in (old, new):
        if resolved(out).is_relative_to(tree.folder.resolve()):
            raise UserError("is in a kernel tree, which is only read", where=out, mend="give another --out")
    identity = folders.Identity(_branch(old.version), _branch(new.version), patchset)
    folder = folders.open_folder(out, identity, force=force)
    if folder.resumed and not force:
        console.print(f"  going on with {_shown(out)}")
    patches = walk.port(series, old, new, folder.answer)
    told = report.Port(
        old=old,
        new=new,
        patches=patches,
        verified=folders.verify(patches, series, new.folder),
        again=f"{again} --out {shlex.quote(str(_shown(out)))}",
    )
    folders.save(folder, patches, report.report(told))
    console.print(report.table(told))
    console.print(f"{report.summary(patches)}; {told.verified} applied from scratch without fuzz")
    for name in folders.unused(folder, patches):
        console.print(f"not used, for no conflict asks for it: {_shown(out) / name}")
    for one in told.conflicts:
        console.print(f"mend {_shown(out) / folders.marked_file(one.name, '')}/")
    if told.conflicts:
        console.print(f"then {told.again}")
    console.print(f"{_shown(out) / folders.REPORT}")
    return EXIT_VERDICT if told.conflicts else EXIT_PASSED


def target(settings: Settings, to: str) -> walk.Tree:
    """The tree to port to; only read."""
    known = catalog.names(settings.root)
    _named(to)
    if to in known:
        fetched = source.fetch(catalog.sources(settings.root, to), settings.store)
        return walk.Tree(fetched.folder, fetched.version)
    if "/" not in to and not Path(to).exists():
        raise unknown("kernel or folder", to, known)
    given = catalog.find(
        replace(settings, tree=to, kernel="", patchset="none", fragment=(), arch=Settings.arch)
    ).source
    if isinstance(given, source.Folder):
        # Not fetched: of a folder only the files that the series touches are read.
        return walk.Tree(given.path.resolve(), source.version_of(given.path))
    fetched = source.fetch(given, settings.store)
    return walk.Tree(fetched.folder, fetched.version)


def _named(to: str) -> None:
    if not to:
        raise UserError("say which tree to port to", mend="--to NAME or --to FOLDER")


def _shown(path: Path) -> Path:
    """A path as short as it can be said here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _fresh(runs: Path, old: str, new: str) -> Path:
    """A folder for a new port; UTC in its name."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return runs / "port" / f"{_branch(old)}-{_branch(new)}-{now}"


def _branch(version: str) -> str:
    """``6.12`` of ``6.12.117``."""
    return ".".join(version.split(".")[:2])
