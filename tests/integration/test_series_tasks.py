# SPDX-License-Identifier: GPL-2.0-only
"""What policy makes of a process: a handler in place of its program, another domain, other ports than usual.

A program of ours executes, becomes another user, and binds, and tells what it found itself to be.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from series import PROC, SECURITYFS, say

from ccslab.rootfs.initramfs import Entry, File
from ccslab.vm.machine import Machine

pytestmark = pytest.mark.guest

HERE = Path(__file__).parent
DOMAIN = "<kernel> /bin/taskcalls"
NAMES = ("taskcalls", "show", "handler", "doer")
LOG = "grant_log=yes reject_log=yes"
# Profiles: what executes is enforced, is permissive; what opens is enforced.
EXECUTE, PERMISSIVE, OPEN = 4, 5, 6
PROFILES = {
    EXECUTE: f"CONFIG::file::execute={{ mode=enforcing {LOG} }}",
    PERMISSIVE: f"CONFIG::file::execute={{ mode=permissive {LOG} }}",
    OPEN: f"CONFIG::file::open={{ mode=enforcing {LOG} }}",
}
FIRST, LAST = 40000, 40039  # ports that the kernel chooses from, twice as many as the program takes
RESERVED = f"{FIRST}-{FIRST + 15}"
SHOWN = ["argument|/bin/show", "argument|one", "argument|two 3", "variable|A=1"]

Run = Callable[[str], list[str]]
"""Runs taskcalls; the lines it prints, and ``status=`` if that was not 0."""
Load = Callable[..., None]
"""Writes lines to a domain, to that of taskcalls if no other is named."""


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entry]:
    made = tmp_path_factory.mktemp("series") / "taskcalls"
    source = HERE / "taskcalls.c"
    subprocess.run(["gcc", "-static", "-Os", "-Wall", "-Werror", "-o", made, source], check=True, timeout=120)
    program = File(made.read_bytes(), 0o755)
    tree: dict[str, Entry] = {f"bin/{name}": program for name in NAMES}
    tree.update({f"jail/bin/{name}": program for name in NAMES})
    tree["bin/script"] = File(b"#!/bin/handler first\n", 0o755)
    tree["data"] = "some data\n"
    return tree


@pytest.fixture(scope="module")
def guest(patched_guest: Machine) -> Machine:
    starts = "".join(f"initialize_domain {root}/bin/taskcalls from any\\n" for root in ("", "/jail"))
    say(patched_guest, f"printf '{starts}' >{SECURITYFS}/exception_policy")
    for number, line in PROFILES.items():
        say(patched_guest, f"echo '{number}-{line}' >{SECURITYFS}/profile")
    for name in ("readers", "elsewhere", "/bin/show"):  # processes go where profiles are
        say(patched_guest, f"echo '<{name}> 0-COMMENT=\"other\"' >{SECURITYFS}/profile")
    say(patched_guest, "chmod 644 /data; ln -s /bin/handler /bin/linked; ip link set lo up")
    say(patched_guest, f"echo {FIRST} {LAST} >/proc/sys/net/ipv4/ip_local_port_range")
    return patched_guest


@pytest.fixture
def load(guest: Machine) -> Iterator[Load]:
    loaded = set()

    def write(*lines: str, domain: str = DOMAIN) -> None:
        loaded.add(domain)
        text = "\\n".join((domain, *lines)).replace("'", "'\\''")
        say(guest, f"printf '{text}\\n' >{SECURITYFS}/domain_policy")

    say(guest, f"cat {SECURITYFS}/audit >/dev/null")
    yield write
    for domain in loaded:
        say(guest, f"echo 'delete {domain}' >{SECURITYFS}/domain_policy")


@pytest.fixture
def run(guest: Machine) -> Run:
    return lambda words: say(guest, f"taskcalls {words} || echo status=$?").splitlines()


def rules(guest: Machine, domain: str = DOMAIN) -> list[str]:
    """The rules of a domain, as the kernel prints them."""
    said = say(guest, f"exec 5<>{PROC}/domain_policy; echo 'select domain={domain}' >&5; cat <&5; exec 5>&-")
    return [line for line in said.splitlines() if re.match(r"(file|task) ", line)]


def audited(guest: Machine) -> list[tuple[str, str]]:
    """(granted, request) of each record that is not of the handler's own doing."""
    records = say(guest, f"cat {SECURITYFS}/audit | tr '\\n\\0' '\\t\\n'").splitlines()
    found = [(re.search(r" granted=(\S+) ", record), record.split("\t")) for record in records]
    return [(match[1], lines[2]) for match, lines in found if match and lines[1] == DOMAIN]


