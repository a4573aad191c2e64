# SPDX-License-Identifier: GPL-2.0-only
"""``file mount`` by the old and the new system calls: the same verdict, the same record, the same rule.

Each operation is done by ``mountcalls`` in each mode, in a guest whose mounts are put back before every try.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass

import pytest
from series import SECURITYFS, compiled, program, say

from ccslab.rootfs.initramfs import Entry
from ccslab.vm.machine import Machine
from tests.waiting import until

pytestmark = pytest.mark.guest

DOMAIN = "<kernel> /bin/mountcalls"
# try OLD|NEW RULE STATES OPERATION...: one operation in each of the states; prints what came of it.
# cat takes all records; each ends in a NUL.
TRY = f"""\
#!/bin/sh
cd {SECURITYFS}
how=$1 rule=$2 states=$3
shift 3
change() {{ printf 'select {DOMAIN}\\n%s\\n' "$1" >domain_policy; }}
# Where, flags, propagation, type, source and options. A filesystem that is read-only makes its mounts so.
mounts() {{
    awk '$5 ~ "^/(m|a|n)([/.]|$)" {{
        for (i = 7; $i != "-"; i++) {{ sub(":.*", "", $i); $6 = $6 " " $i }}
        if ($(i + 3) ~ "^ro") sub("^rw", "ro", $6)
        printf "%s %s %s %s %s;", $5, $6, $(i + 1), $(i + 2), $(i + 3)
    }}' /proc/self/mountinfo
}}
rules() {{ awk -v d='{DOMAIN}' '$0 == d {{ on = 1; next }} /^</ {{ on = 0 }} on && /^file /' domain_policy; }}
for state in $states; do
    change 'use_profile 0'
    for place in /m /m.file /a /n; do
        while umount -l $place 2>/dev/null; do :; done
    done
    mount -t tmpfs A /a && mkdir -p /a/sub && mount -t tmpfs SUB /a/sub
    mount -t tmpfs -o nosuid,nodev,noatime N /n
    cat audit >/dev/null
    profile=3
    case $state in
    disabled) profile=0 ;;
    learning) profile=1 ;;
    permissive) profile=2 ;;
    granted) change "$rule" ;;
    esac
    echo "state|$state"
    echo "before|$(mounts)"
    change "use_profile $profile"
    echo "verdict|$(mountcalls $how "$@" 2>/dev/null)"
    change 'use_profile 0'
    echo "after|$(mounts)"
    cat audit | tr '\\n\\0' '\\t\\n' | sed 's/^/record|/'
    rules | sed 's/^/rule|/'
    rules | while read -r line; do change "delete $line"; done
