# SPDX-License-Identifier: GPL-2.0-only
"""``/proc/ccs/``: the same files as in securityfs, with the same meaning, and the same refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from series import PROC, SECURITYFS, compiled, say, typed_into

from ccslab.rootfs.initramfs import Entry
from ccslab.vm.machine import Machine

pytestmark = pytest.mark.guest

# name → mode, as tomoyo-reference has them for 2.6, and .execute_handler as 1.8 has it
FILES = {
    ".execute_handler": "666",
    ".process_status": "600",
    "audit": "400",
    "domain_policy": "600",
    "exception_policy": "600",
    "manager": "600",
    "profile": "600",
    "query": "600",
    "self_domain": "666",
    "stat": "644",
    "version": "400",
}
BOTH = (PROC, SECURITYFS)
TWIN = {PROC: SECURITYFS, SECURITYFS: PROC}
MOUNTING = "<kernel> /bin/mountcalls"
STRANGER = "busybox.stranger"  # a program that no line of the manager file names

Say = Callable[[str], str]


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entry]:
    return {**compiled(tmp_path_factory.mktemp("series"))}


@pytest.fixture(scope="module")
def guest(patched_guest: Machine) -> Machine:
    say(patched_guest, "mkdir -p /m")
    return patched_guest


@pytest.fixture
def type_(guest: Machine) -> Iterator[Say]:
    """Types a command; the domain that mounts is enforcing, without a rule, and nothing is logged yet."""
    domain = f"printf '{MOUNTING}\\nuse_profile 3\\n' >{SECURITYFS}/domain_policy"
    say(guest, f"{domain}; cat {SECURITYFS}/audit >/dev/null")
    yield lambda command: say(guest, command)
    say(guest, f"umount /m 2>/dev/null; echo 'delete {MOUNTING}' >{SECURITYFS}/domain_policy")


def refused(guest: Machine, command: str) -> str:
    """What a command says that must end with a status other than 0."""
    result = guest.console.run(command)
    assert result.status != 0, f"{command} was not refused: {result.output}"
    return result.output


def test_names_and_modes_are_those_of_the_reference(type_: Say) -> None:
    for place in BOTH:
        listed = type_(f"cd {place} && stat -c '%n %a %F %u:%g' $(ls -A)")
        # "regular empty file" is how stat calls a file of size 0.
        found = {line.split()[0]: line.split(maxsplit=1)[1] for line in listed.splitlines()}
        assert found == {name: f"{mode} regular empty file 0:0" for name, mode in FILES.items()}


@pytest.mark.parametrize("name", sorted(set(FILES) - {"audit", "query", ".execute_handler"}))
def test_a_file_reads_as_its_twin(type_: Say, name: str) -> None:
    one, other = (type_(f"cat {place}/{name}") for place in BOTH)
    assert one == other
    if name != ".process_status":  # which says nothing before it is asked
        assert one


def test_what_is_read_is_what_was_loaded(type_: Say) -> None:
    assert type_(f"cat {PROC}/version") == "2.6.0"
    assert type_(f"cat {PROC}/manager").splitlines() == ["/bin/busybox", "/bin/ccsprobe"]
    assert "2-CONFIG::file::mount={ mode=permissive" in type_(f"cat {PROC}/profile")
    assert "initialize_domain /bin/mountcalls from any" in type_(f"cat {PROC}/exception_policy")
    assert f"{MOUNTING}\nuse_profile 3\n" in type_(f"cat {PROC}/domain_policy") + "\n"
    assert re.search(r"^Memory used by policy: +[1-9]", type_(f"cat {PROC}/stat"), re.MULTILINE)


@pytest.mark.parametrize("place", BOTH)
@pytest.mark.parametrize(
    ("name", "select", "line"),
    [
        ("domain_policy", f"select {MOUNTING}\\n", "file mount any /m/ tmpfs 0x0"),
        ("exception_policy", "", "path_group TWIN /twin"),
        ("manager", "", "/bin/twin"),
    ],
)
def test_a_line_written_through_one_is_in_the_other(
    type_: Say, place: str, name: str, select: str, line: str
) -> None:
    type_(f"printf '{select}{line}\\n' >{place}/{name}")
    assert line in type_(f"cat {TWIN[place]}/{name}").splitlines()
    type_(f"printf '{select}delete {line}\\n' >{place}/{name}")
    assert line not in type_(f"cat {TWIN[place]}/{name}").splitlines()


@pytest.mark.parametrize("place", BOTH)
def test_one_domain_is_selected(type_: Say, place: str) -> None:
    selected = type_(
        f"exec 5<>{place}/domain_policy; echo 'select domain={MOUNTING}' >&5; cat <&5; exec 5>&-"
    )
    assert re.findall(r"^<kernel>.*", selected, re.MULTILINE) == [MOUNTING]


@pytest.mark.parametrize("place", BOTH)
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("domain_policy", "<kernel> /bin/planted"),
        ("exception_policy", "path_group PLANTED /planted"),
        ("profile", "7-COMMENT=planted"),
        ("manager", "/bin/busybox.planted"),
        ("stat", "Memory used by audit log: 7777777"),
        ("query", "A1=1"),
    ],
)
def test_a_program_that_is_no_manager_is_refused(
    guest: Machine, type_: Say, place: str, name: str, line: str
) -> None:
    before = type_(f"cat {place}/{name}")
    said = refused(guest, f"{STRANGER} sh -c \"echo '{line}' >{place}/{name}\"")
    assert "Operation not permitted" in said
    assert type_(f"cat {place}/{name}") == before


@pytest.mark.parametrize("place", BOTH)
def test_a_manager_may_what_a_stranger_may_not(guest: Machine, type_: Say, place: str) -> None:
    type_(f"echo /bin/{STRANGER} >{place}/manager")
    type_(f"{STRANGER} sh -c \"echo '<kernel> /bin/planted' >{place}/domain_policy\"")
    assert "<kernel> /bin/planted" in type_(f"cat {TWIN[place]}/domain_policy").splitlines()
    type_(f"echo 'delete <kernel> /bin/planted' >{place}/domain_policy")
    type_(f"echo 'delete /bin/{STRANGER}' >{place}/manager")
    refused(guest, f"{STRANGER} sh -c \"echo '<kernel> /bin/planted' >{place}/domain_policy\"")


@pytest.mark.parametrize("place", BOTH)
def test_each_read_of_audit_takes_one_record(type_: Say, place: str) -> None:
    """Both places are ends of one queue: what is taken at one is gone at the other."""
    for source in ("first", "second"):
        type_(f"mountcalls old mount {source} /m tmpfs 0 2>/dev/null || true")
    take = "dd bs=65536 count=1 2>/dev/null if={}/audit | tr '\\0' '\\n'"
    first, second, third = (type_(take.format(where)) for where in (place, TWIN[place], place))
    assert first.splitlines()[1:] == [MOUNTING, "file mount first /m/ tmpfs 0x0"]
    assert second.splitlines()[1:] == [MOUNTING, "file mount second /m/ tmpfs 0x0"]
    assert re.match(r"#\d{4}/\d\d/\d\d \d\d:\d\d:\d\d# profile=3 mode=enforcing granted=no ", first)
    assert third == ""


@pytest.mark.parametrize("place", BOTH)
def test_poll_wakes_at_a_record(type_: Say, place: str) -> None:
    said = type_(f"ccsprobe wake {place}/audit mountcalls old mount some /m tmpfs 0 2>/dev/null")
    assert said.splitlines() == ["ERRNO EPERM", "before=0 after=1"]


@pytest.mark.parametrize("place", BOTH)
def test_poll_wakes_at_a_question(type_: Say, place: str) -> None:
    said = type_(f"ccsprobe answer {place}/query 2 mountcalls old mount some /m tmpfs 0 2>/dev/null")
    assert "asked: file mount some /m/ tmpfs 0x0" in said


@pytest.mark.parametrize("how", ["old", "new"])
@pytest.mark.parametrize(
    ("digits", "verdict", "retries"),
    [
        ("1", "OK", ["0"]),
        ("2", "ERRNO EPERM", ["0"]),
        ("31", "OK", ["0", "1"]),
        ("332", "ERRNO EPERM", list("012")),
    ],
)
def test_an_administrator_answers(
    type_: Say, how: str, digits: str, verdict: str, retries: list[str]
) -> None:
    """1 allows, 2 rejects, 3 has the kernel look at the policy again, which asks again."""
    said = type_(f"ccsprobe answer {PROC}/query {digits} mountcalls {how} mount some /m tmpfs 0 2>/dev/null")
    questions = re.findall(r"^Q(\d+)-(\d+)$", said, re.MULTILINE)
    assert [retry for _, retry in questions] == retries
    assert len({serial for serial, _ in questions}) == len(retries)
    assert said.splitlines().count("asked: file mount some /m/ tmpfs 0x0") == len(retries)
    assert said.splitlines()[-1] == verdict
    assert type_("grep -c ' /m ' /proc/mounts || true") == ("1" if verdict == "OK" else "0")


def test_with_nobody_at_query_a_violation_is_rejected_at_once(type_: Say) -> None:
    said = type_("timeout 5 mountcalls old mount some /m tmpfs 0 2>/dev/null || echo status=$?")
    assert said.splitlines() == ["ERRNO EPERM", "status=1"]


@pytest.mark.parametrize("place", BOTH)
def test_the_domain_of_a_process(type_: Say, place: str) -> None:
    ask = f"exec 5<>{place}/.process_status; echo {{}} >&5; cat <&5; exec 5>&-; echo"
    assert type_(ask.format("1")) == "1 0 <kernel> /sbin/init"
    assert type_(ask.format("global-pid 1")) == "1 0 <kernel> /sbin/init"
    assert type_(ask.format("999999")) == ""
    # Anybody may ask who may open it: it changes nothing.
    assert type_(f'{STRANGER} sh -c "{ask.format(1)}"') == "1 0 <kernel> /sbin/init"


@pytest.mark.parametrize("place", BOTH)
def test_a_manual_transition_needs_its_rule(guest: Machine, type_: Say, place: str) -> None:
    go = (
        f"sh -c \"echo '{MOUNTING}' >{place}/self_domain && read -r here <{place}/self_domain; echo \\$here\""
    )
    rule = f"task manual_domain_transition {MOUNTING}"
    assert type_(f"cat {place}/self_domain") == "<kernel> /sbin/init"
    assert "Operation not permitted" in type_(go)
    type_(f"printf 'select <kernel> /sbin/init\\n{rule}\\n' >{place}/domain_policy")
    assert type_(go) == MOUNTING
    type_(f"printf 'select <kernel> /sbin/init\\ndelete {rule}\\n' >{place}/domain_policy")
    assert "Operation not permitted" in type_(go)


def test_the_tree_without_the_series_has_no_proc_ccs(
    stock_kernel: Path, extra: dict[str, Entry], tmp_path: Path
) -> None:
    with typed_into(stock_kernel, tmp_path / "guest", extra, "sbin/tomoyo-init") as stock:
        assert "No such file or directory" in refused(stock, f"ls -d {PROC}")
        assert set(say(stock, f"ls -A {SECURITYFS}").split()) == set(FILES) - {".execute_handler"}