def handled(said: list[str], handler: str = "/bin/handler", program: str = "/bin/show") -> None:
    """That a handler was told all of it: who asks, what for, with which arguments and variables."""
    start = said.index(f"argument|{handler}")
    assert said[start + 1 : start + 3] == [f"argument|{DOMAIN}", "argument|/bin/taskcalls"]
    ids = "uid=0 gid=0 euid=0 egid=0 suid=0 sgid=0 fsuid=0 fsgid=0"
    who = re.fullmatch(rf"argument\|pid=(\d+) {ids}", said[start + 3])
    assert who
    assert said[start + 4 : start + 7] == [f"argument|{program}", "argument|3", "argument|1"]
    assert said[start + 7 : start + 11] == [*SHOWN[:3], "argument|A=1"]
    # No variable: what was one is an argument.
    assert said[start + 11 :] == [
        f"domain|{DOMAIN} {handler}",
        f"info|{who[1]} manager=no execute_handler=yes ",
    ]


def test_without_a_rule_a_program_is_executed(run: Run, load: Load) -> None:
    load("use_profile 0")
    assert run("execute /bin/show one 'two 3'") == [*SHOWN, f"domain|{DOMAIN} /bin/show"]


@pytest.mark.parametrize("profile", [0, EXECUTE])
def test_a_handler_gets_whatever_is_executed(guest: Machine, run: Run, load: Load, profile: int) -> None:
    rule = "task auto_execute_handler /bin/handler"
    load(f"use_profile {profile}", rule)
    handled(run("execute /bin/show one 'two 3'"))
    assert rules(guest) == [rule]
    # It needs no other rule; the record says which one it was.
    assert audited(guest) == ([("yes", rule)] if profile else [])


def test_a_handler_may_be_a_script(run: Run, load: Load) -> None:
    load("use_profile 0", "task auto_execute_handler /bin/script")
    said = run("execute /bin/show one 'two 3'")
    assert said[:2] == ["argument|/bin/handler", "argument|first"]
    handled(said, "/bin/script")


@pytest.mark.parametrize(
    ("profile", "permitted", "given"),
    [(EXECUTE, False, True), (EXECUTE, True, False), (PERMISSIVE, False, False), (0, False, False)],
)
def test_a_handler_of_denials_gets_what_is_denied(
    guest: Machine, run: Run, load: Load, profile: int, permitted: bool, given: bool
) -> None:
    grant = ["file execute /bin/show"] if permitted else []
    load(f"use_profile {profile}", "task denied_execute_handler /bin/handler", *grant)
    said = run("execute /bin/show one 'two 3'")
    if given:
        handled(said)
        assert [granted for granted, _ in audited(guest)] == ["no", "yes"]
    else:
        assert said == [*SHOWN, f"domain|{DOMAIN} /bin/show"]


def test_what_a_handler_executes_is_given_to_none(run: Run, load: Load) -> None:
    """The inner taskcalls is no handler any more, and has its own handler."""
    load("use_profile 0", "task auto_execute_handler /bin/doer")
    load("task auto_execute_handler /bin/doer", domain=f"{DOMAIN} /bin/doer")
    once = [*SHOWN, f"domain|{DOMAIN} /bin/doer /bin/show"]
    assert run("execute /bin/show one 'two 3'") == once
    assert run("execute /bin/taskcalls execute /bin/show one 'two 3'") == once
    load("delete task auto_execute_handler /bin/doer", "task auto_execute_handler /bin/handler")
    assert run("execute /bin/show one 'two 3'")[0] == "argument|/bin/handler"