done
"""


@dataclass(frozen=True)
class Operation:
    """What is done, as mountcalls takes it, and the rule it needs (``<NULL>`` is no source at all).

    :param since: the first kernel whose new calls can do it; those of an older one say EINVAL.
    """

    words: str
    rule: str
    since: tuple[int, int] = (5, 2)


SETATTR = (5, 12)
OPERATIONS = {
    "tmpfs": Operation("mount some /m tmpfs 0", "file mount some /m/ tmpfs 0x0"),
    "no source": Operation("mount - /m tmpfs 0", "file mount <NULL> /m/ tmpfs 0x0"),
    "read-only": Operation("mount some /m tmpfs 0x1", "file mount some /m/ tmpfs 0x1"),
    "nosuid,nodev,noexec": Operation(
        "mount some /m tmpfs 0xe size=1m mode=700", "file mount some /m/ tmpfs 0xE"
    ),
    "noatime,nodiratime": Operation("mount some /m tmpfs 0xc00", "file mount some /m/ tmpfs 0xC00"),
    "strictatime": Operation("mount some /m tmpfs 0x1000000", "file mount some /m/ tmpfs 0x1000000"),
    "sync,dirsync": Operation("mount some /m tmpfs 0x90", "file mount some /m/ tmpfs 0x90"),
    "nosymfollow": Operation("mount some /m tmpfs 0x100", "file mount some /m/ tmpfs 0x100", (5, 14)),
    "proc": Operation("mount proc /m proc 0xe", "file mount proc /m/ proc 0xE"),
    "device": Operation("mount /dev/loop0 /m ext4 0", "file mount /dev/loop0 /m/ ext4 0x0"),
    "device by link, read-only": Operation(
        "mount /tmp/link /m ext4 0x1", "file mount /dev/loop0 /m/ ext4 0x1"
    ),
    "bind": Operation("bind /a /m", "file mount /a/ /m/ --bind 0x0"),
    "bind of a file": Operation("bind /bin/busybox /m.file", "file mount /bin/busybox /m.file --bind 0x0"),
    "rbind": Operation("rbind /a /m", "file mount /a/ /m/ --bind 0x4000"),
    "move": Operation("move /a /m", "file mount /a/ /m/ --move 0x0"),
    "remount read-only": Operation("remount /a 0x1", "file mount <NULL> /a/ --remount 0x1"),
    "remount with flags kept": Operation("remount /n 0x407", "file mount <NULL> /n/ --remount 0x407"),
    "remount resized": Operation("remount /a 0 size=2m", "file mount <NULL> /a/ --remount 0x0"),
    "change to read-only": Operation("change /a 0x1", "file mount <NULL> /a/ --remount 0x1001", SETATTR),
    "change with flags kept": Operation("change /n 0x407", "file mount <NULL> /n/ --remount 0x1407", SETATTR),
    "change to what all may do": Operation(
        "change /n 0x400", "file mount <NULL> /n/ --remount 0x1400", SETATTR
    ),
    "change to strictatime": Operation(
        "change /a 0x1000000", "file mount <NULL> /a/ --remount 0x1001000", SETATTR
    ),
    "shared": Operation("shared /a", "file mount <NULL> /a/ --make-shared 0x0", SETATTR),
    "all shared": Operation("shared /a all", "file mount <NULL> /a/ --make-shared 0x4000", SETATTR),
    "private": Operation("private /a", "file mount <NULL> /a/ --make-private 0x0", SETATTR),
    "slave": Operation("slave /a", "file mount <NULL> /a/ --make-slave 0x0", SETATTR),
    "unbindable": Operation("unbindable /a", "file mount <NULL> /a/ --make-unbindable 0x0", SETATTR),
}
STATES = ("disabled", "learning", "permissive", "enforcing", "granted")


@dataclass
class Outcome:
    """What one operation in one state left."""

    before: str = ""
    after: str = ""
    verdict: str = ""
    records: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    @property
    def audited(self) -> list[tuple[str, str, str]]:
        """(mode, granted, request) of each record."""
        heads = [record.split("\t") for record in self.records]
        found = [(re.search(r" mode=(\S+) granted=(\S+) ", head[0]), head) for head in heads]
        assert all(head[1] == DOMAIN for head in heads)
        return [(match[1], match[2], head[2]) for match, head in found if match]

    @property
    def lasting(self) -> list[str]:
        """The records without what differs between two runs of one program: time, PIDs, inode numbers."""
        return [re.sub(r"#.*?#|\b(?:global-pid|p?pid|ino)=\d+", "", record) for record in self.records]


def parse(text: str) -> dict[str, Outcome]:
    """State → outcome, from what ``try`` prints."""
    outcomes: dict[str, Outcome] = {}
    current = Outcome()
    for line in text.splitlines():
        key, _, value = line.partition("|")
        if key == "state":
            current = outcomes[value] = Outcome()
        elif key in ("record", "rule"):
            setattr(current, f"{key}s", (*getattr(current, f"{key}s"), value))
        elif key in ("before", "after", "verdict"):
            setattr(current, key, value)
    return outcomes


class Try:
    """A guest in which operations are tried."""

    def __init__(self, guest: Machine) -> None:
        self.guest = guest
        say(guest, "mkdir -p /m /a /n; touch /m.file")
        say(guest, "losetup /dev/loop0 /disk.img; ln -s /dev/loop0 /tmp/link")
        say(guest, f"echo '{DOMAIN}' >{SECURITYFS}/domain_policy")
        major, minor = say(guest, "uname -r").split(".")[:2]
        self.version = int(major), int(minor)

    def __call__(
        self, how: str, operation: Operation, states: tuple[str, ...] = STATES
    ) -> dict[str, Outcome]:
        """How, operation, states → outcomes."""
        words = f"try {how} {shlex.quote(operation.rule)} '{' '.join(states)}' {operation.words}"
        outcomes = parse(say(self.guest, words))
        assert tuple(outcomes) == states
        return outcomes


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entry]:
    """The programs, and a filesystem for a block device."""
    folder = tmp_path_factory.mktemp("series")
    image = folder / "disk.img"
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", image, "512k"], check=True, timeout=60
    )
    return {**compiled(folder), "bin/try": program(TRY), "disk.img": image.read_bytes()}


@pytest.fixture(scope="module")
def patched(patched_guest: Machine) -> Try:
    return Try(patched_guest)


@pytest.fixture(scope="module")
def stock(stock_guest: Machine) -> Try:
    return Try(stock_guest)


def expect(found: dict[str, Outcome], rule: str) -> None:
    """That each state did what its mode means, to this very rule, which is also the record's last line."""
    assert {state: outcome.verdict for state, outcome in found.items()} == {
        "disabled": "OK",
        "learning": "OK",
        "permissive": "OK",
        "enforcing": "ERRNO EPERM",
        "granted": "OK",
    }
    assert {state: outcome.audited for state, outcome in found.items()} == {
        "disabled": [],
        "learning": [("learning", "no", rule)],
        "permissive": [("permissive", "no", rule)],
        "enforcing": [("enforcing", "no", rule)],
        "granted": [("enforcing", "yes", rule)],
    }
    assert {state: outcome.rules for state, outcome in found.items()} == {
        "disabled": (),
        "learning": (rule,),
        "permissive": (),
        "enforcing": (),
        "granted": (rule,),
    }
    # A refusal leaves the mounts as they were, and nothing but one does.
    assert found["enforcing"].after == found["enforcing"].before


