# SPDX-License-Identifier: GPL-2.0-only
"""``manifest.json``: all that went into a run, so that another person can have the same run again.

Inputs are hashed when the run starts, for they may be edited while it goes on.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from ccslab import datafile, process
from ccslab.datafile import Loose, Number, Record, Text, convert, read_json
from ccslab.errors import InfrastructureError, UserError
from ccslab.evidence.text import disk_errors, write_json
from ccslab.store import hash_file, hash_tree, key_of

MANIFEST = "manifest.json"
AGAIN = "run the lab again"
SCHEMA = 1
TOOL_TIMEOUT_S = 30.0


class _Hashed(Loose, frozen=True):
    sha256: Text = ""


class _Harness(_Hashed, frozen=True):
    commit: Text | None = None


class _Patch(Loose, frozen=True):
    name: Text


class _Artifact(Loose, frozen=True):
    patches: tuple[_Patch, ...] = ()


class _Made(Loose, frozen=True):
    key: Text = ""
    manifest_sha256: Text = ""
    manifest: _Artifact = _Artifact()


class _Inputs(Record, frozen=True):
    kernel: _Made = _Made()
    image: _Made = _Made()
    lab: _Hashed = _Hashed()
    golden_policy: _Hashed = _Hashed()
    harness: _Harness = _Harness()


class _Run(Loose, frozen=True, kw_only=True):
    """What is read of a run's manifest.json."""

    started: Text
    seconds: Number | None
    command_line: str = ""
    accel: dict[str, Any] = datafile.field(default_factory=dict)
    host: dict[str, Any] = datafile.field(default_factory=dict)
    inputs: _Inputs


@dataclass
class Manifest:
    """What a run was made of, where and when it ran."""

    inputs: dict[str, Any]
    host: dict[str, Any]
    command: Sequence[str]
    accel: str
    accel_why: str
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None

    def document(self) -> dict[str, Any]:
        """The manifest as plain JSON data; ``ended`` is null while the run goes on."""
        ended = self.ended.astimezone(UTC) if self.ended else None
        started = self.started.astimezone(UTC)
        return {
            "schema": SCHEMA,
            "command": list(self.command),
            "command_line": shlex.join(self.command),
            "started": started.isoformat(timespec="seconds"),
            "ended": ended.isoformat(timespec="seconds") if ended else None,
            "seconds": round((ended - started).total_seconds(), 1) if ended else None,
            "accel": {"name": self.accel, "why": self.accel_why},
            "inputs": self.inputs,
            "host": self.host,
        }


def gather(
    *,
    root: Path,
    lab: Path,
    golden: Path,
    kernel: Path,
    image: Path | None,
    accel: str = "",
    accel_why: str = "",
    command: Sequence[str] | None = None,
) -> Manifest:
    """The manifest of a run that starts now.

    :param root: the checkout.
    :param lab: the lab's folder.
    :param golden: the folder of its golden policy; need not exist yet.
    :param kernel: the kernel's artifact folder, with a ``manifest.json``.
    :param image: the root filesystem's artifact folder, with a ``manifest.json`` (packages, versions);
        None of a lab without one.
    :param command: the command line; this process's if None.
    :raises UserError: an artifact's manifest is missing or malformed.
    :raises InfrastructureError: an input cannot be read.
    """
    with disk_errors(lab):
        inputs = {
            "kernel": _artifact(kernel),
            **({"image": _artifact(image)} if image else {}),
            "lab": {"folder": _below(lab, root), "sha256": hash_tree(lab)},
            "golden_policy": {"folder": _below(golden, root), "sha256": hash_tree(golden)},
            "harness": {"sha256": hash_tree(root / "ccslab"), **checkout(root)},
        }
    return Manifest(
        inputs=inputs,
        host=host(),
        command=[Path(sys.argv[0]).name, *sys.argv[1:]] if command is None else command,
        accel=accel,
        accel_why=accel_why,
    )


