# SPDX-License-Identifier: GPL-2.0-only
"""The server under test, seen with TOMOYO's words: what the administrator types, what the harness reads."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.labs.client import Client, Exchange
from ccslab.labs.definition import Lab
from ccslab.labs.step import HttpStep, RootStep, Step
from ccslab.labs.stopwatch import Stopwatch
from ccslab.policy import language
from ccslab.policy.audit import Record, parse_records
from ccslab.policy.domain import DomainPolicy, parse_domain_policy
from ccslab.policy.exception import ExceptionPolicy, parse_exception_policy
from ccslab.policy.stat import Stat, parse_stat
from ccslab.results import What
from ccslab.vm.machine import Machine

DISABLED, LEARNING, PERMISSIVE, ENFORCING = range(4)
# The permissive one last: a mark is in it, and what follows the mark may be half-written.
LOGS = "/var/log/tomoyo/reject_003.log /var/log/tomoyo/reject_002.log"
MARKS = "/run/ccs-lab-mark"
GRANTED = "/var/log/tomoyo/grant.log"
AUDITREAD = "/usr/lib/ccs-lab/auditread"
STEP_TIMEOUT_S = 60.0
MARK_TIMEOUT_S = 30.0
SETTLE_TIMEOUT_S = 20.0
SETTLE_EVERY_S = 0.5


def appears(text: str, files: str) -> str:
    """The shell command that ends once a text is in one of the files, following what is appended to them."""
    follow = f"grep -qm1 -F {shlex.quote(text)} < <(exec tail --pid=$$ -qn +1 -F {files} 2>/dev/null)"
    return f"bash -c {shlex.quote(follow)}"


class Guest:
    """A running machine of a lab.

    :param interface: the folder of its kernel's policy interface.
    """

    def __init__(self, machine: Machine, lab: Lab, interface: str) -> None:
        self.machine = machine
        self.lab = lab
        self.folder = interface
        self.patience = machine.patience
        """How many times longer than usual what happens inside the guest may take."""
        self.client = Client(
            lambda timeout_s: machine.connect("http", timeout_s),
            blame=machine.watch.blame,
            patience=machine.patience,
        )
        self.stopwatch = Stopwatch()
        self._marks = 0
        self._by_console = False

    # What the administrator types on the console

    def typed(self, command: str, *, timeout_s: float = STEP_TIMEOUT_S) -> str:
        """Type one command as the administrator; returns its output.

        :raises InfrastructureError: it failed; an administrator's step that fails ends the run.
        """
        with self.stopwatch.span(What.CONSOLE):
            return self.machine.console.run(command, timeout_s, check=True).output

    def set_profile(self, profile: int, domain: str = "<kernel>") -> None:
        """Switch a domain and all below it, live; the harness's own domains stay exempt."""
        self.typed(f"ccs-setprofile -r {profile} {shlex.quote(domain)}")
        if domain == "<kernel>":
            for own in self.lab.exempt:
                self.typed(f"ccs-setprofile -r {DISABLED} {shlex.quote(own)}")

    def load(self, kind: str, text: str, name: str, *, replace: bool = False) -> None:
        """Send policy text as a file, then load it with ``ccs-loadpolicy`` as the administrator does.

        :param kind: ``d`` for domain policy, ``e`` for exception policy.
        :param name: the file's name below /etc/ccs.
        :param replace: also delete from the kernel what the file does not have.
        """
        path = f"/etc/ccs/{name}"
        self.write(path, text)
        self.typed(f"ccs-loadpolicy -{kind}{'f' if replace else ''} < {path}")

    # What the harness does

    def save(self, name: str) -> None:
        """Save the running machine under a name."""
        with self.stopwatch.span(What.SAVE):
            self.machine.save(name)

    def clone(self, name: str, folder: Path) -> Machine:
        """Save the running machine under a name; a second one, not yet started, that begins from there."""
        with self.stopwatch.span(What.SAVE):
            return self.machine.clone(name, folder)

    def go_back(self, name: str) -> None:
        """Bring the machine back to what was saved under a name."""
        with self.stopwatch.span(What.RESTORE):
            self.machine.load(name)

    @contextlib.contextmanager
    def on_console(self) -> Iterator[None]:
        """Within the block ``root`` runs on the console, unrecorded, instead of over SSH.

        A checkpoint load breaks TCP connections, and a new SSH login costs seconds in an emulated guest;
        the serial line survives, which is what makes an attack from a checkpoint cheap.
        """
        before, self._by_console = self._by_console, True
        try:
            yield
        finally:
            self._by_console = before

    def root(self, command: str, *, timeout_s: float = STEP_TIMEOUT_S, check: bool = True) -> tuple[int, str]:
        """Run a command as root, over SSH (an exempt domain); returns (exit status, output)."""
        if self._by_console:
            with self.stopwatch.span(What.CONSOLE), self.machine.console.unrecorded():
                said = self.machine.console.run(" ".join(command.splitlines()), timeout_s, check=check)
            return said.status, said.output
        with self.stopwatch.span(What.SSH):
            reply = self.machine.ssh.run(command, check=check, timeout_s=timeout_s)
        return reply.status, reply.out

    def write(self, path: str, text: str) -> None:
        """Write a file in the guest."""
        with self.stopwatch.span(What.SSH):
            self.machine.ssh.write(path, text)

    def interface(self, name: str) -> str:
        """The text of an interface file, as the kernel prints it now."""
        return self.root(f"cat {shlex.quote(f'{self.folder}/{name}')}")[1]

    def domains(self) -> DomainPolicy:
        """The domain policy in the kernel."""
        return parse_domain_policy(self.interface("domain_policy"), "domain_policy of the guest")

    def exceptions(self) -> ExceptionPolicy:
        """The exception policy in the kernel."""
        return parse_exception_policy(self.interface("exception_policy"), "exception_policy of the guest")

    def stat(self) -> Stat:
        """The kernel's counters."""
        return parse_stat(self.interface("stat"), "stat of the guest")

    def settled_policy_memory(self) -> int:
        """Bytes of policy, once the garbage collector has freed what was deleted.

        The collector is a kernel thread that tells nobody when it is done: asked until two answers agree.
        """
        deadline = time.monotonic() + SETTLE_TIMEOUT_S * self.patience
        before = -1
        while time.monotonic() < deadline:
            now = self.stat().memory["policy"].used_bytes
            if now == before:
                return now
            before = now
            time.sleep(SETTLE_EVERY_S)
        raise InfrastructureError(f"policy memory still changes after {SETTLE_TIMEOUT_S:.0f} s", where="stat")

    def pids(self) -> dict[str, str]:
        """The PIDs of the lab's services, which no phase may change."""
        script = "; ".join(
            f"echo {shlex.quote(name)} $({command})" for name, command in self.lab.services.items()
        )
        _, said = self.root(script)
        found = {line.partition(" ")[0]: line.partition(" ")[2] for line in said.splitlines()}
        for name in self.lab.services:
            if not found.get(name):
                raise InfrastructureError(
                    f"service {name} does not run", where="guest", mend="see console.log"
                )
        return found

    # Audit records

    def records(self, most: int = 0) -> list[Record]:
        """The protected domains' records of what happened until now, in the files' order.

        The audit log is a queue: the administrator's shell, permissive, makes a file nobody learned to
        make, and when that record is in the log so is everything before it (rootfs/src/auditread.c).

        :param most: stop at so many, of a program that may never tire of being denied; 0: all.
        """
        with self.stopwatch.span(What.AUDIT):
            return self._records(most)

    def _records(self, most: int) -> list[Record]:
        self._marks += 1
        mark = f"{MARKS}.{self._marks}.{time.monotonic_ns()}"
        limit_s = MARK_TIMEOUT_S * self.patience
        domains = " ".join(shlex.quote(domain) for domain in self.lab.protected)
        # On the console: SSH is exempt, and what it does is in no log.
        with self.machine.console.unrecorded():
            said = self.machine.console.run(
                f"{AUDITREAD}{f' -n {most}' if most else ''} {limit_s:.0f} {mark} {LOGS} -- {domains}",
                MARK_TIMEOUT_S + 10,
            )
        made = f"file create {mark} "
        if said.status != 0 or (made not in said.output and not most):
            raise InfrastructureError(
                f"the audit log cannot be read (status {said.status}): {said.output.strip()[-300:]}",
                where=LOGS,
                mend="look at ccs-auditd.service in the guest",
            )
        records = parse_records(said.output, source="the guest's reject logs")
        return [record for record in records if MARKS not in record.request]

    def violations(self, most: int = 0) -> list[Record]:
        """Records of protected domains that policy did not grant, after waiting for the auditor.

        :param most: as of ``records``.
        """
        return [
            record for record in self.records(most) if self.lab.guards(record.domain) and not record.granted
        ]

    def forget_violations(self) -> None:
        """Empty the logs, so that what is read next happened next."""
        self.records()
        self.root(f"for log in {LOGS}; do [ ! -f $log ] || : > $log; done")

    def log_grants(self, profile: int, *, wanted: bool) -> None:
        """Whether what the kernel grants in domains of a profile is logged as well."""
        logged = "yes" if wanted else "no"
        line = f"{profile}-CONFIG={{ mode={language.MODES[profile]} grant_log={logged} reject_log=yes }}"
        with self.machine.console.unrecorded():
            self.typed(f"echo {shlex.quote(line)} | ccs-loadpolicy -p")

    def grants(self) -> list[Record]:
        """The protected domains' granted requests since the last call."""
        self.records()  # so that the auditor has written all
        _, said = self.root(f"cat {GRANTED} 2>/dev/null; : > {GRANTED}")
        records = parse_records(said, source=GRANTED)
        return [one for one in records if one.granted and self.lab.guards(one.domain)]

    # Steps

    def perform(self, steps: Iterable[Step]) -> list[Exchange]:
        """Do the steps in order; returns what each gave back (root steps without output give nothing)."""
        exchanges = []
        for step in steps:
            if isinstance(step, HttpStep):
                with self.stopwatch.span(What.HTTP):
                    exchanges.append(self.client.send(step))
            elif (given := self._as_root(step)) is not None:
                exchanges.append(given)
        return exchanges

    def _as_root(self, step: RootStep) -> Exchange | None:
        if step.within_s is None:
            status, said = self.root(step.command, check=False)
        else:
            # Events inside the guest (a mail, a file) have no common signal: asked for five times a second.
            limit_s = step.within_s * self.patience
            # In a shell of its own, whatever it ends with, and in one line, which is what a console takes.
            command = shlex.quote(step.command)
            loop = f"until sh -c {command} >/tmp/.ccs-lab-step 2>&1; do sleep 0.2; done"
            status, _ = self.root(
                f"timeout {limit_s:.0f} sh -c {shlex.quote(loop)}",
                check=False,
                timeout_s=step.within_s + 15,
            )
            _, said = self.root("cat /tmp/.ccs-lab-step", check=False)
        if status != 0:
            late = f" within {step.within_s * self.patience:.0f} s" if step.within_s is not None else ""
            raise InfrastructureError(
                f"step did not succeed{late}: {' | '.join(said.splitlines()[-3:])}", where=step.name
            )
        return Exchange(step.name, 0, (), said.encode()) if step.output else None