def unknown(found: dict[str, Outcome]) -> None:
    """That the kernel knows of no such thing, in any state."""
    for outcome in found.values():
        assert outcome.verdict in ("ERRNO EINVAL", "ERRNO ENOSYS")
        assert outcome.records == ()
        assert outcome.after == outcome.before


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_old_and_new_calls_need_the_same_rule(patched: Try, operation: Operation) -> None:
    old, new = patched("old", operation), patched("new", operation)
    expect(old, operation.rule)
    if patched.version < operation.since:
        unknown(new)
        return
    expect(new, operation.rule)
    for state in STATES:
        assert new[state].before == old[state].before
        assert new[state].after == old[state].after, "the operations are not the same one"
        assert new[state].lasting == old[state].lasting


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        ("tmpfs", "file mount some /m/ tmpfs 0x1"),
        ("tmpfs", "file mount some /a/ tmpfs 0x0"),
        ("tmpfs", "file mount some /m/ ramfs 0x0"),
        ("device", "file mount /dev/loop1 /m/ ext4 0x0"),
        ("bind", "file mount /a/ /m/ --bind 0x4000"),
        ("bind", "file mount /a/sub/ /m/ --bind 0x0"),
        ("rbind", "file mount /a/ /m/ --bind 0x0"),
        ("move", "file mount /a/ /m/ --bind 0x0"),
        ("remount read-only", "file mount <NULL> /a/ --remount 0x0"),
        ("remount read-only", "file mount <NULL> /n/ --remount 0x1"),
        ("change to read-only", "file mount <NULL> /a/ --remount 0x1"),
        ("shared", "file mount <NULL> /a/ --make-private 0x0"),
        ("all shared", "file mount <NULL> /a/ --make-shared 0x0"),
    ],
)
def test_a_rule_for_something_else_grants_nothing(patched: Try, operation: str, rule: str) -> None:
    wrong = Operation(OPERATIONS[operation].words, rule)
    # What the new calls cannot do on an older kernel they are not asked for.
    for how in ("old", "new") if patched.version >= OPERATIONS[operation].since else ("old",):
        outcome = patched(how, wrong, ("granted",))["granted"]
        assert outcome.rules == (rule,), "the kernel dropped the rule of this test"
        assert outcome.verdict == "ERRNO EPERM"
        assert outcome.audited == [("enforcing", "no", OPERATIONS[operation].rule)]


def test_what_is_noted_of_a_mount_goes_with_it(patched: Try) -> None:
    """By a pathname of 240 bytes, so that 10000 notes left behind would be 2.5 MB."""
    place = f"/{'n' * 239}"
    say(patched.guest, f"mkdir {place} && ccsprobe mounts {place} 500")  # the slabs have their first pages

    def unreclaimable_kib() -> int:
        said = say(patched.guest, "echo 3 >/proc/sys/vm/drop_caches; grep SUnreclaim: /proc/meminfo")
        return int(said.split()[1])

    before = unreclaimable_kib()
    assert patched.guest.console.run(f"ccsprobe mounts {place} 10000", timeout_s=120).status == 0
    # Mounts are freed in their own time, a while after their last user has gone.
    until(lambda: unreclaimable_kib() - before < 512, "the kernel has the memory back", within_s=30)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_without_the_series_the_new_calls_go_through(stock: Try, operation: Operation) -> None:
    """The hole, proved: denied by one door, and let in by the other."""
    old = stock("old", operation, ("enforcing",))["enforcing"]
    assert old.verdict == "ERRNO EPERM"
    assert old.audited == [("enforcing", "no", operation.rule)]
    new = stock("new", operation, ("disabled", "enforcing"))
    if stock.version < operation.since:
        unknown(new)
        return
    assert new["enforcing"].verdict == "OK"
    assert new["enforcing"].records == ()
    assert new["enforcing"].after == new["disabled"].after
