# SPDX-License-Identifier: GPL-2.0-only
"""Files and text of a run: written whole or not at all, and harmless to whoever shows them."""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from ccslab import store

disk_errors = functools.partial(
    store.disk_errors, mend="free space or make the folder writable; old runs go with ./inv lab.clean"
)
# What XML 1.0 (section 2.2) cannot carry, and C1 controls, which some terminals obey like ESC [.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    r"""The text with control characters spelled out (``\x1b``), newlines and tabs kept.

    A guest is not trusted: what it prints must neither steer a terminal nor break an XML file.
    """
    return _UNSHOWABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """The text on one line, visible."""
    return " ".join(visible(text).split())


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
