# SPDX-License-Identifier: GPL-2.0-only
"""Where in the source a kernel's traces were: ``function+0x12/0x34`` -> ``file:line``, by its own vmlinux."""

from __future__ import annotations

import bisect
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from ccslab.process import need, run

ADDR2LINE_TIMEOUT_S = 120.0
PLACE = re.compile(r"\b([A-Za-z_][\w.]*)\+0x([0-9a-f]+)/0x([0-9a-f]+)")
# Where these stand the address is the instruction itself; elsewhere it is where a call returns to.
EXACT = re.compile(r"\b[RE]IP: |WARNING: .* at ")
ANCHOR = ("start_kernel", "init/main.c")  # a function whose file is known: tells where the tree was


class Symbols:
    """The symbols of one kernel.

    :param kernel: a kernel's artifact folder, with vmlinux and System.map.
    """

    def __init__(self, kernel: Path) -> None:
        self.vmlinux = kernel / "vmlinux"
        self.map = kernel / "System.map"

    def explain(self, lines: Iterable[str]) -> list[str]:
        """The lines with ``(file:line)`` behind each place in the kernel, innermost inlined function first.

        Lines stay as they are where nothing is known: no such symbol, or a kernel without debug information.

        :raises InfrastructureError: addr2line is missing or failed.
        """
        lines = list(lines)
        addresses = [[self._address(place, line) for place in PLACE.finditer(line)] for line in lines]
        files = self._files({one for some in addresses for one in some if one is not None})

        def explained(line: str, known: Iterator[int | None]) -> str:
            def one(place: re.Match[str]) -> str:
                where = files.get(next(known) or 0, "")
                return f"{place[0]} ({where})" if where else place[0]

            return PLACE.sub(one, line)

        return [explained(line, iter(known)) for line, known in zip(lines, addresses, strict=True)]

    @cached_property
    def _symbols(self) -> Mapping[str, list[int]]:
        """Addresses by name; static functions of one name are several."""
        found: dict[str, list[int]] = {}
        for line in self.map.read_text().splitlines():
            address, _, name = line.split(" ", 2)
            found.setdefault(name, []).append(int(address, 16))
        return found

    @cached_property
    def _addresses(self) -> list[int]:
        return sorted({address for some in self._symbols.values() for address in some})

    def _address(self, place: re.Match[str], line: str) -> int | None:
        """The address of a place; of several functions of its name the one of its size."""
        begins = self._symbols.get(place[1], [])
        offset, size = int(place[2], 16), int(place[3], 16)
        begin = next(
            (one for one in begins if self._size(one) == size), begins[0] if len(begins) == 1 else None
        )
        if begin is None:
            return None
        # The instruction behind a call may be another line's, or another function's.
        exact = offset == 0 or EXACT.search(line)
        return begin + offset - (0 if exact else 1)

    def _size(self, begin: int) -> int:
        index = bisect.bisect_right(self._addresses, begin)
        return self._addresses[index] - begin if index < len(self._addresses) else 0

    def _files(self, addresses: set[int]) -> dict[int, str]:
        """``file:line`` of each address that has one; inlined functions as ``inner <- outer``."""
        if not addresses:
            return {}
        anchor = self._symbols.get(ANCHOR[0], [0])[0]
        chains: dict[int, list[str]] = {}
        current: list[str] = []

        def take(line: str) -> None:
            nonlocal current
            if line.startswith("0x"):
                current = chains.setdefault(int(line, 16), [])
            else:
                # Relative to where the compiler ran, as "../tree/mm/slab.h".
                current.append(os.path.normpath(line.partition(" (discriminator")[0]))

        run(
            [need("addr2line", "binutils"), "-a", "-i", "-e", self.vmlinux],
            timeout_s=ADDR2LINE_TIMEOUT_S,
            stdin="".join(f"{address:#x}\n" for address in [anchor, *addresses]).encode(),
            on_line=take,
        )
        known = chains.get(anchor, [""])[-1].rpartition(":")[0]
        tree = known.removesuffix(ANCHOR[1]) if known.endswith(ANCHOR[1]) else ""
        return {
            address: " <- ".join(place.removeprefix(tree) for place in chain)
            for address, chain in chains.items()
            if not chain[0].startswith("?") and not chain[0].endswith((":?", ":0"))
        }
