# SPDX-License-Identifier: GPL-2.0-only
"""Recipes: what a root filesystem is made of, one TOML file each in ``rootfs/recipes/``.

Every key is known here; one that is not is named with its line, so that a slip of the pen
never builds an image without what it was meant to have.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from ccslab.datafile import (
    Checked,
    Fault,
    Meta,
    Record,
    TextOrNothing,
    field,
    parse_toml,
    read_text_of,
    wrong,
)
from ccslab.errors import unknown

FOLDER = Path("rootfs/recipes")
SMALLEST_MIB, LARGEST_MIB = 64, 65536


@dataclass(frozen=True)
class Recipe:
    """A root filesystem's description, checked.  Paths are relative to the tree the recipe is in."""

    name: str
    description: str
    hostname: str
    root_password: str
    source_date_epoch: int
    required_suites: tuple[str, ...]
    optional_suites: tuple[str, ...]
    components: tuple[str, ...]
    packages: tuple[str, ...]
    preseed: tuple[str, ...]
    exclude_paths: tuple[str, ...]
    size_mib: int
    label: str
    uuid: str
    overlays: tuple[str, ...]
    hooks: tuple[str, ...]
    programs: Mapping[str, str]


def _like(pattern: str, kind: str) -> Meta:
    return Meta(pattern=rf"\A(?:{pattern})\Z", description=kind)


_CLEAN = r"[^:\x00-\x1f\x7f]"
_CLIMBS = r"(?:.*/)?\.\.(?:/|\Z)"
Suite: TypeAlias = Annotated[str, _like(r"[a-z][a-z0-9-]*(/updates)?", "a suite name")]
Component: TypeAlias = Annotated[str, _like(r"[a-z-]+", "a component")]
# Debian policy 5.6.1, and a version
Package: TypeAlias = Annotated[str, _like(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?", "a package name")]
Preseed: TypeAlias = Annotated[
    str,
    _like(
        r"\S+ \S+ (select|multiselect|string|boolean|password|note|text|seen)( [^\x00-\x1f\x7f]*)?",
        "a debconf line (package question type value)",
    ),
]
Excluded: TypeAlias = Annotated[str, _like(r"/[^\s\x00-\x1f\x7f]+", "an absolute path")]
Below: TypeAlias = Annotated[str, _like(rf"(?!/)(?!{_CLIMBS}){_CLEAN}+", "a path below the tree")]
Program: TypeAlias = Annotated[str, _like(r"[^/\x00-\x1f\x7f]+", "a program's name")]
Target: TypeAlias = Annotated[
    str, _like(rf"/(?!{_CLIMBS}){_CLEAN}*(?<!/)", "an absolute path of a file, without colon")
]


class Uuid(Checked):
    """A UUID, as mke2fs takes it."""

    kind = "a UUID"

    @classmethod
    def check(cls, text: str) -> None:
        """Nothing, if it is one in lower case.

        :raises ValueError: it is not.
        """
        if str(uuids.UUID(text)) != text:
            raise ValueError("must be a UUID in lower case")


class Distinct(Record, frozen=True):
    """A table whose lists name everything once."""

    def __post_init__(self) -> None:
        for key in self.__struct_fields__:
            names = getattr(self, key)
            if isinstance(names, tuple) and len(set(names)) < len(names):
                repeated = sorted({name for name in names if names.count(name) > 1})
                raise Fault(f"names {', '.join(repeated)} twice", key, mend="name it once")


class _Suites(Distinct, frozen=True):
    required: Annotated[tuple[Suite, ...], Meta(min_length=1)]
    optional: tuple[Suite, ...] = ()
    components: tuple[Component, ...] = ("main",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if both := sorted({*self.required} & {*self.optional}):
            raise Fault(f"{', '.join(both)} is required and optional", "optional", mend="name it once")


class _Packages(Distinct, frozen=True):
    install: Annotated[tuple[Package, ...], Meta(min_length=1)]
    preseed: tuple[Preseed, ...] = ()
    exclude_paths: tuple[Excluded, ...] = ()


class _Image(Record, frozen=True, kw_only=True):
    size_mib: Annotated[int, Meta(ge=SMALLEST_MIB, le=LARGEST_MIB)]
    label: Annotated[str, _like(r"[A-Za-z0-9_-]{1,16}", "1 to 16 letters, digits or dashes")] = "ccs-lab"
    uuid: Uuid


class _Content(Distinct, frozen=True):
    overlays: tuple[Below, ...] = ()
    hooks: tuple[Below, ...] = ()
    programs: dict[Program, Target] = field(default_factory=dict)


class _File(Record, frozen=True, kw_only=True):
    """A recipe's file."""

    description: TextOrNothing = ""
    hostname: Annotated[str, _like(r"[a-z0-9][a-z0-9-]{0,62}", "a host name")]
    root_password: Annotated[
        str, _like(rf"(?=.*\S){_CLEAN}+", "a password (not blank, no colon, no control characters)")
    ]
    source_date_epoch: Annotated[int, Meta(ge=86400, le=2**32)]
    suites: _Suites
    packages: _Packages
    image: _Image
    content: _Content = _Content()


def parse(text: str, *, name: str, where: object) -> Recipe:
    """A recipe from its text.

    :raises UserError: not TOML, an unknown or missing key, or a value that cannot be; names the line.
    """
    file = parse_toml(text, _File, where)
    return Recipe(
        name=name,
        description=file.description,
        hostname=file.hostname,
        root_password=file.root_password,
        source_date_epoch=file.source_date_epoch,
        required_suites=file.suites.required,
        optional_suites=file.suites.optional,
        components=file.suites.components,
        packages=file.packages.install,
        preseed=file.packages.preseed,
        exclude_paths=file.packages.exclude_paths,
        size_mib=file.image.size_mib,
        label=file.image.label,
        uuid=str(file.image.uuid),
        overlays=file.content.overlays,
        hooks=file.content.hooks,
        programs=file.content.programs,
    )


def recipes(root: Path) -> list[str]:
    """The names of the recipes of a tree."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.toml"))


def load_recipe(name: str, root: Path) -> Recipe:
    """The recipe of this name from ``rootfs/recipes/NAME.toml`` below ``root``, with all it names present.

    :raises UserError: no such recipe (the nearest names are suggested), or something wrong in it.
    """
    path = root / FOLDER / f"{name}.toml"
    if "/" in name or not path.is_file():
        raise unknown("recipe", name, recipes(root))
    where = path.relative_to(root)
    text = read_text_of(path, "save it as UTF-8", where=where)
    recipe = parse(text, name=name, where=where)
    for key, names, there in (
        ("overlays", recipe.overlays, Path.is_dir),
        ("hooks", recipe.hooks, Path.is_file),
    ):
        for number, item in enumerate(names):
            if not there(root / item):
                kind = "folder" if there is Path.is_dir else "file"
                fault = Fault(f"names {item}, and there is no such {kind}", "content", key, number)
                raise wrong(fault, where, "correct the path", text=text)
    return recipe
