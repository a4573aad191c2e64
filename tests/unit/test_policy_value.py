# SPDX-License-Identifier: GPL-2.0-only
"""Addresses in the kernel's spelling, whichever Python this is (noxfile.py tries the others)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.policy.value import address, address_bounds

WORDS = st.lists(st.sampled_from([0, 0, 0, 1, 0x200, 0x5EFE, 0xFFFF, 0x7F00]), min_size=8, max_size=8)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        # What ip6_compressed_string() of lib/vsprintf.c prints.
        ("::", "::"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:7f00:1", "::7f00:1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ("10:0:5:0:0:0:1:0", "10:0:5::1:0"),
        ("fe80:0:0:0:0:0:0:0", "fe80::"),
        ("::ffff:ffff:ffff", "::ffff:255.255.255.255"),
        ("::ffff:0:0", "::ffff:0.0.0.0"),
        ("::ffff:127.0.0.1-::ffff:127.0.0.9", "::ffff:127.0.0.1-::ffff:127.0.0.9"),
        ("fe80::200:5efe:a00:1", "fe80::200:5efe:10.0.0.1"),
        ("::5efe:0:0", "::5efe:0.0.0.0"),
        ("10.0.2.2", "10.0.2.2"),
    ],
)
def test_an_address_is_spelled_as_the_kernel_does(written: str, printed: str) -> None:
    assert address(written) == printed


@given(WORDS)
def test_what_is_printed_is_the_same_address_and_printed_so_again(words: list[int]) -> None:
    written = ":".join(f"{word:x}" for word in words)
    printed = address(written)
    value = int(ipaddress.ip_address(written))
    assert address_bounds(printed) == (6, value, value)
    assert address(printed) == printed


@pytest.mark.parametrize(
    "word", ["", "1.2.3", "::ffff:127.0.0.1::", "fe80::1%eth0", "10.0.0.1-::1", "01.2.3.4"]
)
def test_what_is_no_address(word: str) -> None:
    with pytest.raises(ValueError, match=r"is not an IP address|mixes"):
        address(word)
