# SPDX-License-Identifier: GPL-2.0-only
"""Each key of each data file in turn missing, of a wrong type, empty, out of range or unknown: one line that
names file and key, exit code 2; and what may be left out or empty is listed here.
"""

from __future__ import annotations

import copy
import datetime
import json
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccslab.bench import lab as cost
from ccslab.bench import measurement, peers, plan
from ccslab.datafile import read_toml
from ccslab.errors import EXIT_USER, UserError
from ccslab.kernel import catalog, patchset
from ccslab.labs import definition
from ccslab.labs.attack import Attacks
from ccslab.labs.trials import Trials
from ccslab.policy.parity import load_declared
from ccslab.policy.rules import load_rules
from ccslab.rootfs.recipe import load_recipe
from ccslab.runs import mutation
from ccslab.runs.manifest import read_run
from ccslab.settings import ROOT
from ccslab.store import Store

Place = tuple[str | int, ...]
UNKNOWN = "xyzzy"
DATE = datetime.date(2008, 1, 1)  # no key of any file is one
LEAST = 500


@dataclass(frozen=True)
class DataFile:
    """A file of the checkout, what reads it, and what its reader takes.

    :param optional: keys that may be missing: regular expressions of places without numbers (``a: b``).
    :param empty: keys that may be empty.
    :param free: what is not read, and may be anything.
    :param wide: keys that take some value of :func:`ranged`: a regular expression may have any character.
    """

    name: str
    read: Callable[[Path], object]
    optional: str = ""
    empty: str = ""
    free: str = ""
    wide: str = ""
    data: dict[str, Any] | None = field(default=None, compare=False)

    def document(self) -> dict[str, Any]:
        if self.data is not None:
            return self.data
        text = (ROOT / self.name).read_text(encoding="utf-8")
        return tomllib.loads(text) if self.name.endswith(".toml") else shortened(json.loads(text))


def shortened(baseline: dict[str, Any]) -> dict[str, Any]:
    """A measurement of two configurations and three operations: each mutant is written and read."""
    for measured in baseline["measured"]:
        measured["figures"] = dict(list(measured["figures"].items())[:3])
    return {**baseline, "measured": baseline["measured"][:2]}


def read_plans(path: Path) -> None:
    plan._read.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PLANS", path)
        try:
            plan.kinds()
        finally:
            plan._read.cache_clear()


def read_peers(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "PEERS", path)
        peers.peers()


def read_cost(path: Path) -> None:
    cost.requests(replace(definition.find("apache-cgi", ROOT), folder=path.parent))


def read_unproven(path: Path) -> None:
    lab: Any = SimpleNamespace(name=path.parent.name, folder=path.parents[2] / "labs/x")
    mutation.explanations(lab)


def read_patchset(path: Path) -> None:
    patchset.load(path, Store(path.parents[2] / "cache"))


def read_recipe(path: Path) -> None:
    load_recipe(path.stem, path.parents[2])


