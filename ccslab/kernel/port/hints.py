# SPDX-License-Identifier: GPL-2.0-only
"""What makes a hunk doubtful, even if it applies: programs merge lines and know nothing of their meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ccslab.kernel.port.mail import Section, encode, lines_of

_WORD = re.compile(rb"[A-Za-z_]\w{2,}")
_COMMENT = re.compile(rb"/\*.*?(?:\*/|$)|//.*|^\s*\*.*")
CODE = (".c", ".h", ".S")
WORDS_SHOWN = 4


def hints(sections: Sequence[Section], base: bytes, ours: bytes) -> list[str]:
    """What a person should look at; empty if nothing strikes.

    :param base: the old tree's file.
    :param ours: the new tree's.
    """
    return [*_there_already(sections, base, ours), *_gone(sections, base, ours)]


def _there_already(sections: Sequence[Section], base: bytes, ours: bytes) -> Iterator[str]:
    """Lines that the patch adds and that the new tree has in another place: they would be there twice."""
    for run in (encode(run) for section in sections for run in section.added()):
        at = ours.find(run)
        if at >= 0 and run not in base:
            line = ours.count(b"\n", 0, at) + 1
            yield f"adds lines that the new tree has at line {line}: look at it"
            return


def _gone(sections: Sequence[Section], base: bytes, ours: bytes) -> Iterator[str]:
    """Names in the code that the patch adds, which the old tree's file has and the new tree's has not."""
    written = [section for section in sections if any(name.endswith(CODE) for name in section.names)]
    hunks = (hunk for section in written for hunk in section.hunks)
    added = (encode(line[1:]) for hunk in hunks for line in lines_of(hunk)[1:] if line.startswith("+"))
    used = {word for line in added for word in _WORD.findall(_COMMENT.sub(b"", line))}
    gone = sorted(used & set(_WORD.findall(base)) - set(_WORD.findall(ours)))
    if gone:
        names = ", ".join(word.decode() for word in gone[:WORDS_SHOWN])
        more = " ..." if len(gone) > WORDS_SHOWN else ""
        yield f"uses {names}{more}, gone from the new tree's file: look at it"
