# SPDX-License-Identifier: GPL-2.0-only
"""A small lab whose run goes well on the fake guest, for tests to change one thing of."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import fake_guest
from fake_guest import Page

from ccslab.evidence.table import phase_line
from ccslab.labs import definition, guest, phases
from ccslab.labs.keeping import Keeper
from ccslab.labs.run import Run
from ccslab.labs.server import Server
from ccslab.results import Phase, Results
from ccslab.settings import ROOT

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

    def __init__(self, folder: Path, *, own: str = "", **changed: Any) -> None:
        """``own`` is the text of its module."""
        root = folder / "checkout"
        (root / "policies").mkdir(parents=True)
        shutil.copy(ROOT / "policies/architectures.toml", root / "policies")
        there = root / "labs/small"
        there.mkdir(parents=True)
        files = {"lab": LAB, "workload": WORKLOAD, "attacks": ATTACKS, "generalise": RULES}
        for name, text in files.items():
            (there / f"{name}.toml").write_text(text)
        if own:
            (there / phases.OWN).write_text(own)
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
