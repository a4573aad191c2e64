# SPDX-License-Identifier: GPL-2.0-only
"""The words of the policy language, read once from ``language.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path

_DATA = tomllib.loads(Path(__file__).with_name("language.toml").read_text(encoding="ascii"))

#: Operations of ``file`` by the shape of their arguments; a line may join operations of one shape only.
FILE: dict[str, list[str]] = _DATA["file"]
#: ``(family, protocol)`` to operations.
NETWORK: dict[tuple[str, str], list[str]] = {
    (family, protocol): operations
    for family, protocols in _DATA["network"].items()
    for protocol, operations in protocols.items()
}
TASK: dict[str, list[str]] = _DATA["task"]
CAPABILITIES: list[str] = _DATA["capability"]["names"]
CONDITION_NUMBERS: list[str] = _DATA["condition"]["numbers"]
CONDITION_NAMES: list[str] = _DATA["condition"]["names"]
CONDITION_CONSTANTS: list[str] = [
    *_DATA["condition"]["types"],
    *_DATA["condition"]["modes"],
    *_DATA["condition"]["others"],
]
TRANSITION_PREFERENCES: list[str] = _DATA["transition"]["preferences"]
TRANSITION_CONTROLS: list[str] = _DATA["transition"]["controls"]
GROUPS: list[str] = _DATA["exception"]["groups"]
DOMAIN_FLAGS: list[str] = _DATA["domain"]["flags"]
MODES: list[str] = _DATA["profile"]["modes"]
PREFERENCES: list[str] = _DATA["profile"]["preference"]
PROFILE_VERSION: int = _DATA["profile"]["version"]
ONLY_18: dict[str, list[str]] = _DATA["only_18"]

#: Every ``CONFIG`` key after ``CONFIG::``, operations first as the kernel prints them, then categories.
CONFIG: list[str] = [
    *(f"file::{name}" for name in _DATA["profile"]["config"]["file"]),
    *(
        f"network::{family}_{protocol}_{name}"
        for (family, protocol), names in NETWORK.items()
        for name in names
    ),
    *(f"misc::{name}" for name in _DATA["profile"]["config"]["misc"]),
    *(f"capability::{name}" for name in CAPABILITIES),
    *(f"ipc::{name}" for name in _DATA["profile"]["config"]["ipc"]),
    *_DATA["profile"]["categories"],
]

MAX_PROFILES = 256
MAX_ACL_GROUPS = 256


def file_shape(operation: str) -> str:
    """The argument shape of a file operation (``path``, ``path_number``, ...), or ""."""
    return next((shape for shape, names in FILE.items() if operation in names), "")
