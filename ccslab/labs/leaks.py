# SPDX-License-Identifier: GPL-2.0-only
"""Memory nobody refers to any more: kmemleak, asked in the guest at the end of a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ccslab.errors import InfrastructureError
from ccslab.vm.splat import Splat

if TYPE_CHECKING:
    from ccslab.labs.guest import Guest

KIND = "kmemleak"
SCAN_TIMEOUT_S = 120.0
# Two scans, for the first only notes the checksum of what it suspects; and kmemleak suspects nothing that
# is younger than five seconds (mm/kmemleak.c, MSECS_MIN_AGE), which is time and no event.
SCAN = (
    "mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug; cd /sys/kernel/debug && "
    "echo scan >kmemleak && sleep 6 && echo scan >kmemleak && cat kmemleak"
)
_FIRST = re.compile(r"^unreferenced object ", re.MULTILINE)
_SIZE = re.compile(r"\(size (\d+)\)")
_COMMAND = re.compile(r'comm "(.*?)", pid')
_FRAME = re.compile(r"^ {4}(?:\[<\w+>\] )?(\S+\+0x[0-9a-f]+/0x[0-9a-f]+)$", re.MULTILINE)
_ALLOCATOR = re.compile(
    r"_*(?:kmem|kmalloc|kzalloc|kvmalloc|kstrdup|kmemdup|slab_|vmalloc|alloc_|get_free)\w*\+"
)


def scan(guest: Guest) -> list[Splat]:
    """The leaks of the guest's kernel, those of one place as one.

    :raises InfrastructureError: kmemleak is not there or has switched itself off.
    """
    status, said = guest.root(SCAN, timeout_s=SCAN_TIMEOUT_S, check=False)
    if status:
        raise InfrastructureError(
            f"kmemleak cannot be asked (status {status}): {said.strip()[-200:]}",
            where="/sys/kernel/debug/kmemleak",
            mend="see what the kernel says of kmemleak in console.log",
        )
    return parse(said)


def parse(text: str) -> list[Splat]:
    """The leaks in what /sys/kernel/debug/kmemleak says."""
    found: dict[tuple[str, ...], Splat] = {}
    for part in _FIRST.split(text)[1:]:
        lines = f"unreferenced object {part}".rstrip().splitlines()
        frames = _FRAME.findall(part)
        place = next((frame for frame in frames if not _ALLOCATOR.match(frame)), "an unknown place")
        size, command = _SIZE.search(part), _COMMAND.search(part)
        title = (
            f"unreferenced object of {size[1] if size else '?'} bytes, allocated in {place} "
            f'by "{command[1] if command else "?"}"'
        )
        if earlier := found.get(tuple(frames)):
            earlier.times += 1
        else:
            found[tuple(frames)] = Splat(KIND, title, lines)
    return list(found.values())
