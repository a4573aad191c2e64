# SPDX-License-Identifier: GPL-2.0-only
"""Files of a run, written whole or not at all; their text is harmless to whoever shows it."""

from __future__ import annotations

import functools
import json
import os
import secrets
from pathlib import Path
from typing import Any

from ccslab import store
from ccslab.visible import one_line, visible

__all__ = ["disk_errors", "one_line", "visible", "write", "write_json"]

disk_errors = functools.partial(
    store.disk_errors, mend="free space or make the folder writable; old runs go with ./inv lab.clean"
)


def write(path: Path, content: bytes) -> Path:
    """Write a file so that it is whole or absent, whenever we are killed; of the mode that the umask says.

    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    with disk_errors(path):
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with aside.open("xb") as stream:  # not mkstemp's: who may read it is what the umask says
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        store.sync(path.parent)
    return path


def write_json(path: Path, document: dict[str, Any]) -> Path:
    """Write a JSON document, ASCII only, keys in the order given.

    :raises InfrastructureError: as ``write``.
    """
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    return write(path, text.encode("ascii"))
