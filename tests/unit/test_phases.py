# SPDX-License-Identifier: GPL-2.0-only
"""What the shared phases assert is false when the world is: each check goes red by what it guards against."""

from __future__ import annotations

import inspect
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import fake_guest
import pytest
from fake_guest import Page

from ccslab.errors import InfrastructureError, UserError
from ccslab.evidence.table import phase_line
from ccslab.labs import attackers, definition, guest, phases
from ccslab.labs.keeping import Keeper
from ccslab.labs.run import Run
from ccslab.labs.server import Server
from ccslab.labs.splats import BOOT
from ccslab.policy.audit import FILE
from ccslab.results import Phase, Results
from ccslab.settings import ROOT
from ccslab.vm.feed import plain

WAIT_S = 20.0
HUNG = Path(__file__).parent / "data/splats/hung-task.console"
APACHE = "<kernel> /usr/sbin/apache2"
CGI = "/usr/lib/cgi-bin/multi.cgi"
LAB = f"""
title = "A small lab"
phases = ["disabled", "learning", "tuned", "permissive", "enforcing", "logwatch", "repair", "attacked"]
protected = ["{APACHE}"]
exempt = ["<kernel> /usr/sbin/sshd"]
[machine]
recipe = "webserver"
[logwatch]
mailbox = "/var/mail/sysadmin"
hour = "23:59:57"
[services]
apache2 = "cat /run/apache2.pid"
cron = "cat /run/crond.pid"
"""
PAGES = 6
WORKLOAD = (
    "".join(f'[[step]]\nname = "page {number}"\nhttp = "GET /{number}.html"\n' for number in range(PAGES))
    + """
[[forgotten]]
name = "forgotten"
http = "GET /cgi-bin/multi.cgi?do=host"
[[repair]]
name = "deeper"
http = "GET /deep/may.html"
"""
)
ATTACKS = """
[[attack]]
name = "shadow"
title = "Reads the passwords"
steps = [{ http = "GET /shadow.php" }]
gained = { body = "root:" }
enforcing = { status = 403, record = "file read /etc/shadow" }
"""
RULES = """
[[group]]
name = "WEB_CONTENTS"
root = "/var/www/html"
operations = ["read"]
"""


def site() -> dict[str, Page]:
    """What the server's pages make it ask for."""
    pages = {
        f"/{number}.html": Page([(APACHE, f"file read /var/www/html/{number}.html")], b"%d" % number)
        for number in range(PAGES)
    }
    return {
        **pages,
        "/cgi-bin/multi.cgi": Page(
            [(APACHE, f"file execute {CGI}"), (f"{APACHE} {CGI}", "file read /etc/hosts")], b"localhost"
        ),
        "/deep/may.html": Page([(APACHE, "file read /srv/deep/may.html")], b"a table"),
        "/shadow.php": Page([(APACHE, "file read /etc/shadow")], b"root:x:"),
    }


class Kept(Keeper):
    """Says what it was to keep."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, wanted=True, tell=print)
        self.kept: list[str] = []

    def keep(self, machine: Any, why: str) -> None:
        self.kept.append(why)


class World:
    """A run of the small lab on the fake guest; a test changes something before a phase, or between two."""

    def __init__(self, folder: Path, **changed: Any) -> None:
        root = folder / "checkout"
        (root / "policies").mkdir(parents=True)
        shutil.copy(ROOT / "policies/architectures.toml", root / "policies")
        there = root / "labs/small"
        there.mkdir(parents=True)
        files = {"lab": LAB, "workload": WORKLOAD, "attacks": ATTACKS, "generalise": RULES}
        for name, text in files.items():
            (there / f"{name}.toml").write_text(text)
        self.lab = replace(definition.load(there), **changed)
        self.site = site()
        self.guest = fake_guest.Guest(self.lab, self.site, folder)
        self.results = Results("small", "x86_64", "6.12")
        self.observed: list[str] = []
        self.keeper = Kept(folder)
        (folder / "run").mkdir()
        self.run = Run(self.lab, self.results, folder / "run", observe=self.observe, keeper=self.keeper)

    def observe(self, phase: Phase) -> None:
        words = phase_line(phase, self.results).plain.partition(" s ")[2].split()
        verdict = next(word for word in words if word in ("passed", "failed", "error"))
        self.observed.append(f"{phase.name} {verdict}")

    def serve(self, attackers: int = 0) -> None:
        self.run.serve(Server(self.run, cast(guest.Guest, self.guest), attackers=attackers))

    def do(self, *names: str) -> None:
        """Some phases as ``Run.go`` goes through them."""
        for name in names:
            with self.run.phase(name):
                phases.find(name, self.lab.folder)(self.run)

    @property
    def failed(self) -> list[tuple[str, str]]:
        return [(check.phase, check.name) for check in self.results.checks if not check.passed]

    def detail(self, name: str) -> str:
        (check,) = [check for check in self.results.checks if check.name == name and not check.passed]
        return check.detail


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A run that goes well unless something is changed."""
    monkeypatch.setattr(attackers, "Guest", lambda machine, lab, folder: machine.guest)
    made = World(tmp_path)
    made.serve()
    return made


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


