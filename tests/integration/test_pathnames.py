# SPDX-License-Identifier: GPL-2.0-only
"""The names of requests, as audit logs have them: of every length around the buffers they are made in, with
characters to be encoded at every place of a word.

The series makes names by words and in a small buffer; a kernel without it, by bytes and in a page.
"""

from __future__ import annotations

import re

import pytest
from series import PROC, SECURITYFS, say

from ccslab.rootfs.initramfs import Entry, File
from ccslab.vm.machine import Machine

pytestmark = [pytest.mark.guest, pytest.mark.slow]

# 264 bytes on the stack, then a page, then two.
LENGTHS = (*range(1, 40), *range(250, 275), *range(4070, 4110))
BYTES = ("\\001", "\\012", " ", "!", "~", "\\177", "\\200", "\\377", "\\\\", "[", "]", "*")
PLACES = range(17)

# Files with names of all kinds; `cat` is denied none, but each is told of.
SCRIPT = """\
asked() { /bin/cat "$1" >/dev/null; /bin/cat $interface/audit | grep -o "file read .*" ; }
interface=$1
mkdir /n && cd /n
# Long names: folders of 100 characters, as deep as needed, and a file for the rest.
long=0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789
for length in LENGTHS; do
    cd /n; left=$((length - 3))
    while [ $left -gt 200 ]; do mkdir -p $long && cd $long; left=$((left - 101)); done
    [ $left -gt 0 ] || continue
    name=$(printf "%0${left}d" 0)
    : >$name; asked $name; rm $name
done
cd /n
for place in PLACES; do
    front=$(printf "%${place}s" "" | tr " " x)
    for byte in BYTES; do
        # A newline at the end would be lost to $(...).
        name="$front$(printf "%b" "$byte.")"; name="${name%.}"
        : >"$name"; asked "$name"; rm "$name"
        name="${name}xxxxxxxx"
        : >"$name"; asked "$name"; rm "$name"
    done
done
"""


@pytest.fixture(scope="module")
def extra() -> dict[str, Entry]:
    """What is laid into the guest."""
    words = " ".join(f"'{byte}'" for byte in BYTES)
    script = SCRIPT.replace("LENGTHS", " ".join(map(str, LENGTHS))).replace("BYTES", words)
    return {"bin/names": File(script.replace("PLACES", " ".join(map(str, PLACES))).encode(), 0o755)}


def names(guest: Machine, interface: str) -> list[str]:
    """The lines that the audit log has of the files."""
    for line in ("PROFILE_VERSION=20150505", "4-CONFIG::file::open={ mode=permissive reject_log=yes }"):
        say(guest, f"echo '{line}' >{interface}/profile")
    say(guest, f"echo 'initialize_domain /bin/cat from any' >{interface}/exception_policy")
    say(guest, f"printf '%s\\n' '<kernel> /bin/cat' 'use_profile 4' >{interface}/domain_policy")
    said = guest.console.run(f"sh /bin/names {interface}", 180, check=True).output
    return [line.strip() for line in re.findall(r"file read (/n/\S+)", said)]


def test_names_are_those_of_the_stock_kernel(patched_guest: Machine, stock_guest: Machine) -> None:
    stock = names(stock_guest, SECURITYFS)
    assert len(stock) == len([length for length in LENGTHS if length > 3]) + len(PLACES) * len(BYTES) * 2
    assert {len(name) for name in stock} >= {262, 263, 264, 265, 4093, 4094, 4095, 4096, 4097}
    for encoded in (r"\001", r"\012", r"\040", r"\177", r"\377", "\\\\"):
        assert any(encoded in name for name in stock), encoded
    assert names(patched_guest, PROC) == stock
