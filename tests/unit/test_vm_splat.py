# SPDX-License-Identifier: GPL-2.0-only
"""Splats among the lines of a console. The files in data/splats are consoles of our guests, byte by byte,
but for the folder of the builder's cache.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccslab.vm.death import Watch
from ccslab.vm.feed import plain
from ccslab.vm.splat import LONGEST, Splat, Splats, format_of_splats, parse

DATA = Path(__file__).parent / "data" / "splats"


def console(name: str) -> list[str]:
    """The lines of a recorded console, as the watch gets them."""
    text = (DATA / f"{name}.console").read_bytes().decode(errors="replace")
    return [plain(line).strip("\r") for line in text.split("\n")]


def kernel(text: str, *, at_s: float = 1.0) -> list[str]:
    """A kernel's lines, stamped a tenth of a millisecond apart."""
    return [f"[{at_s + number / 1e4:12.6f}] {line}" for number, line in enumerate(text.splitlines())]


TRACE = """\
CPU: 1 UID: 0 PID: 77 Comm: cat Not tainted 6.12.117 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x4f/0x60
 planted+0x12/0x34
 do_syscall_64+0x37/0xb0
RIP: 0033:0x7f404aec4350
RAX: ffffffffffffffda RBX: 0000000000000002 RCX: 00007f404aec4350
 </TASK>"""
SLEEP = f"""\
BUG: sleeping function called from invalid context at security/tomoyo/mistakes.c:35
in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 77, name: cat
1 lock held by cat/77:
 #0: ffffffff81c09d00 (planted_lock){{+.+.}}-{{3:3}}, at: planted+0x4/0x34
{TRACE}"""
LOCKDEP = f"""\
======================================================
WARNING: possible circular locking dependency detected
6.12.117 Not tainted
------------------------------------------------------
cat/77 is trying to acquire lock:

stack backtrace:
{TRACE}"""
KASAN = f"""\
==================================================================
BUG: KASAN: slab-use-after-free in planted+0x12/0x34
Read of size 1 at addr ffff888003f3b0c8 by task cat/77

{TRACE}

Allocated by task 77:
 kasan_save_stack+0x1c/0x40

The buggy address belongs to the object at ffff888003f3b0c0
==================================================================
Disabling lock debugging due to kernel taint"""
WARNED = f"""\
------------[ cut here ]------------
list_del corruption, ffff8 is LIST_POISON1 (dead000000000100)
WARNING: CPU: 1 PID: 77 at lib/list_debug.c:56 __list_del_entry_valid_or_report+0x12/0x34
{TRACE}
irq event stamp: 5
---[ end trace 0000000000000000 ]---"""
WARNED_7 = f"""\
------------[ cut here ]------------
WARNING: security/tomoyo/common.c:12 at planted+0x12/0x34, CPU#1: cat/77
{TRACE}
---[ end trace 0000000000000000 ]---"""
BUG_AND_OOPS = f"""\
BUG: kernel NULL pointer dereference, address: 0000000000000000
#PF: supervisor read access in kernel mode
PGD 0 P4D 0
Oops: Oops: 0000 [#1] PREEMPT SMP
{TRACE}
---[ end trace 0000000000000000 ]---"""
UBSAN = f"""\
------------[ cut here ]------------
UBSAN: array-index-out-of-bounds in security/tomoyo/mistakes.c:85:15
index 4 is out of range for type 'int [4]'
{TRACE}
---[ end trace ]---"""
UBSAN_5_10 = f"""\
================================================================================
UBSAN: array-index-out-of-bounds in security/tomoyo/mistakes.c:86:15
{TRACE}
================================================================================"""
RCU = f"""\
=============================
WARNING: suspicious RCU usage
6.12.117 Not tainted
-----------------------------
security/tomoyo/mistakes.c:70 RCU-list traversed in non-reader section!!

stack backtrace:
{TRACE}"""
UNANNOUNCED = f"""\
cat: something nobody has heard of
{TRACE}"""
KNOWN = {
    SLEEP: (
        "sleep in atomic",
        "BUG: sleeping function called from invalid context at security/tomoyo/mistakes.c:35",
    ),
    LOCKDEP: ("lockdep", "WARNING: possible circular locking dependency detected"),
    KASAN: ("KASAN", "BUG: KASAN: slab-use-after-free in planted+0x12/0x34"),
    WARNED: ("list", "list_del corruption, ffff8 is LIST_POISON1 (dead000000000100)"),
    WARNED_7: ("WARNING", "WARNING: security/tomoyo/common.c:12 at planted+0x12/0x34, CPU#1: cat/77"),
    BUG_AND_OOPS: ("oops", "BUG: kernel NULL pointer dereference, address: 0000000000000000"),
    UBSAN: ("UBSAN", "UBSAN: array-index-out-of-bounds in security/tomoyo/mistakes.c:85:15"),
    UBSAN_5_10: ("UBSAN", "UBSAN: array-index-out-of-bounds in security/tomoyo/mistakes.c:86:15"),
    RCU: ("RCU", "WARNING: suspicious RCU usage"),
    UNANNOUNCED: ("trace", "cat: something nobody has heard of"),
}
ORDINARY = [
    "EXT4-fs (vdb): unmounting filesystem 7f0c6a52-4f0b-4c9e-9d6b-2008ccab0002.",
    "systemd[1]: Started apache2.service.",
    "traps: apache2[812] general protection fault ip:7f sp:7f error:0 in libc.so",
    "audit: type=1400 audit(1.2:3): WARNING: said a program",
    "",
]