def words(inputs: Mapping[str, Any]) -> dict[str, str]:
    """A word for each of a run's inputs: two runs with the same words ran the same thing.

    An artifact counts as the very one that was used, not as one that was built from the same; the checkout
    counts by what of it runs, not by its commit.

    :raises UserError: an input is not named.
    """
    try:
        return {
            "kernel": inputs["kernel"]["manifest_sha256"],
            # A lab whose guests are made of an initramfs has no image.
            **({"image": inputs["image"]["manifest_sha256"]} if "image" in inputs else {}),
            **{name: inputs[name]["sha256"] for name in ("lab", "golden_policy", "harness")},
        }
    except (KeyError, TypeError) as error:
        raise UserError(f"names no {error}", where=MANIFEST, mend="run the lab again") from error


def identity(inputs: Mapping[str, Any]) -> str:
    """One word for all of a run's inputs.

    :raises UserError: as ``words``.
    """
    return key_of(words(inputs))


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write ``manifest.json`` of a run; returns its path.

    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    return write_json(folder / MANIFEST, manifest.document())


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest, of a run or of an artifact.

    :raises UserError: it is missing or malformed.
    """
    return read_json(path, mend="./inv lab.build makes it anew")


def read_run(folder: Path) -> dict[str, Any]:
    """Read the manifest of a run that is over.

    :raises UserError: it is missing or malformed, or lacks what is read of it.
    """
    document = read_json(folder / MANIFEST, mend=AGAIN)
    convert(document, _Run, folder / MANIFEST, AGAIN)
    return document


def checkout(root: Path) -> dict[str, Any]:
    """The checkout's commit and whether it has changes of its own; nulls where git does not know it."""
    unknown = {"commit": None, "dirty": None}
    if not shutil.which("git"):
        return unknown
    status, commit = _git(root, "rev-parse", "--verify", "HEAD")
    if status != 0:
        return unknown
    _, top = _git(root, "rev-parse", "--show-toplevel")
    if Path(top) != root.resolve():
        # An unpacked tarball that lies somewhere inside another person's checkout.
        return unknown
    status, changes = _git(root, "status", "--porcelain")
    # "XY path" is a change; other lines are warnings, which come by the same pipe.
    dirty = any(line[2:3] == " " and line[:2].strip() for line in changes.splitlines())
    return {"commit": commit, "dirty": dirty if status == 0 else None}


def _git(root: Path, *words: str) -> tuple[int, str]:
    # Without optional locks a status in the middle of a colleague's commit does not disturb it.
    argv: list[str | Path] = ["git", "--no-optional-locks", "-C", root, *words]
    try:
        status, said = process.run(argv, timeout_s=TOOL_TIMEOUT_S, check=False)
    except InfrastructureError as error:
        return 1, str(error)
    return status, said.strip("\n")


def host() -> dict[str, Any]:
    """The machine: cores we may use, memory in bytes, CPU, system, QEMU, Python and its packages."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "cpu": _cpu_model(),
        "os": _os_name(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "qemu": _qemu_version(),
        "python": platform.python_version(),
        "python_packages": _python_packages(),
    }


def _cpu_model() -> str:
    """The first "model name" of /proc/cpuinfo; the machine's name where there is none (arm64)."""
    with disk_errors(Path("/proc/cpuinfo")):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _qemu_version() -> str:
    """What QEMU says of its version; "" if it is not installed."""
    program = shutil.which("qemu-system-x86_64")
    if not program:
        return ""
    _, said = process.run([program, "--version"], timeout_s=TOOL_TIMEOUT_S, check=False)
    return said.splitlines()[0] if said else ""


def _python_packages() -> dict[str, str]:
    found = {one.metadata["Name"]: one.version for one in metadata.distributions()}
    return {name: found[name] for name in sorted(found, key=str.lower)}


def _artifact(folder: Path) -> dict[str, Any]:
    """An artifact by its key, the hash of its manifest, and the manifest itself."""
    path = folder / MANIFEST
    content = read_manifest(path)
    return {"key": folder.name, "manifest_sha256": hash_file(path), "manifest": content}


def _below(path: Path, root: Path) -> str:
    """The path as seen from the checkout: a run's evidence tells no one the layout of a machine."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.name
