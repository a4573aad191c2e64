# SPDX-License-Identifier: GPL-2.0-only
"""Text that neither a user, a file nor a guest can steer a terminal or a page with."""

from __future__ import annotations

import re

WORD_MOST, TEXT_MOST = 200, 1000
# What XML 1.0 (section 2.2) cannot carry; C1 controls, which some terminals obey like ESC [; and Unicode's
# bidirectional controls, which turn the text around them, so that a line reads otherwise than it is.
_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def visible(text: str) -> str:
    r"""The text with control characters spelled out (``\x1b``), newlines and tabs kept.

    A guest is not trusted: what it prints must neither steer a terminal nor break an XML file.
    """
    return _UNSHOWABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """The text on one line, visible."""
    return " ".join(visible(text).split())


def shortened(text: str, most: int) -> str:
    """The text, cut in its middle if it has more than ``most`` characters."""
    if len(text) <= most:
        return text
    left = f" ... {len(text) - most} more ... "
    return text[: most // 2] + left + text[len(text) - most // 2 :]


def told(text: str, most: int = TEXT_MOST) -> str:
    """The text on one line, visible, no word and not the whole longer than a reader bears."""
    return shortened(" ".join(shortened(word, WORD_MOST) for word in one_line(text).split(" ")), most)