@pytest.mark.parametrize(
    ("condition", "granted"),
    [
        ("task.type=execute_handler", True),
        ("task.type!=execute_handler", False),
        ("task.uid=0 task.type=execute_handler", True),
    ],
)
def test_a_rule_can_be_for_handlers(
    guest: Machine, run: Run, load: Load, condition: str, granted: bool
) -> None:
    handler = f"{DOMAIN} /bin/doer"
    rule = f"file execute /bin/show {condition}"
    load("use_profile 0", "task auto_execute_handler /bin/doer")
    load(f"use_profile {EXECUTE}", rule, domain=handler)
    said = run("execute /bin/show one 'two 3'")
    assert said == ([*SHOWN, f"domain|{handler} /bin/show"] if granted else ["ERRNO EPERM", "status=1"])
    assert rules(guest, handler) == [rule]
    assert " type=execute_handler }" in say(guest, f"cat {SECURITYFS}/audit | tr '\\0' ' '")
    # Who is none is not taken for one.
    load("delete task auto_execute_handler /bin/doer", f"use_profile {EXECUTE}", rule)
    assert (run("execute /bin/show")[0] == "argument|/bin/show") is not granted
    assert "execute_handler }" not in say(guest, f"cat {SECURITYFS}/audit | tr '\\0' ' '")


@pytest.mark.parametrize("handler", ["/bin/missing", "/bin/linked", "/data"])
def test_what_cannot_handle_lets_nothing_be_executed(run: Run, load: Load, handler: str) -> None:
    """Not there; not what policy names, but a link to it; no program."""
    load("use_profile 0", f"task auto_execute_handler {handler}")
    error = "ERRNO 13" if handler == "/data" else "ERRNO ENOENT"
    assert run("execute /bin/show") == [error, "status=1"]


def test_a_handler_is_looked_for_below_the_root_of_the_process(guest: Machine, load: Load) -> None:
    jailed = "<kernel> /jail/bin/taskcalls"
    command = "chroot /jail /bin/taskcalls execute /bin/show || echo status=$?"
    load("use_profile 0", "task auto_execute_handler /jail/bin/handler", domain=jailed)
    said = say(guest, command).splitlines()
    assert said[:3] == ["argument|/jail/bin/handler", f"argument|{jailed}", "argument|/jail/bin/taskcalls"]
    load(
        "delete task auto_execute_handler /jail/bin/handler",
        "task auto_execute_handler /bin/handler",
        domain=jailed,
    )
    assert say(guest, command).splitlines() == ["ERRNO ENOENT", "status=1"]


@pytest.mark.parametrize(
    "rule",
    [
        "task auto_execute_handler /bin/\\*",
        "task auto_execute_handler bin/handler",
        "task denied_execute_handler @GROUP",
        "task denied_execute_handler",
        "task other_execute_handler /bin/handler",
        "file read /data task.type=manager",
        "file read /data task.type=0-1=",
    ],
)
def test_a_malformed_rule_is_dropped(guest: Machine, load: Load, rule: str) -> None:
    load("use_profile 0", rule.replace("\\", "\\\\"))
    assert rules(guest) == []


@pytest.mark.parametrize("place", [PROC, SECURITYFS])
def test_only_a_handler_may_ask_as_one(guest: Machine, place: str) -> None:
    result = guest.console.run(f"cat {place}/.execute_handler")
    assert result.status != 0
    assert "Operation not permitted" in result.output


