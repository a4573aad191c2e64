# SPDX-License-Identifier: GPL-2.0-only
"""What the shared phases assert is false when the world is: each check goes red by what it guards against."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import fake_guest
import pytest
from phase_world import APACHE, CGI, LAB, PAGES, World

from ccslab.errors import UserError
from ccslab.labs import definition, guest
from ccslab.labs.splats import BOOT
from ccslab.policy.audit import FILE

BEFORE_ENFORCING = ("disabled", "learning", "tuned", "permissive")


def test_the_fake_has_the_guest_s_methods() -> None:
    for name, method in vars(fake_guest.Guest).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            original = inspect.signature(getattr(guest.Guest, name))
            mine = inspect.signature(method)
            assert [*mine.parameters.values()] == [*original.parameters.values()] or name == "typed", name
            assert [*mine.parameters] == [*original.parameters], name


def test_a_whole_run_passes(world: World) -> None:
    with world.run:
        world.run.go()
    assert world.failed == []
    assert world.results.verdict == "passed", list(world.results.failures())
    assert [phase.name for phase in world.results.phases] == [BOOT, *world.lab.phases]
    counts = {phase.name: phase.counts for phase in world.results.phases}
    assert counts["disabled"] == {"request": PAGES + 1}
    assert counts["permissive"] == {"request": PAGES + 2, "violation": 2}
    assert counts["repair"] == {"request": 2, "violation": 1}
    assert counts["attacked"] == {"request": 3, "violation": 2}
    row = world.results.grids[0].row("shadow")
    assert [cell.got for cell in row.cells.values()] == ["succeeded", "logged", "denied"]
    assert [*world.results.measured("policy memory")] == ["learned", "tuned", "enforcing"]
    kept = world.run.folder / "policy"
    assert {path.name for path in kept.iterdir()} == {
        "learned", "tuned", "permissive-added", "enforcing", "repair-added",
    }  # fmt: skip
    assert f"file execute {CGI}" in (kept / "permissive-added/domain_policy.conf").read_text()
    assert (world.run.folder / FILE).is_file()
    assert not world.guest.machine.alive(), "it is shut down"
    assert world.keeper.kept == []


# What each check guards against


def test_a_page_that_answers_otherwise_than_its_file_says(world: World) -> None:
    world.site["/3.html"].status = 500
    world.do("disabled")
    assert world.failed == [("disabled", "page 3 answers")]
    assert world.detail("page 3 answers") == "500, not 200"


@pytest.mark.parametrize("phase", ["learning", "permissive", "enforcing"])
def test_a_page_that_changes(world: World, phase: str) -> None:
    before = world.lab.phases[: world.lab.phases.index(phase)]
    world.do(*before)
    world.site["/3.html"].body = b"another"
    world.do(phase)
    assert world.failed == [(phase, "page 3 is byte-identical")]
    assert "was 200 " in world.detail("page 3 is byte-identical")


def test_the_forgotten_page_that_changes(world: World) -> None:
    world.do("disabled", "learning", "tuned")
    world.site["/cgi-bin/multi.cgi"].body = b"another"
    world.do("permissive")
    assert world.failed == [("permissive", "forgotten is byte-identical")] * 2


def test_rules_that_generalise_nothing(world: World) -> None:
    world.lab.rules.write_text("")
    world.do("disabled", "learning", "tuned")
    assert world.failed == [("tuned", "tuning saves policy memory")]
    assert world.detail("tuning saves policy memory") == "384 bytes before, 384 after"


@pytest.mark.parametrize(
    ("drops", "name"),
    [("file read @WEB_CONTENTS", "domain_policy"), ("path_group WEB_CONTENTS", "exception_policy")],
)
def test_a_line_that_the_kernel_drops(world: World, drops: str, name: str) -> None:
    world.do("disabled", "learning")
    world.guest.drops = drops
    world.do("tuned")
    assert world.failed == [("tuned", f"the kernel took the tuned {name}")]
    assert drops in world.detail(f"the kernel took the tuned {name}")


def test_a_line_that_is_dropped_when_it_is_added(world: World) -> None:
    world.do("disabled", "learning", "tuned")
    world.guest.drops = "file read /etc/hosts"
    world.do("permissive")
    assert ("permissive", "the kernel took the permissive-added domain_policy") in world.failed
    assert ("permissive", "the forgotten CGI, added, violates nothing") in world.failed
    assert len(world.failed) == 2


def test_a_workload_that_asks_for_more_than_was_learned(world: World) -> None:
    world.do("disabled", "learning", "tuned")
    world.site["/3.html"].accesses.append((APACHE, "file read /etc/mime.types"))
    world.do("permissive")
    name = "the learned workload violates nothing"
    assert ("permissive", name) in world.failed
    assert world.detail(name) == f"1 violations: {APACHE}: file read /etc/mime.types"


def test_a_forgotten_page_that_executes_nothing(world: World) -> None:
    world.site["/cgi-bin/multi.cgi"].accesses = [(APACHE, "file read /etc/hosts")]
    world.do(*BEFORE_ENFORCING)
    assert world.failed == [
        ("permissive", "the program nobody learned is named: "),
        ("permissive", "exactly the forgotten CGI's accesses are logged"),
    ]


def test_accesses_of_another_beside_the_forgotten_cgi_s(world: World) -> None:
    world.site["/cgi-bin/multi.cgi"].accesses.append((APACHE, "file read /etc/group"))
    world.do(*BEFORE_ENFORCING)
    name = "exactly the forgotten CGI's accesses are logged"
    assert world.failed == [("permissive", name)]
    assert world.detail(name) == f"{APACHE}: file read /etc/group"


def test_a_forgotten_cgi_that_asks_for_something_new_each_time(world: World) -> None:
    page = world.site["/cgi-bin/multi.cgi"]
    world.do("disabled", "learning", "tuned")
    load = world.guest.load

    def then(*given: Any, **more: Any) -> None:
        load(*given, **more)
        page.accesses.append((f"{APACHE} {CGI}", "file read /etc/networks"))

    world.guest.load = then  # type: ignore[method-assign]
    world.do("permissive")
    assert world.failed == [("permissive", "the forgotten CGI, added, violates nothing")]


def test_something_legitimate_that_is_denied(world: World) -> None:
    world.do(*BEFORE_ENFORCING)
    world.site["/3.html"].accesses.append((APACHE, "file read /etc/mime.types"))
    world.do("enforcing")
    assert world.failed == [
        ("enforcing", "page 3 is byte-identical"),
        ("enforcing", "nothing legitimate is denied"),
    ]
    assert "/etc/mime.types" in world.detail("nothing legitimate is denied")


@pytest.mark.parametrize("phase", ["enforcing", "repair"])
def test_a_service_that_is_another_process(world: World, phase: str) -> None:
    world.do(*world.lab.phases[: world.lab.phases.index(phase)])
    world.guest.state.pids["cron"] = "901"
    world.do(phase)
    assert world.failed == [(phase, "the services' PIDs are unchanged")]
    assert "'cron': '101'} became " in world.detail("the services' PIDs are unchanged")


UNTIL_LOGWATCH = (*BEFORE_ENFORCING, "enforcing")


def test_a_cron_that_sends_no_mail(world: World) -> None:
    world.do(*UNTIL_LOGWATCH)
    world.guest.cron = False
    world.do("logwatch")
    name = "the denial is in the administrator's mailbox"
    assert world.failed == [("logwatch", name)]
    assert world.detail(name) == "no mail names file read /etc/shadow"


def test_a_denial_that_is_none(world: World) -> None:
    world.do(*UNTIL_LOGWATCH)
    world.guest.set_profile(guest.DISABLED, APACHE)
    world.do("logwatch")
    assert world.failed == [("logwatch", "the denial is in the administrator's mailbox")]


@pytest.mark.parametrize(
    ("text", "file", "lacking"),
    [
        (LAB.partition("[logwatch]")[0], "lab.toml", "phase logwatch needs a log watch"),
        ("", "attacks.toml", "phase logwatch needs attacks"),
    ],
)
def test_a_log_watch_that_has_nothing_to_watch(world: World, text: str, file: str, lacking: str) -> None:
    (world.lab.folder / file).write_text(text)
    with pytest.raises(UserError, match=f"{lacking}, and lab small has none - write "):
        definition.load(world.lab.folder)


def test_an_access_that_is_granted_without_a_repair(world: World) -> None:
    world.do(*UNTIL_LOGWATCH)
    world.site["/deep/may.html"].accesses = []
    world.do("repair")
    assert world.failed == [("repair", "the unlearned access is denied")]
    assert world.detail("the unlearned access is denied") == "[200]"


def test_a_repair_that_asks_for_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, repair=(), phases=("disabled", "repair"))
    world.serve()
    world.do("disabled", "repair")
    assert world.failed == [("repair", "the unlearned access is denied")]


def test_a_repair_that_does_not_help(world: World) -> None:
    world.do(*UNTIL_LOGWATCH)
    world.guest.drops = "file read /srv/deep"
    world.do("repair")
    assert world.failed == [
        ("repair", "the kernel took the repair-added domain_policy"),
        ("repair", "added live, it works"),
    ]
    assert world.detail("added live, it works") == "[403], expected [200]"


def test_what_drifted_is_traced_to_its_step(world: World) -> None:
    golden = world.lab.folder.parent.parent / "policies/small"
    world.do("disabled", "learning", "tuned")
    assert world.results.drift is None, "no policy is golden"
    golden.mkdir()
    (golden / "domain_policy.conf").write_text("<kernel> /usr/sbin/apache2\nuse_profile 0\nuse_group 0\n")
    (golden / "exception_policy.conf").write_text(world.guest.interface("exception_policy"))
    world.do("tuned", "permissive")
    assert f"@@ {APACHE} @@" in world.results.drift
    assert world.results.drift_since == {f"{APACHE}: file read @WEB_CONTENTS": "page 0"}
    assert world.guest.state.grants_of is None, "grants are logged for that only"


def test_a_protected_domain_that_is_none(tmp_path: Path) -> None:
    other = "<kernel> /usr/sbin/lighttpd"
    world = World(tmp_path, protected=(APACHE, other))
    world.serve()
    world.do("disabled")
    del world.guest.state.policy.domains[other]
    world.do("learning")
    assert world.failed == [
        ("learning", f"{other} is a domain"),
        ("learning", f"{other} learned something"),
    ]


def test_a_protected_domain_that_learns_nothing(world: World) -> None:
    world.do("disabled")
    for page in world.site.values():
        page.accesses.clear()
    world.do("learning")
    assert world.failed == [("learning", f"{APACHE} learned something")]