def pairs(splats: list[Splat]) -> list[tuple[str, str]]:
    return [(splat.kind, splat.title) for splat in splats]


@pytest.mark.parametrize("text", KNOWN, ids=lambda text: KNOWN[text][0])
def test_a_splat_is_known_by_its_title_and_whole(text: str) -> None:
    (found,) = parse([*kernel(ORDINARY[0]), *kernel(text), *kernel(ORDINARY[0], at_s=1.1)])
    assert (found.kind, found.title) == KNOWN[text]
    assert " planted+0x12/0x34" in found.lines
    assert " </TASK>" in found.lines
    assert ORDINARY[0] not in found.lines
    if text == KASAN:
        assert "Allocated by task 77:" in found.lines


@given(
    st.lists(st.sampled_from(sorted(KNOWN)), max_size=4, unique=True),
    st.lists(st.sampled_from(ORDINARY), min_size=1, max_size=3),
    st.sampled_from(["", "root@server:~# echo hel", "lo\x1b]133;C;aid=1\x07"]),
)
def test_splats_are_found_in_any_order_among_other_lines(
    texts: list[str], between: list[str], typed: str
) -> None:
    lines: list[str] = []
    for number, text in enumerate(texts):
        lines += [*between, *kernel("\n".join(between), at_s=10.0 * number + 1)]
        first, *rest = kernel(text, at_s=10.0 * number + 4)
        lines += [typed + first, *rest]
    assert pairs(parse(lines)) == [KNOWN[text] for text in texts]


@example(["[0.000000] [ cut here ]", "[0.000000] "])
@given(st.lists(st.text(max_size=80) | st.sampled_from([line for text in KNOWN for line in kernel(text)])))
def test_whatever_comes_is_taken(lines: list[str]) -> None:
    for splat in parse(lines):
        assert splat.kind
        assert splat.title
        assert 0 < len(splat.lines) <= LONGEST


def test_a_real_boot_has_none() -> None:
    lines = console("boot")
    assert sum("] Linux version" in line for line in lines) == 1
    assert parse(lines) == []


def test_a_real_hung_task_is_one_splat_said_twice() -> None:
    (found,) = parse(console("hung-task"))
    assert (found.kind, found.times) == ("hung task", 2)
    assert found.title == "INFO: task touch:129 blocked for more than 1 seconds."
    assert found.at_s == pytest.approx(35.936957)
    assert " percpu_rwsem_wait+0xe7/0x110" in found.lines
    assert found.lines[-1] == " </TASK>"