def test_what_a_process_is_can_be_asked(guest: Machine) -> None:
    ask = f"exec 5<>{PROC}/.process_status; echo info {{}} >&5; cat <&5; exec 5>&-; echo"
    assert say(guest, ask.format(1)) == "1 manager=no execute_handler=no "
    say(guest, f"echo >{PROC}/domain_policy")  # by the shell itself, which so was found to be a manager
    shell = say(guest, "echo $$")
    assert say(guest, ask.format(shell)) == f"{shell} manager=yes execute_handler=no "
    assert say(guest, ask.format(999999)) == ""


def test_a_process_that_becomes_another_user_leaves_its_domain(guest: Machine, run: Run, load: Load) -> None:
    user = f"{DOMAIN} /user"
    rule = f"task auto_domain_transition {user} task.uid=1000"
    load("use_profile 0", rule)
    load("use_profile 0", domain=user)
    assert run("as 1000 /data") == [f"domain|{user}"]
    assert run("as 0 /data") == [f"domain|{DOMAIN}"]
    assert rules(guest) == [rule]
    # What it may is what that domain may, from its first request on.
    load(f"use_profile {OPEN}", "file read /data", "file read proc:/ccs/self_domain")
    load(f"use_profile {OPEN}", domain=user)
    assert run("as 0 /data") == [f"domain|{DOMAIN}"]
    assert run("as 1000 /data") == ["ERRNO EPERM", "status=1"]
    load("file read /data", "file read proc:/ccs/self_domain", domain=user)
    load("delete file read /data")
    assert run("as 1000 /data") == [f"domain|{user}"]
    assert run("as 0 /data") == ["ERRNO EPERM", "status=1"]
    load(f"delete {rule}", "file read /data")
    assert run("as 1000 /data") == [f"domain|{DOMAIN}"]


def test_transitions_may_follow_each_other(run: Run, load: Load) -> None:
    load("use_profile 0", f"task auto_domain_transition {DOMAIN} /one task.uid=1000")
    load("use_profile 0", f"task auto_domain_transition {DOMAIN} /two", domain=f"{DOMAIN} /one")
    load("use_profile 0", domain=f"{DOMAIN} /two")
    assert run("as 1000 /data") == [f"domain|{DOMAIN} /two"]


@pytest.mark.parametrize("to", [f"{DOMAIN} /one", "<nowhere>", "<nowhere> /bin/taskcalls"])
def test_a_process_that_cannot_leave_is_killed(guest: Machine, run: Run, load: Load, to: str) -> None:
    """Two domains that lead to each other; a namespace that is not there."""
    load("use_profile 0", f"task auto_domain_transition {to} task.uid=1000")
    if to.startswith(DOMAIN):
        load("use_profile 0", f"task auto_domain_transition {DOMAIN}", domain=to)
    assert run("as 1000 /data")[-1] == "status=137"
    assert run("as 0 /data") == [f"domain|{DOMAIN}"]
    error = (
        "leads from domain to domain for ever" if to.startswith(DOMAIN) else f"Unable to transit to '{to}'"
    )
    # The console takes lines of the kernel's for no command's output.
    assert error in say(guest, "dmesg | sed -n 's/.*ERROR: //p' | tail -n 1")


@pytest.mark.parametrize(("name", "reader"), [("/reader", f"{DOMAIN} /reader"), ("<readers>", "<readers>")])
def test_a_request_that_is_granted_may_lead_to_another_domain(
    guest: Machine, run: Run, load: Load, name: str, reader: str
) -> None:
    rule = f'file read /data auto_domain_transition="{name}"'
    load("use_profile 0", domain=reader)
    load(f"use_profile {OPEN}", rule)
    assert run("as 0 /data") == [f"domain|{reader}"]
    assert rules(guest) == [rule]
    load(f"delete {rule}", "file read /data", "file read proc:/ccs/self_domain")
    assert run("as 0 /data") == [f"domain|{DOMAIN}"]