MANIFEST = {
    "schema": 1,
    "started": "2026-11-27T12:00:00+00:00",
    "seconds": 1.5,
    "command_line": "x",
    "accel": {"used": "tcg"},
    "host": {"cores": 2},
    "inputs": {
        "kernel": {"key": "k", "manifest_sha256": "0", "manifest": {"patches": [{"name": "p"}]}},
        "image": {"key": "k", "manifest_sha256": "0"},
        "lab": {"sha256": "0"},
        "golden_policy": {"sha256": "0"},
        "harness": {"sha256": "0", "commit": "0"},
    },
}
STEPS = "(step|forgotten|repair)"
OPTIONAL = "(name|form(: .*)?|headers(: .*)?|status|within_s|output|upload(: (field|filename|type))?)"
EMPTY = "(name|form|headers(: .*)?)"
WIDE = "(headers: .*|within_s)"
FILES = [
    DataFile("kernel-patches/kernels.toml", lambda path: catalog.names(path.parents[1]), r"\d.\d+", "", ""),
    *(
        DataFile(
            name,
            read_patchset,
            optional="description|loader_parameter|patches: .*|patches",
        )
        for name in (
            "kernel-patches/ccs/patchset.toml",
            "kernel-patches/none/patchset.toml",
            "tests/integration/data/mistakes/patchset.toml",
        )
    ),
    DataFile(
        "rootfs/recipes/webserver.toml",
        read_recipe,
        optional=r"description|suites: (optional|components)|packages: (preseed|exclude_paths)|image: label"
        r"|content(: .*)?",
        empty=r"description|suites: (optional|components)|packages: (preseed|exclude_paths)|content(: \w+)?",
    ),
    DataFile(
        "ccslab/bench/plan.toml",
        read_plans,
        optional=r"tiny|short|long|(tiny|short|long): rules: \w+|kinds: \w+: (apparmor|group)",
        empty=r"(tiny|short|long): (modes|counted|rules(: \w+)?)",
    ),
    DataFile(
        "ccslab/bench/peers.toml",
        read_peers,
        optional="peer: counted",
        empty="rules|kinds|peer(: (lsm|modes))?",
    ),
    *(
        DataFile(
            f"labs/{lab}/lab.toml",
            lambda path: read_toml(path, definition.Main),
            optional=r"protected|exempt|services(: .*)?|logwatch|options(: [^:]*)?|machine: (\w+_mib|cpus)",
            empty="protected|exempt|services|options",
            wide=r"options: \w+: (least|most)",
        )
        for lab in definition.names(ROOT)
    ),
    DataFile(
        "labs/apache-cgi/workload.toml",
        lambda path: read_toml(path, definition.Workload),
        optional=f"{STEPS}|{STEPS}: {OPTIONAL}",
        empty=f"{STEPS}|{STEPS}: {EMPTY}",
        free=f"{STEPS}: (form: .*|upload: content)",
        wide=f"{STEPS}: {WIDE}",
    ),
    DataFile(
        "labs/apache-cgi/attacks.toml",
        lambda path: read_toml(path, Attacks),
        optional=f"attack|attack: steps: {OPTIONAL}|attack: enforcing: status",
        empty=f"attack|attack: steps: {EMPTY}|attack: enforcing: status",
        free="attack: steps: (form: .*|upload: content)",
        wide=f"attack: (gained: body|enforcing: record|steps: {WIDE})",
    ),
    DataFile(
        "labs/controls/trials.toml",
        lambda path: read_toml(path, Trials),
        optional="trial: (rule|next|says|denied|grants|refuses|learned|since|preference|arches)",
        empty="trial: (grants|refuses|arches)",
    ),
    DataFile("labs/apache-cgi/cost.toml", read_cost, empty="request"),
    DataFile(
        "labs/apache-cgi/generalise.toml",
        load_rules,
        optional=r"\w+|\w+: (depth|exclude|operations|directories|become|paths|addresses|ports|domains)",
        empty=r"\w+|\w+: (exclude|operations|paths|domains|become|sockets|drop|lines)",
    ),
    DataFile(
        "policies/architectures.toml",
        load_declared,
        optional="spelling|only|only: domain",
        empty="spelling|only",
    ),
    DataFile(
        "policies/apache-cgi/unproven.toml",
        read_unproven,
        optional="kept: chance",
        empty="kept(: (domain|lines))?",
    ),
    *(
        DataFile(
            path.relative_to(ROOT).as_posix(),
            measurement.read,
            optional=r"measured: figures: [^:]+",
            empty=r"subject: \w+|unit|measured|measured: (kind|figures)",
        )
        for path in sorted(ROOT.glob("ci/baselines/*/*.json"))
    ),
    DataFile(
        "runs/x/manifest.json",
        lambda path: read_run(path.parent),
        optional="command_line|accel|host|inputs: .*",
        empty="command_line|accel|host|inputs(: (?!.*(sha256|key|commit|name|#)).*)?",
        free=f"schema|command_line|(accel|host): .*|((inputs: (?!{UNKNOWN}).*: ))?{UNKNOWN}",
        data=MANIFEST,
    ),
]


