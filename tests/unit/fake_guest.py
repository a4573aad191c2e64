# SPDX-License-Identifier: GPL-2.0-only
"""A server and its kernel in memory: grants, learns, logs and denies what its site asks for, as TOMOYO does.

It has the methods of :class:`ccslab.labs.guest.Guest` that phases use, and their meaning; what it is loaded
and what it prints is real policy text. A test changes the world (a page, a PID, what the kernel drops), not
the answers.
"""

from __future__ import annotations

import contextlib
import copy
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ccslab.labs.client import Exchange
from ccslab.labs.definition import Lab
from ccslab.labs.guest import DISABLED, ENFORCING, LEARNING
from ccslab.labs.step import HttpStep, Step
from ccslab.labs.stopwatch import Stopwatch
from ccslab.policy import language
from ccslab.policy.audit import Record, acl_of
from ccslab.policy.domain import DomainPolicy, parse_domain_policy
from ccslab.policy.exception import ExceptionPolicy, parse_exception_policy
from ccslab.policy.lines import Lines
from ccslab.vm.death import Watch

BYTES_OF_A_LINE = 64
Access = tuple[str, str]
"""A domain and what it asks for."""


@dataclass
class Page:
    """What a request makes programs ask for, one after the other, and the answer when all is granted."""

    accesses: list[Access] = field(default_factory=list)
    body: bytes = b"a page"
    status: int = 200


@dataclass
class State:
    """All that a checkpoint brings back."""

    policy: DomainPolicy = field(default_factory=DomainPolicy)
    exceptions: ExceptionPolicy = field(default_factory=ExceptionPolicy)
    rejected: list[Record] = field(default_factory=list)
    granted: list[Record] = field(default_factory=list)
    grants_of: int | None = None
    """The profile whose grants are logged."""
    pids: dict[str, str] = field(default_factory=dict)
    clock: str = ""
    mailbox: str = ""


class Machine:
    """What phases and attackers ask of a guest's machine."""

    def __init__(self, guest: Guest, folder: Path) -> None:
        self.guest = guest
        self.what = SimpleNamespace(kernel=folder / "bzImage")
        self.watch = Watch()
        self.ssh = SimpleNamespace(testinfra=[])
        self.lives = True

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self.lives = False

    def boot(self) -> None:
        """It is there at once."""

    def login(self) -> None:
        """So is its shell."""

    def alive(self) -> bool:
        return self.lives

    def shutdown(self) -> None:
        self.lives = False

    kill = stop = shutdown