@pytest.mark.parametrize(
    ("preference", "domain"),
    [
        ("keep", DOMAIN),
        ("initialize", "<kernel> /bin/show"),
        ("reset", "</bin/show>"),
        ("child", f"{DOMAIN} /bin/show"),
        ("/other", f"{DOMAIN} /other"),
        ("<elsewhere>", "<elsewhere>"),
    ],
)
def test_for_an_execution_it_is_a_transition_preference(
    guest: Machine, run: Run, load: Load, preference: str, domain: str
) -> None:
    rule = f'file execute /bin/show auto_domain_transition="{preference}"'
    load("use_profile 0", domain=domain)  # those of another namespace are there before
    load(f"use_profile {EXECUTE}", rule)
    said = run("execute /bin/show one 'two 3'")
    assert rules(guest) == [rule]
    assert said == [*SHOWN, f"domain|{domain}"]


@pytest.mark.parametrize(
    "rule",
    [
        'file read /data auto_domain_transition="keep"',
        'file read /data auto_domain_transition="reader"',
        "file read /data auto_domain_transition=/reader",
        'file read /data auto_domain_transition="<kernel> /reader"',
        'file read /data auto_domain_transition!="/reader"',
        'file read /data auto_domain_transition="/one" auto_domain_transition="/two"',
        'file read/execute /data auto_domain_transition="/reader"',
        'file execute /bin/show keep auto_domain_transition="/other"',
        'task manual_domain_transition <kernel> /one auto_domain_transition="/other"',
        "task auto_domain_transition /reader",
    ],
)
def test_a_malformed_transition_is_dropped(guest: Machine, load: Load, rule: str) -> None:
    load("use_profile 0", rule)
    assert rules(guest) == []


@pytest.fixture
def reserve(guest: Machine) -> Iterator[Callable[[str], None]]:
    """Writes a line of exception policy, and takes it back at the end."""
    written = []

    def write(line: str) -> None:
        written.append(line)
        say(guest, f"echo '{line}' >{SECURITYFS}/exception_policy")
        assert line in say(guest, f"cat {SECURITYFS}/exception_policy").splitlines()

    yield write
    for line in written:
        say(guest, f"echo 'delete {line}' >{SECURITYFS}/exception_policy")


def chosen(said: list[str]) -> list[int]:
    """The ports that the kernel chose, all of them from its range."""
    found = [int(line.removeprefix("port|")) for line in said]
    assert len(set(found)) == 20
    assert all(FIRST <= port <= LAST for port in found)
    return found


def reserved(ports: list[int]) -> bool:
    return any(port <= FIRST + 15 for port in ports)


@pytest.mark.parametrize("how", ["bind", "connect", "datagram"])
def test_the_kernel_does_not_choose_what_policy_keeps(
    guest: Machine, run: Run, reserve: Callable[[str], None], how: str
) -> None:
    assert reserved(chosen(run(f"ports {how}")))
    reserve(f"<other> deny_autobind {RESERVED}")
    assert reserved(chosen(run(f"ports {how}"))), "a rule of another namespace is for it alone"
    reserve(f"<kernel> deny_autobind {RESERVED}")
    assert not reserved(chosen(run(f"ports {how}")))
    assert run(f"bind {FIRST}") == ["OK"]  # who asks for one gets it
    say(guest, f"echo 'delete <kernel> deny_autobind {RESERVED}' >{SECURITYFS}/exception_policy")
    assert reserved(chosen(run(f"ports {how}")))


def test_with_all_ports_kept_there_is_none_to_choose(run: Run, reserve: Callable[[str], None]) -> None:
    reserve(f"<kernel> deny_autobind {FIRST}-{LAST}")
    assert run("ports bind") == ["ERRNO EADDRINUSE", "status=1"]
    assert run(f"bind {LAST}") == ["OK"]


@pytest.mark.parametrize("ports", ["", "70000", "9-8", "@PORTS", "80 443", "http"])
def test_malformed_ports_are_dropped(guest: Machine, ports: str) -> None:
    say(guest, f"echo 'deny_autobind {ports}' >{SECURITYFS}/exception_policy")
    assert "deny_autobind" not in say(guest, f"cat {SECURITYFS}/exception_policy")