def places(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every place in a document below its top, with its value."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*place, key), value[key]
        yield from places(value[key], (*place, key))


def plain(place: Place) -> str:
    """A place without numbers: an item of a list is ``a: b#``."""
    keys = ": ".join(part for part in place if isinstance(part, str))
    return f"{keys}#" if isinstance(place[-1], int) else keys


def changed(document: Any, place: Place, change: Callable[[Any, Any], None]) -> Any:
    """A document of which the value at a place was changed, by what holds it and its key there."""
    document = copy.deepcopy(document)
    change(at(document, place[:-1]), place[-1])
    return document


def named(place: Place) -> str:
    """The key that an error of a place must name."""
    return next(part for part in reversed(place) if isinstance(part, str))


def at(document: Any, place: Place) -> Any:
    for key in place:
        document = document[key]
    return document


def put(value: Any) -> Callable[[Any, Any], None]:
    def change(holder: Any, key: Any) -> None:
        holder[key] = value

    return change


def remove(holder: Any, key: Any) -> None:
    del holder[key]


def mutants(file: DataFile) -> Iterator[tuple[str, Place, str, Any]]:
    """Kind of change, its place, the key that an error must name, and the document; one of each for all items
    of a list."""
    document = file.document()
    seen: set[str] = set()
    yield "unknown", (UNKNOWN,), UNKNOWN, {**document, UNKNOWN: DATE}
    for place, value in places(document):
        name = plain(place)
        if name in seen:
            continue
        seen.add(name)
        key = named(place)
        if isinstance(place[-1], str):
            mutant = changed(document, place, remove)
            # A table without its only key is an empty one.
            if len(place) > 1 and not at(mutant, place[:-1]):
                yield "empty", place[:-1], named(place[:-1]), mutant
            else:
                yield "missing", place, key, mutant
        yield "type", place, key, changed(document, place, put(DATE if file.name.endswith("toml") else [[]]))
        for low in ranged(value):
            yield "range", place, key, changed(document, place, put(low))
        if isinstance(value, str | list | dict):
            yield "empty", place, key, changed(document, place, put(type(value)()))
        if isinstance(value, dict):
            yield "unknown", (*place, UNKNOWN), UNKNOWN, changed(document, (*place, UNKNOWN), put(DATE))


def ranged(value: Any) -> list[Any]:
    """Values of the same type that no key takes."""
    if isinstance(value, bool):
        return [1]
    if isinstance(value, int):
        return [-1, 10**400, True, 0.5]
    if isinstance(value, float):
        return [float("nan"), float("inf"), True]
    return ["a\0b", "\x1b[2J", " "] if isinstance(value, str) else []


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


def written(path: Path, document: dict[str, Any]) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps(document, default=str))
    else:
        path.write_text("".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in document.items()))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the data files name, and room for them."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "kernel-patches", root / "kernel-patches", symlinks=True)
    (root / "rootfs/recipes").mkdir(parents=True)
    (root / "rootfs/overlay").symlink_to(ROOT / "rootfs/overlay")
    (root / "rootfs/recipes/hooks").symlink_to(ROOT / "rootfs/recipes/hooks")
    (root / "labs/apache-cgi").mkdir(parents=True)
    (root / "labs/apache-cgi/overlay").symlink_to(ROOT / "labs/apache-cgi/overlay")
    shutil.copytree(ROOT / "tests/integration/data/mistakes", root / "tests/integration/data/mistakes")
    return root


def fault(file: DataFile, path: Path, kind: str, place: Place, key: str) -> str:
    """What is wrong with how the reader takes a mutant; "" if nothing is."""
    passes = re.fullmatch({"missing": file.optional, "empty": file.empty}.get(kind) or "(?!)", plain(place))
    wide = kind == "range" and re.fullmatch(file.wide or "(?!)", plain(place))
    free = wide or re.fullmatch(file.free or "(?!)", plain(place))
    try:
        file.read(path)
    except UserError as error:
        line = str(error)
        if error.exit_code != EXIT_USER or "\n" in line or not error.mend:
            return f"{line!r} is no line with a mend"
        if path.name not in error.where:
            return f"{line!r} does not name the file"
        if key not in f"{error.where} {error.what}":
            return f"{line!r} does not name {key}"
        return f"{line!r}, and it may be {kind}" if passes and not free else ""
    except Exception as error:
        return repr(error)
    return "" if passes or free else "is taken"


def test_each_key_of_each_file(checkout: Path) -> None:
    kinds: Counter[str] = Counter()
    faults: list[str] = []
    for file in FILES:
        path = checkout / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        written(path, file.document())
        file.read(path)
        for kind, place, key, document in mutants(file):
            kinds[kind] += 1
            written(path, document)
            if wrong := fault(file, path, kind, place, key):
                faults.append(f"{file.name}: {kind} {place}: {wrong}")
        written(path, file.document())
    print(kinds.total(), dict(kinds))
    assert not faults, "\n".join(faults)
    assert kinds.total() >= LEAST
    assert min(kinds[kind] for kind in ("missing", "type", "range", "empty", "unknown")) >= LEAST / 20


def test_every_file_that_is_read_by_types_is_here() -> None:
    """A data file that is added to the checkout is added to the list above."""
    there = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("policies/**/*.toml")}
    there |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("kernel-patches/**/*.toml")}
    there |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("rootfs/recipes/*.toml")}
    there |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("ccslab/bench/*.toml")}
    there |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("labs/*/cost.toml")}
    there |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("labs/*/generalise.toml")}
    assert there <= {file.name for file in FILES}