class Guest:
    """The server.

    :param site: what each path makes happen.
    """

    def __init__(self, lab: Lab, site: dict[str, Page], folder: Path) -> None:
        self.lab = lab
        self.site = site
        self.folder = "/proc/ccs"
        self.patience = 1.0
        self.stopwatch = Stopwatch()
        self.machine = Machine(self, folder)
        self.state = State(pids={name: str(100 + at) for at, name in enumerate(lab.services)})
        self.state.policy.add("<kernel>")
        for domain in (*lab.protected, *lab.exempt):
            self.state.policy.add(domain)
        self.drops = ""
        """A text whose lines of policy the kernel does not take, and says nothing."""
        self.cron = True
        """Whether cron runs the log watch."""
        self.typed_commands: list[str] = []
        self._saved: dict[str, State] = {}

    # The administrator's

    def typed(self, command: str, *, timeout_s: float = 60.0) -> str:
        self.typed_commands.append(command)
        if clock := re.fullmatch(r"date -s '(.*)'", command):
            self.state.clock = clock[1]
        due = self.lab.logwatch is not None and self.state.clock == self.lab.logwatch.hour
        if command == "pkill -HUP -x cron" and self.cron and due:
            self.state.mailbox += "".join(f"{one.domain}\n{one.request}\n" for one in self.state.rejected)
        return ""

    def set_profile(self, profile: int, domain: str = "<kernel>") -> None:
        for below in self.state.policy.below(domain):
            exempt = any(f"{below.name} ".startswith(f"{own} ") for own in self.lab.exempt)
            below.profile = DISABLED if exempt else profile

    def load(self, kind: str, text: str, name: str, *, replace: bool = False) -> None:
        taken = "".join(f"{line}\n" for line in text.splitlines() if not self.drops or self.drops not in line)
        if kind == "d":
            policy = parse_domain_policy(taken)
            if replace:
                self.state.policy = DomainPolicy()
            for domain in policy.domains.values():
                here = self.state.policy.add(domain.name)
                here.profile, here.groups = domain.profile, domain.groups
                here.acls += [acl for acl in domain.acls if acl not in here.acls]
        else:
            exceptions = parse_exception_policy(taken)
            if replace:
                self.state.exceptions = ExceptionPolicy()
            for item in exceptions.items():
                if item not in self.state.exceptions.items():
                    self.state.exceptions.add(item)

    # The harness's

    def save(self, name: str) -> None:
        self._saved[name] = copy.deepcopy(self.state)

    def clone(self, name: str, folder: Path) -> Any:
        """A machine whose ``guest`` is another server in the same state."""
        self.save(name)
        other = Guest(self.lab, self.site, folder)
        other.state, other.cron = copy.deepcopy(self.state), self.cron
        other.save(name)
        return other.machine

    def go_back(self, name: str) -> None:
        self.state = copy.deepcopy(self._saved[name])

    @contextlib.contextmanager
    def on_console(self) -> Iterator[None]:
        yield

    def root(self, command: str, *, timeout_s: float = 60.0, check: bool = True) -> tuple[int, str]:
        match shlex.split(command):
            case ["cat", "/proc/sys/kernel/tainted"]:
                return 0, "0\n"
            case ["cat", "/var/log/tomoyo/reject_*.log"]:
                return 0, "".join(f"{one.domain}\n{one.request}\n\n" for one in self.state.rejected)
            case ["dmesg", "--force-prefix"]:
                return 0, ""
            case ["timeout", _, "bash", "-c", follow]:
                grep, _, tail = follow.partition(" < <(")
                assert self.lab.logwatch
                assert self.lab.logwatch.mailbox in tail
                return int(shlex.split(grep)[-1] not in self.state.mailbox), ""
        raise AssertionError(f"a command that the fake does not know: {command}")

    def interface(self, name: str) -> str:
        printed = {"domain_policy": self.state.policy, "exception_policy": self.state.exceptions}
        return printed[name].format() if name in printed else ""

    def domains(self) -> DomainPolicy:
        return parse_domain_policy(self.interface("domain_policy"))

    def exceptions(self) -> ExceptionPolicy:
        return parse_exception_policy(self.interface("exception_policy"))

    def settled_policy_memory(self) -> int:
        lines = sum(len(domain.acls) for domain in self.state.policy.domains.values())
        return BYTES_OF_A_LINE * (lines + len(list(self.state.exceptions.items())))

    def pids(self) -> dict[str, str]:
        return dict(self.state.pids)

    # Audit records

    def violations(self, most: int = 0) -> list[Record]:
        return [record for record in self.state.rejected if self.lab.guards(record.domain)]

    def forget_violations(self) -> None:
        self.state.rejected.clear()

    def log_grants(self, profile: int, *, wanted: bool) -> None:
        self.state.grants_of = profile if wanted else None

    def grants(self) -> list[Record]:
        taken, self.state.granted = self.state.granted, []
        return [record for record in taken if self.lab.guards(record.domain)]

    # Steps

    def perform(self, steps: Iterable[Step]) -> list[Exchange]:
        return [self._answer(step) for step in steps if isinstance(step, HttpStep)]

    def _answer(self, step: HttpStep) -> Exchange:
        page = self.site.get(step.path.partition("?")[0])
        if page is None:
            return Exchange(step.name, 404, (), b"there is no such page")
        for domain, request in page.accesses:
            if not self._granted(domain, request):
                return Exchange(step.name, 403, (), b"forbidden")
        return Exchange(step.name, page.status, (), page.body)

    def _granted(self, name: str, request: str) -> bool:
        """What the kernel does with a request: by the domain's profile."""
        domain = self.state.policy.add(name)
        mode = language.MODES[domain.profile]
        record = Record(datetime(2026, 1, 1, tzinfo=UTC), domain.profile, mode, True, 7, {}, name, request)
        covered = bool(Lines(self.state.policy, self.state.exceptions).granting(record))
        if domain.profile == LEARNING and not covered:
            domain.acls.extend(acl_of(record))
        if domain.profile in (DISABLED, LEARNING) or covered:
            if domain.profile == self.state.grants_of:
                self.state.granted.append(record)
        else:
            self.state.rejected.append(Record(record.time, domain.profile, mode, False, 7, {}, name, request))
            if domain.profile == ENFORCING:
                return False
        if request.startswith("file execute "):
            below = f"{name} {request.split(' ')[2]}"
            if below not in self.state.policy.domains:
                self.state.policy.add(below).profile = domain.profile
        return True
