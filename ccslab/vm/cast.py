# SPDX-License-Identifier: GPL-2.0-only
"""Record a terminal as asciicast v2: a header line, then one ``[seconds, "o", text]`` line per output."""

from __future__ import annotations

import codecs
import json
import time
from pathlib import Path


class Cast:
    """A recording that is whole after every write, so that a killed run leaves one that plays."""

    def __init__(self, path: Path, *, columns: int, rows: int, title: str) -> None:
        self.path = path
        self._stream = path.open("w", encoding="utf-8")
        self._begun = time.monotonic()
        # A character may be cut in two by the end of a read; the decoder keeps its first half.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        header = {
            "version": 2,
            "width": columns,
            "height": rows,
            "timestamp": int(time.time()),
            "idle_time_limit": 2.0,
            "title": title,
            "env": {"TERM": "vt220", "SHELL": "/bin/bash"},
        }
        self._line(header)

    def write(self, data: bytes) -> None:
        """Output came from the terminal now."""
        self._event(self._decoder.decode(data))

    def close(self) -> None:
        """End the recording; a character that was cut off is recorded as U+FFFD."""
        if not self._stream.closed:
            self._event(self._decoder.decode(b"", final=True))
            self._stream.close()

    def _event(self, text: str) -> None:
        if text and not self._stream.closed:
            self._line([round(time.monotonic() - self._begun, 6), "o", text])

    def _line(self, value: object) -> None:
        self._stream.write(json.dumps(value, ensure_ascii=False) + "\n")
        self._stream.flush()


def unused(path: Path) -> Path:
    """``path``, or with a number in its name if an earlier guest of the folder has it."""
    number = 2
    tried = path
    while tried.exists():
        tried = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return tried
