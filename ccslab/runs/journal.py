# SPDX-License-Identifier: GPL-2.0-only
"""``journal.jsonl`` in a run's folder: each result on the disk when it comes, a line of JSON each.

The first line says what was asked for, how many results there will be and what they are of; the last one of
a run that came to its end says that. A line that was torn by a kill counts as not written.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccslab.evidence.text import disk_errors

JOURNAL = "journal.jsonl"
SCHEMA = 1


@dataclass
class Kept:
    """What a journal holds."""

    command: str
    asked: dict[str, Any]
    """The options that decide what there is to find out."""
    of: int
    """How many results there will be."""
    inputs: dict[str, str] = field(default_factory=dict)
    """What the results are of: a word for each input, another if that is another."""
    results: dict[str, Any] = field(default_factory=dict)
    ended: bool = False


def read(folder: Path) -> Kept | None:
    """The journal of a run's folder; None if it has none that says what it is of."""
    try:
        # What comes after the last line's end was torn by a kill.
        lines = (folder / JOURNAL).read_bytes().rpartition(b"\n")[0].splitlines()
    except OSError:
        return None
    kept: Kept | None = None
    for line in lines:
        try:
            said = json.loads(line)
            if "journal" in said and said["journal"] == SCHEMA:
                before = kept or Kept("", {}, 0)
                words = {**before.inputs, **said["inputs"]}
                kept = Kept(str(said["command"]), dict(said["asked"]), int(said["of"]), words, before.results)
            elif kept and "key" in said:
                kept.results[str(said["key"])] = said["result"]
            elif kept:
                kept.ended = said["ended"] is True
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return kept


class Journal:
    """The journal of the run that goes on; made, or gone on with.

    :param kept: what it holds; its head is written now.
    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """

    def __init__(self, folder: Path, kept: Kept) -> None:
        self.folder = folder
        self.kept = kept
        self.taken_over = len(kept.results)
        self._lock = threading.Lock()
        with disk_errors(folder):
            path = folder / JOURNAL
            whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
            self._stream = path.open("r+b" if path.exists() else "xb")
            self._stream.truncate(len(whole) + bool(whole))
            self._stream.seek(0, os.SEEK_END)
        self._write(
            {
                "journal": SCHEMA,
                "command": kept.command,
                "asked": kept.asked,
                "of": kept.of,
                "inputs": kept.inputs,
            }
        )

    @property
    def results(self) -> Mapping[str, Any]:
        """All results until now, those from before the break among them."""
        return self.kept.results

    @property
    def complete(self) -> bool:
        """Whether no result is missing."""
        return len(self.kept.results) >= self.kept.of

    def add(self, key: str, result: Any) -> None:
        """Keep a result (JSON data), from any thread; it is on the disk when this returns.

        :raises InfrastructureError: the disk is full.
        """
        with self._lock:
            self._write({"key": key, "result": result})
            self.kept.results[key] = result

    def end(self) -> None:
        """Say that the run came to its end."""
        self._write({"ended": True})

    def close(self) -> None:
        """Let the file go."""
        self._stream.close()

    def _write(self, said: Mapping[str, Any]) -> None:
        with disk_errors(self.folder / JOURNAL):
            self._stream.write(json.dumps(said, allow_nan=False).encode("ascii") + b"\n")
            self._stream.flush()
            os.fsync(self._stream.fileno())
