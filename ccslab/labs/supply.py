# SPDX-License-Identifier: GPL-2.0-only
"""What is fetched for the labs: each kernel's tree and each recipe's packages, and the suites they are of."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ccslab.errors import LabError
from ccslab.kernel import catalog, source
from ccslab.rootfs import base
from ccslab.rootfs import build as rootfs
from ccslab.settings import Settings
from ccslab.sources import mirrors, releases
from ccslab.sources.apt import PrivateApt

Probe = Callable[[str], None]
"""Raises a LabError if a suite cannot be fetched from."""


@dataclass(frozen=True)
class Thing:
    """A kernel's tree, or the packages of an image."""

    name: str
    suites: tuple[str, ...]
    fetched: bool
    wanted: bool
    """Whether the next command needs it, with the settings as they are."""


@dataclass(frozen=True)
class Suite:
    """A suite of Debian's archive, as it answered."""

    name: str
    things: tuple[Thing, ...]
    error: str = ""

    @property
    def lacking(self) -> list[str]:
        """What cannot be fetched."""
        return [thing.name for thing in self.things if self.error and not thing.fetched]

    @property
    def summary(self) -> str:
        """Whether it can be fetched from and for what; whether its release has ended."""
        names = ", ".join(f"{one.name}{' (fetched)' if one.fetched else ''}" for one in self.things)
        seen = self.error or f"signed, at {mirrors.url(self.name)}"
        return "; ".join(filter(None, [f"for {names}: {seen}", releases.note(self.name)]))


def things(settings: Settings) -> list[Thing]:
    """All that commands fetch from Debian's archive: kernels of the catalogue, images of the recipes.

    :raises UserError: the settings name a kernel that nobody knows, or a recipe is malformed.
    """
    store = settings.store
    wanted = {one.kernel.removeprefix(catalog.STOCK) for one in catalog.expand(settings)}
    found = []
    for name in catalog.names(settings.root):
        if not name.startswith(catalog.STOCK):
            package = catalog.sources(settings.root, name)
            fetched = bool(source.fetched(package, store))
            found.append(Thing(f"kernel {name}", (package.suite,), fetched, name in wanted))
    for name in rootfs.recipes(settings.root):
        recipe = rootfs.load_recipe(name, settings.root)
        for arch in dict.fromkeys(one.arch for one in catalog.expand(settings)):
            there = store.has(base.KIND, base.inputs(recipe, arch, store))
            # Optional suites are left out with a warning where they cannot be had.
            found.append(Thing(f"image {name} ({arch})", recipe.required_suites, there, True))
    return found


def look(wanted: Sequence[Thing], probe: Probe | None = None) -> list[Suite]:
    """Ask each suite that something is of, all at once."""

    def ask(name: str) -> Suite:
        users = tuple(thing for thing in wanted if name in thing.suites)
        try:
            (probe or _probe)(name)
        except LabError as error:
            return Suite(name, users, str(error))
        return Suite(name, users)

    names = list(dict.fromkeys(suite for thing in wanted for suite in thing.suites))
    with ThreadPoolExecutor(len(names) or 1) as threads:
        return list(threads.map(ask, names))


def _probe(suite: str) -> None:
    with tempfile.TemporaryDirectory(prefix="ccslab-apt-") as folder:
        PrivateApt(Path(folder), suite).look()