def test_every_planted_mistake_of_a_real_debug_kernel() -> None:
    """6.12.117 with ten mistakes (tests/integration/test_debug_kernel.py)."""
    found = parse(console("mistakes"))
    assert [(splat.kind, splat.title.partition("ffff")[0][:60]) for splat in found] == [
        ("sleep in atomic", "BUG: sleeping function called from invalid context at includ"),
        ("lockdep", "WARNING: possible circular locking dependency detected"),
        ("KASAN", "BUG: KASAN: slab-out-of-bounds in mistake_bounds+0x7a/0x90"),
        ("KASAN", "BUG: KASAN: slab-use-after-free in mistake_freed+0x74/0x90"),
        ("RCU", "WARNING: suspicious RCU usage"),
        ("list", "list_del corruption, "),
        ("UBSAN", "UBSAN: array-index-out-of-bounds in /cache/work/kernel/mista"),
        ("WARNING", "WARNING: CPU: 1 PID: 49 at lib/debugobjects.c:514 debug_prin"),
        ("WARNING", "WARNING: CPU: 0 PID: 49 at security/tomoyo/mistakes.c:119 mi"),
    ]
    assert all(splat.times == 1 for splat in found)
    planted = ["sleep", "order", "bounds", "freed", "rcu", "del", "index", "timer", "warn"]
    for splat, mistake in zip(found, planted, strict=True):
        assert any(f"mistake_{mistake}" in line for line in splat.lines), splat.title
        assert any("mistakes_write+0x" in line for line in splat.lines), "whole, to the end of its trace"


def test_what_dmesg_shows_again_is_not_counted_again() -> None:
    lines = console("hung-task")
    (found,) = parse([*lines[:26], *lines[:26]])
    assert found.times == 1


def test_a_program_that_talks_like_a_kernel_is_not_believed() -> None:
    assert parse(SLEEP.splitlines()) == []


def test_two_mistakes_of_one_kind_are_two() -> None:
    other = SLEEP.replace("mistakes.c:35", "mistakes.c:36")
    found = parse([*kernel(SLEEP), *kernel(other, at_s=1.01), *kernel(SLEEP, at_s=1.02)])
    assert [splat.times for splat in found] == [2, 1]


def test_a_silence_ends_a_splat_and_so_does_a_clock_that_goes_back() -> None:
    endless = "\n".join(KASAN.splitlines()[:9])
    for at_s in (5.0, 0.5):
        (found,) = parse([*kernel(endless), *kernel(ORDINARY[0], at_s=at_s)])
        assert ORDINARY[0] not in found.lines


def test_a_flood_is_cut_off() -> None:
    endless = "BUG: KASAN: x in planted+0x1/0x2\n" + "\n".join(["Call Trace:"] * 2 * LONGEST)
    assert all(len(splat.lines) <= LONGEST for splat in parse(kernel(endless)))


def test_whoever_takes_waits_for_the_end_of_the_splat() -> None:
    splats = Splats()
    *lines, last = kernel(SLEEP)
    for line in lines:
        splats.line(line)
    ended = threading.Timer(0.3, lambda: [splats.line(line) for line in (last, *kernel("", at_s=1.1))])
    ended.start()
    (found,) = splats.take(timeout_s=5.0)
    assert found.lines[-1] == " </TASK>"
    assert splats.take() == []


def test_whoever_takes_does_not_wait_for_ever() -> None:
    splats = Splats()
    splats.line(kernel(SLEEP)[0])
    begun = time.monotonic()
    (found,) = splats.take(timeout_s=0.2)
    assert found.kind == "sleep in atomic"
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("text", [SLEEP, KASAN, WARNED, LOCKDEP])
def test_a_splat_is_no_death(text: str) -> None:
    watch = Watch()
    for line in kernel(text):
        watch.line(line)
    watch.check()
    assert len(watch.splats.take(timeout_s=0.1)) == 1


def test_an_oops_is_a_death_and_a_splat() -> None:
    watch = Watch()
    for line in kernel(BUG_AND_OOPS):
        watch.line(line)
    assert watch.reason
    assert [splat.kind for splat in watch.splats.take(timeout_s=0.1)] == ["oops"]


def test_the_first_kind_that_fits_is_the_most_special() -> None:
    kinds = format_of_splats().kinds
    assert [kind.name for kind in kinds[-2:]] == ["BUG", "WARNING"], "what is general comes last"
