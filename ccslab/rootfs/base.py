# SPDX-License-Identifier: GPL-2.0-only
"""The base of an image: a recipe's packages, installed, as a tarball.

The slow layer, so its key has nothing of overlays and hooks in it.  Package versions are not in the key
either: a base that is there is taken without asking any network, until ``update`` asks for newer ones.
What the base really holds is in its ``manifest.json``, and the image's key is the hash of the tarball.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ccslab import process, progress
from ccslab.errors import UserError
from ccslab.rootfs import enclosure, suites
from ccslab.rootfs.recipe import Recipe
from ccslab.sources import mirrors, releases
from ccslab.store import Store, hash_file, hash_tree

KIND = "rootfs-base"
TARBALL, MANIFEST, LOG = "base.tar", "manifest.json", "build.log"
SCRIPT = Path(__file__).with_name("base.sh")
IDENTITY = Path(__file__).with_name("identity.sh")
DEBIAN = {"x86_64": "amd64", "i386": "i386"}
TIMEOUT_S = 1800.0
NEWLY = re.compile(r"^\d+ upgraded, (\d+) newly installed")

Urls = Callable[[str], str]


def debian_arch(arch: str) -> str:
    """Debian's name of an architecture of ours.

    :raises UserError: an architecture the lab does not know.
    """
    if arch not in DEBIAN:
        raise UserError(f"unknown architecture {arch!r}", mend=f"there are: {', '.join(DEBIAN)}")
    return DEBIAN[arch]


def inputs(recipe: Recipe, arch: str, store: Store) -> dict[str, Any]:
    """All that makes a base, but for the versions the archive has at the moment it is built."""
    return {
        "arch": arch,
        "suites": [list(recipe.required_suites), list(recipe.optional_suites)],
        "components": list(recipe.components),
        "packages": sorted(recipe.packages),
        "preseed": list(recipe.preseed),
        "exclude_paths": list(recipe.exclude_paths),
        "epoch": recipe.source_date_epoch,
        "hostname": recipe.hostname,
        "scripts": hash_tree(SCRIPT, IDENTITY),
        "renewed": renewed(recipe, arch, store),
    }


def renewed(recipe: Recipe, arch: str, store: Store) -> int:
    """How often this cache asked for newer package versions and got them."""
    mark = _mark(recipe, arch, store)
    text = mark.read_text().strip() if mark.is_file() else ""
    return int(text) if text.isdigit() else 0


def _mark(recipe: Recipe, arch: str, store: Store) -> Path:
    return store.work("rootfs", "renewed") / f"{recipe.name}-{arch}"


def build(
    recipe: Recipe,
    arch: str,
    store: Store,
    *,
    update: bool = False,
    urls: Urls | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """The artifact folder with ``base.tar`` and ``manifest.json``; built if there is none.

    :param update: ask the archive for today's versions; a failure leaves the present base in use.
    :param urls: archive URL of a suite, by default the host's mirrors.
    :raises UserError: the recipe names a package that no suite has.
    :raises InfrastructureError: no mirror, no network, no namespaces, disk full; says what was tried.
    """
    wanted = inputs(recipe, arch, store)
    if update:
        # A number, not a time: an update that was killed is taken up under the same key.
        while store.has(KIND, wanted):
            wanted["renewed"] += 1
    found = store.get(KIND, wanted, lambda part: _bootstrap(recipe, arch, store, part, urls=urls, warn=warn))
    if update:
        mark = _mark(recipe, arch, store)
        aside = mark.with_suffix(".new")
        aside.write_text(f"{wanted['renewed']}\n")
        aside.rename(mark)
    return found


def _bootstrap(
    recipe: Recipe,
    arch: str,
    store: Store,
    part: Path,
    *,
    urls: Urls | None,
    warn: Callable[[str], None] | None,
) -> None:
    process.need("mmdebstrap", "mmdebstrap")
    debian = debian_arch(arch)
    where = {suite: (urls or mirrors.url)(suite) for suite in _all(recipe)}
    for said in dict.fromkeys(filter(None, map(releases.note, where))):
        progress.console.print(f"  {said}")
    debs = store.work("debs", debian)
    log = store.work("rootfs", "logs") / f"{recipe.name}-{arch}-base.log"
    log.unlink(missing_ok=True)
    started = datetime.now(UTC)
    title = f"Installing the packages of {recipe.name} ({arch})"
    with store.lock(f"debs-{debian}"), progress.step(title) as step:
        for half in debs.glob("*.part*"):  # a copy that a full disk or a kill ended
            half.unlink()

        def on_line(line: str) -> None:
            if newly := NEWLY.match(line):
                step.total = (step.total or 0) + int(newly[1])
                step.show()
            elif line.startswith("Setting up "):
                step.advance(note=line.split()[2].partition(":")[0])

        def attempt(names: tuple[str, ...]) -> tuple[int, str]:
            step.done, step.total = 0, None
            with tempfile.TemporaryDirectory(prefix="tree-", dir=part) as tree:
                env = {
                    "TREE": tree,
                    "DEBS": str(debs),
                    "IDENTITY": str(IDENTITY),
                    "PACKAGES": str(part / "packages"),
                    "SOURCE_DATE_EPOCH": str(recipe.source_date_epoch),
                }
                arguments = _arguments(recipe, debian, names, where, part / TARBALL)
                return enclosure.run(
                    SCRIPT, arguments, env=env, network=True, timeout_s=TIMEOUT_S, log=log, on_line=on_line
                )

        settled = suites.persist(
            recipe.required_suites,
            recipe.optional_suites,
            where,
            attempt,
            recipe=f"recipe {recipe.name}, log {log}",
            warn=warn or (lambda text: progress.console.print(f"  warning: {text}")),
        )
    packages = dict(line.split() for line in (part / "packages").read_text().splitlines())
    (part / "packages").unlink()
    manifest = {
        "arch": arch,
        "base_sha256": hash_file(part / TARBALL),
        "built": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
        "suites": list(settled.suites),
        "suites_left_out": dict(settled.left_out),
        "tries": settled.tries,
        "packages": packages,
    }
    (part / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    (part / LOG).write_bytes(log.read_bytes())


def _all(recipe: Recipe) -> list[str]:
    return [*recipe.required_suites, *recipe.optional_suites]


def _arguments(
    recipe: Recipe, debian: str, names: tuple[str, ...], urls: dict[str, str], target: Path
) -> list[str]:
    """What ``base.sh`` passes on to mmdebstrap."""
    arguments = ["--variant=minbase", f"--architectures={debian}", "--format=tar"]
    if debian == "i386":
        arguments.append("--skip=check/qemu")  # an x86_64 kernel runs these programs as they are
    arguments += [f"--include={','.join(sorted(recipe.packages))}"]
    arguments += ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"]
    arguments += [f"--dpkgopt=path-exclude={path}" for path in recipe.exclude_paths]
    if recipe.preseed:
        lines = "\n".join(recipe.preseed).replace("'", "'\\''")
        arguments.append(f"--essential-hook=printf '%s\\n' '{lines}' | chroot \"$1\" debconf-set-selections")
    components = " ".join(recipe.components)
    keyring = f"signed-by={mirrors.keyring()}"
    options = {name: f"{keyring} check-valid-until=no" if releases.ended(name) else keyring for name in names}
    lines_of_sources = [f"deb [{options[name]}] {urls[name]} {name} {components}" for name in names]
    return [*arguments, recipe.required_suites[0], str(target), *lines_of_sources]
