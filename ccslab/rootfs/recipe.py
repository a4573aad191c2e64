# SPDX-License-Identifier: GPL-2.0-only
"""Recipes: what a root filesystem is made of, one TOML file each in ``rootfs/recipes/``.

Every key is known here; one that is not is named with its line, so that a slip of the pen
never builds an image without what it was meant to have.
"""

from __future__ import annotations

import re
import uuid as uuids
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ccslab.datafile import parse_toml
from ccslab.errors import UserError, unknown

FOLDER = Path("rootfs/recipes")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?")  # Debian policy 5.6.1, and a version
SUITE = re.compile(r"[a-z][a-z0-9-]*(/updates)?")
HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62})")
PRESEED = re.compile(r"\S+ \S+ (select|multiselect|string|boolean|password|note|text|seen)( .*)?")
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


Check = Callable[[Any], str]  # says what is wrong with a value, or ""


def _text(pattern: str = r".*", kind: str = "text") -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            return f"must be {kind}"
        return ""

    return check


def _list(pattern: str, kind: str, *, empty: bool = True) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, list) or (not empty and not value):
            return f"must be a list of {kind}"
        for item in value:
            if not isinstance(item, str) or not re.fullmatch(pattern, item):
                return f"holds {item!r}, which is no {kind}"
        if repeated := sorted({item for item in value if value.count(item) > 1}):
            return f"names {', '.join(repeated)} twice"
        return ""

    return check


def _number(low: int, high: int) -> Check:
    def check(value: Any) -> str:
        good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return "" if good else f"must be a number from {low} to {high}"

    return check


def _uuid(value: Any) -> str:
    try:
        return "" if str(uuids.UUID(value)) == value else "must be a UUID in lower case"
    except (ValueError, AttributeError, TypeError):
        return "must be a UUID"


def _programs(value: Any) -> str:
    if not isinstance(value, dict):
        return "must be a table: program = destination"
    for name, target in value.items():
        if not isinstance(target, str) or not _inside(target) or "/" in name:
            return f"sends {name!r} to {target!r}, which is no absolute path"
    return ""


def _inside(target: str) -> bool:
    path = PurePosixPath(target)
    return path.is_absolute() and ".." not in path.parts and ":" not in target and not target.endswith("/")


TREE_PATH = r"(?!/)(?!.*(^|/)\.\.(/|$))[^:\x00-\x1f\x7f]+"
KEYS: dict[str, tuple[Check, Any]] = {  # key -> its check, and its default; ... where it must be given
    "description": (_text(), ""),
    "hostname": (_text(HOSTNAME.pattern, "a host name"), ...),
    "root_password": (_text(r"[^:\x00-\x1f\x7f]+", "a password without colon and control characters"), ...),
    "source_date_epoch": (_number(86400, 2**32), ...),
    "suites.required": (_list(SUITE.pattern, "suite name", empty=False), ...),
    "suites.optional": (_list(SUITE.pattern, "suite name"), []),
    "suites.components": (_list(r"[a-z-]+", "component"), ["main"]),
    "packages.install": (_list(PACKAGE.pattern, "package name", empty=False), ...),
    "packages.preseed": (_list(PRESEED.pattern, "debconf line (package question type value)"), []),
    "packages.exclude_paths": (_list(r"/\S+", "absolute path"), []),
    "image.size_mib": (_number(SMALLEST_MIB, LARGEST_MIB), ...),
    "image.label": (_text(r"[A-Za-z0-9_-]{1,16}", "1 to 16 letters, digits or dashes"), "ccs-lab"),
    "image.uuid": (_uuid, ...),
    "content.overlays": (_list(TREE_PATH, "path below the tree"), []),
    "content.hooks": (_list(TREE_PATH, "path below the tree"), []),
    "content.programs": (_programs, {}),
}


def parse(text: str, *, name: str, where: object) -> Recipe:
    """A recipe from its text.

    :raises UserError: not TOML, an unknown or missing key, or a value that cannot be; names the line.
    """
    flat = dict(_flatten(parse_toml(text, where, mend="mend the TOML there")))
    for key in flat:
        if key not in KEYS:
            near = unknown("key", key, KEYS)
            raise UserError(near.what, where=f"{where}:{line_of(text, key)}", mend=near.mend)
    values: dict[str, Any] = {}
    for key, (check, default) in KEYS.items():
        if key not in flat and default is ...:
            raise UserError(f"the key {key} is missing", where=where, mend=f"add {key} = ...")
        values[key] = flat.get(key, default)
        if wrong := check(values[key]):
            raise UserError(f"{key} {wrong}", where=f"{where}:{line_of(text, key)}", mend="correct it")
    both = set(values["suites.required"]) & set(values["suites.optional"])
    if both:
        wrong = f"{', '.join(sorted(both))} is required and optional"
        raise UserError(wrong, where=f"{where}:{line_of(text, 'suites.optional')}", mend="name it once")
    return Recipe(
        name=name,
        description=values["description"],
        hostname=values["hostname"],
        root_password=values["root_password"],
        source_date_epoch=values["source_date_epoch"],
        required_suites=tuple(values["suites.required"]),
        optional_suites=tuple(values["suites.optional"]),
        components=tuple(values["suites.components"]),
        packages=tuple(values["packages.install"]),
        preseed=tuple(values["packages.preseed"]),
        exclude_paths=tuple(values["packages.exclude_paths"]),
        size_mib=values["image.size_mib"],
        label=values["image.label"],
        uuid=values["image.uuid"],
        overlays=tuple(values["content.overlays"]),
        hooks=tuple(values["content.hooks"]),
        programs=dict(values["content.programs"]),
    )


def _flatten(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Dotted keys of a recipe's two levels; ``content.programs`` is a value, not a level."""
    flat: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict) and f"{key}." in {known.split(".")[0] + "." for known in KEYS}:
            flat += [(f"{key}.{inner}", item) for inner, item in value.items()]
        else:
            flat.append((key, value))
    return flat


def line_of(text: str, key: str) -> int:
    """The line (from 1) that sets a dotted key; the line of its table, or 1, when it is not to be found."""
    *tables, last = key.split(".")
    current: list[str] = []
    best = 1
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([A-Za-z0-9_.\s-]+?)\s*\]", line):
            current = [part.strip() for part in header[1].split(".")]
            if current == tables:
                best = number
            if current == [*tables, last]:
                return number
        elif current == tables and re.match(rf"""\s*["']?{re.escape(last)}["']?\s*[=.]""", line):
            return number
    return best


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
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError("is not UTF-8 text", where=path, mend="save it as UTF-8") from None
    recipe = parse(text, name=name, where=path.relative_to(root))
    for key, names, there in (
        ("content.overlays", recipe.overlays, Path.is_dir),
        ("content.hooks", recipe.hooks, Path.is_file),
    ):
        for item in names:
            if not there(root / item):
                kind = "folder" if there is Path.is_dir else "file"
                where = f"{path.relative_to(root)}:{line_of(text, key)}"
                raise UserError(
                    f"{key} names {item}, and there is no such {kind}", where=where, mend="correct the path"
                )
    return recipe
