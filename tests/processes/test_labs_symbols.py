# SPDX-License-Identifier: GPL-2.0-only
"""Places of a trace by file and line, with a small "kernel" that the test compiles."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ccslab.errors import InfrastructureError
from ccslab.labs.symbols import Symbols

MAIN = """\
int planted(int), other(int);
__attribute__((noinline)) static int twin(int x)
{
    return planted(x) * 3;
}
void start_kernel(void)
{
    volatile int x = 0;
    x = twin(x);
    x = other(x);
    for (;;);
}
"""
PLANTED = """\
#include "../include/inlined.h"
volatile int sink;
__attribute__((noinline)) static int twin(int x)
{
    sink = x + 1;
    sink = x + 2;
    sink = x + 3;
    return sink;
}
__attribute__((noinline)) int planted(int x)
{
    int y = inlined(x);
    return twin(y) + 1;
}
int other(int x)
{
    return planted(x) + twin(x);
}
"""
INLINED = """\
extern volatile int sink;
static inline __attribute__((always_inline)) int inlined(int x)
{
    sink = x;
    return sink + 1;
}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with vmlinux and System.map, as a kernel's artifact has them."""
    folder = tmp_path_factory.mktemp("kernel")
    for name, text in (
        ("init/main.c", MAIN),
        ("security/planted.c", PLANTED),
        ("include/inlined.h", INLINED),
    ):
        path = folder / "tree" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    flags = [
        "-g",
        "-O1",
        "-ffreestanding",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-fno-pie",
        "-Wl,-Ttext=0x1000000",
    ]
    sources = [folder / "tree/init/main.c", folder / "tree/security/planted.c"]
    link = ["gcc", *flags, "-Wl,-e,start_kernel", "-o", folder / "vmlinux", *sources]
    subprocess.run(link, check=True, timeout=60)
    mapped = subprocess.run(["nm", "-n", folder / "vmlinux"], check=True, capture_output=True, text=True)
    (folder / "System.map").write_text(mapped.stdout)
    return folder


def places(kernel: Path, name: str) -> list[tuple[int, int]]:
    """Begin and size of each function of this name."""
    said = subprocess.run(["nm", "-n", kernel / "vmlinux"], check=True, capture_output=True, text=True)
    symbols = [(int(line.split()[0], 16), line.split()[2]) for line in said.stdout.splitlines()]
    addresses = sorted({address for address, _ in symbols})
    return [
        (address, next(one for one in addresses if one > address) - address)
        for address, known in symbols
        if known == name
    ]


def call_in(kernel: Path, caller: str, callee: str) -> tuple[int, int]:
    """Offset behind the call of one function in another, and the caller's size."""
    argv = ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={caller}", kernel / "vmlinux"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    lines = [line for line in said.splitlines() if re.match(r"\s*[0-9a-f]+:", line)]
    index = next(number for number, line in enumerate(lines) if f"<{callee}>" in line)
    begin, size = places(kernel, caller)[0]
    return int(lines[index + 1].split(":")[0], 16) - begin, size


def test_a_return_address_is_the_line_of_the_call_before_it(kernel: Path) -> None:
    offset, size = call_in(kernel, "planted", "twin")
    (line,) = Symbols(kernel).explain([f" planted+{offset:#x}/{size:#x}"])
    assert line == f" planted+{offset:#x}/{size:#x} (security/planted.c:13)"


def test_an_instruction_pointer_is_taken_as_it_is(kernel: Path) -> None:
    offset, size = call_in(kernel, "planted", "twin")
    place = f"planted+{offset:#x}/{size:#x}"
    exact, warned, called = Symbols(kernel).explain(
        [f"RIP: 0010:{place}", f"WARNING: CPU: 0 PID: 1 at {place}", f" ? {place}"]
    )
    assert "(security/planted.c:13)" in called
    # Behind the call the compiler placed the addition of the same line, or the epilogue of line 14.
    assert re.search(r"\(security/planted.c:1[34]\)", exact)
    assert exact.rpartition("(")[2] == warned.rpartition("(")[2]


def test_inlined_functions_are_shown_from_the_innermost(kernel: Path) -> None:
    ((_, size),) = places(kernel, "planted")
    lines = Symbols(kernel).explain([f" planted+{offset:#x}/{size:#x}" for offset in range(1, size)])
    assert any("(include/inlined.h:4 <- security/planted.c:12)" in line for line in lines), lines


def test_functions_of_one_name_are_told_by_their_size(kernel: Path) -> None:
    sizes = [size for _, size in places(kernel, "twin")]
    assert len(set(sizes)) == 2
    lines = Symbols(kernel).explain([f" twin+0x4/{size:#x}" for size in sizes])
    files = {re.search(r"\((\S+):\d+\)", line)[1] for line in lines}  # type: ignore[index]
    assert files == {"init/main.c", "security/planted.c"}


def test_two_places_of_a_line_get_their_own(kernel: Path) -> None:
    ((_, one),) = places(kernel, "planted")
    ((_, other),) = places(kernel, "other")
    (line,) = Symbols(kernel).explain([f"planted+0x0/{one:#x} called by other+0x0/{other:#x}"])
    assert re.search(r"planted\S+ \([^)]*planted.c:12\) called by other\S+ \(security/planted.c:16\)", line)


@pytest.mark.parametrize(
    "line",
    [
        " vanished+0x4/0x10",
        " twin+0x4/0xfff",
        "no place at all, but 0x12/0x34",
        "RIP: 0033:0x7f0000001234",
    ],
)
def test_what_is_unknown_stays_as_it_is(kernel: Path, line: str) -> None:
    assert Symbols(kernel).explain([line]) == [line]


def test_a_kernel_without_debug_information_has_no_lines(kernel: Path, tmp_path: Path) -> None:
    subprocess.run(["strip", "-g", "-o", tmp_path / "vmlinux", kernel / "vmlinux"], check=True)
    (tmp_path / "System.map").write_text((kernel / "System.map").read_text())
    ((_, size),) = places(kernel, "planted")
    assert Symbols(tmp_path).explain([f" planted+0x4/{size:#x}"]) == [f" planted+0x4/{size:#x}"]


def test_a_kernel_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "System.map").write_text("0000000001000000 T start_kernel\n0000000001000010 T end\n")
    (tmp_path / "vmlinux").write_text("not an ELF file")
    with pytest.raises(InfrastructureError, match="addr2line"):
        Symbols(tmp_path).explain([" start_kernel+0x4/0x10"])
