# SPDX-License-Identifier: GPL-2.0-only
"""Numbers and addresses of the policy language, in the kernel's spelling.

Each function takes one word and gives the word the kernel would print, or raises
:class:`ValueError` with the reason; whoever knows file and line turns it into a UserError.
"""

from __future__ import annotations

import ipaddress
import re

_NUMBER = re.compile(r"0[xX](?P<hex>[0-9A-Fa-f]+)|0(?P<oct>[0-7]+)|(?P<dec>[0-9]+)")
_MAX = 2**64 - 1
_ZEROS = re.compile(r"\b0(?::0)+\b")  # a single 0 is not compressed


def _one(text: str) -> tuple[str, int]:
    found = _NUMBER.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a number (decimal, 0octal or 0xHEX)")
    if found["hex"]:
        value, spelling = int(found["hex"], 16), "0x{:X}"
    elif found["oct"]:
        value, spelling = int(found["oct"], 8), "0{:o}"
    else:
        value, spelling = int(found["dec"]), "{:d}"
    if value > _MAX:
        raise ValueError(f"{text} does not fit an unsigned long")
    return spelling.format(value), value


def number(word: str, *, maximum: int | None = None) -> str:
    """``word`` (a number or a range ``low-high``) as the kernel prints it: ``0x1f-0x1f`` becomes ``0x1F``."""
    low_text, dash, high_text = word.partition("-")
    low, low_value = _one(low_text)
    high, high_value = _one(high_text) if dash else (low, low_value)
    if low_value > high_value:
        raise ValueError(f"range {word} is empty")
    if maximum is not None and high_value > maximum:
        raise ValueError(f"{word} is greater than {maximum}")
    return low if low == high else f"{low}-{high}"


def number_bounds(word: str) -> tuple[int, int]:
    """The least and the greatest value of a number or range."""
    low, dash, high = word.partition("-")
    least = _one(low)[1]
    return least, _one(high)[1] if dash else least


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        if "%" in text:  # a zone, which the kernel does not read
            raise ValueError(text)
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None


def address(word: str) -> str:
    """``word`` (an IPv4 or IPv6 address or a range) as the kernel prints it."""
    low_text, dash, high_text = word.partition("-")
    low = _ip(low_text)
    high = _ip(high_text) if dash else low
    if low.version != high.version:
        raise ValueError(f"range {word} mixes IPv4 and IPv6")
    return _printed(low) if low == high else f"{_printed(low)}-{_printed(high)}"


def _printed(one: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """By the kernel's rule (``%pI6c``, lib/vsprintf.c): Pythons differ in how they spell an address."""
    if one.version == 4:
        return str(one)
    value = int(one)
    ends_in_ipv4 = one.ipv4_mapped is not None or value >> 32 & 0xFDFFFFFF == 0x5EFE  # mapped, or ISATAP
    words = [f"{value >> shift & 0xFFFF:x}" for shift in range(112, 16 if ends_in_ipv4 else -16, -16)]
    text = ":".join(words)
    if zeros := max(_ZEROS.finditer(text), key=lambda run: len(run[0]), default=None):
        text = f"{text[: zeros.start()].removesuffix(':')}::{text[zeros.end() :].removeprefix(':')}"
    return f"{text}:{ipaddress.IPv4Address(value & 0xFFFFFFFF)}" if ends_in_ipv4 else text


def address_bounds(word: str) -> tuple[int, int, int]:
    """IP version, least and greatest address as integers."""
    low, dash, high = word.partition("-")
    first = _ip(low)
    return first.version, int(first), int(_ip(high) if dash else first)