# How a run goes on and ends


def order(world: World, monkeypatch: pytest.MonkeyPatch, *failing: str) -> list[str]:
    """Phases of which is known only in what order they come; some fail a check."""
    came: list[str] = []

    def find(name: str, folder: Path) -> Callable[[Run], None]:
        def body(run: Run) -> None:
            came.append(name)
            run.check(f"{name} is well", name not in failing, "it is not")

        return body

    monkeypatch.setattr(phases, "find", find)
    return came


def test_phases_come_in_the_order_of_the_lab_s_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, phases=("repair", "disabled", "tuned"))
    world.serve()
    came = order(world, monkeypatch)
    world.run.go()
    assert came == ["repair", "disabled", "tuned"]
    assert [phase.name for phase in world.results.phases] == [BOOT, *came]
    assert world.observed == ["boot passed", "repair passed", "disabled passed", "tuned passed"]
    assert world.results.grids == [], "a lab without the phase attacked tries no attacks"


def test_an_unknown_phase_is_a_user_s_error_with_the_nearest_name(tmp_path: Path) -> None:
    world = World(tmp_path, phases=("disabled", "enforcin"))
    world.serve()
    with pytest.raises(UserError, match="unknown phase 'enforcin' - did you mean enforcing"):
        world.run.go()
    assert world.results.phases == [], "it is known before anything begins"


def test_an_error_ends_the_run_and_its_phase_has_not_passed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def perform(steps: Any) -> Any:
        raise InfrastructureError("the guest panicked")

    world.do("disabled")
    monkeypatch.setattr(world.guest, "perform", perform)
    with pytest.raises(InfrastructureError, match="the guest panicked"):
        world.do("learning", "tuned")
    assert world.observed == ["disabled passed", "learning error"]
    assert world.results.error == "the guest panicked"
    assert (world.results.finished, world.results.verdict) == (False, "error")
    assert world.keeper.kept == ["learning broke off"]


def test_a_failing_check_keeps_the_guest_as_it_is_in_that_phase(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(world, monkeypatch, "tuned")
    world.do("disabled", "tuned", "permissive")
    assert world.keeper.kept == ["tuned failed"]
    assert world.observed == ["disabled passed", "tuned failed", "permissive passed"]


def test_the_phase_attacked_waits_for_the_attackers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attackers, "Guest", lambda machine, lab, folder: machine.guest)
    world = World(tmp_path, phases=("disabled", "attacked"))
    world.serve(attackers=1)
    may, waits = threading.Event(), threading.Event()
    attempt = attackers.attacking.attempt

    def slow(*given: Any, **more: Any) -> Any:
        assert may.wait(WAIT_S)
        return attempt(*given, **more)

    def find(name: str, folder: Path) -> Callable[[Run], None]:
        def body(run: Run) -> None:
            waits.set()
            finish(run)

        return body if name == "attacked" else original(name, folder)

    original, finish = phases.find, phases.find("attacked", world.lab.folder)
    monkeypatch.setattr(attackers.attacking, "attempt", slow)
    monkeypatch.setattr(phases, "find", find)
    with world.run:
        goes = threading.Thread(target=world.run.go)
        goes.start()
        assert waits.wait(WAIT_S), "the phases go on while attacks are tried"
        assert world.results.grids[0].row("shadow").cells == {}
        assert world.observed == ["boot passed", "disabled passed"]
        may.set()
        goes.join(WAIT_S)
    assert not goes.is_alive()
    assert [*world.results.grids[0].row("shadow").cells] == ["disabled"]
    assert world.results.phases[-1].beside


def test_a_clone_that_dies_ends_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*given: Any, **more: Any) -> Any:
        raise InfrastructureError("the clone panicked")

    monkeypatch.setattr(attackers.attacking, "attempt", die)
    with pytest.raises(InfrastructureError, match="the clone panicked"), world.run:
        world.run.go()
    assert world.results.verdict == "error"
    assert world.observed[-1] == "attacked error"


def test_what_a_kernel_s_own_mistake_does_to_its_phase(world: World, tmp_path: Path) -> None:
    (tmp_path / "System.map").touch()
    world.do("disabled")
    for line in HUNG.read_bytes().decode().split("\n"):
        world.guest.machine.watch.line(plain(line).strip("\r"))
    world.do("learning")
    ((phase, name),) = world.failed
    assert (phase, name.endswith("splats/001.txt")) == ("learning", True)
    assert world.keeper.kept == ["learning failed"]
