# SPDX-License-Identifier: GPL-2.0-only
"""``host.tomoyo`` for testinfra: a pytest plugin (``-p ccslab.labs.testinfra_tomoyo``).

Tests then read ``host.tomoyo.domain("<kernel> /usr/sbin/apache2").profile == 3``.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import pytest
import testinfra.backend
from testinfra.host import Host
from testinfra.modules.base import InstanceModule

from ccslab.policy.domain import Domain, DomainPolicy, parse_domain_policy
from ccslab.policy.exception import ExceptionPolicy, parse_exception_policy
from ccslab.policy.profile import Profiles, parse_profile
from ccslab.policy.stat import Stat, parse_stat

BACKEND = Path(testinfra.backend.__file__).parent
BROKEN = 70  # what pytest ends with when it cannot ask; its own codes end below (EX_SOFTWARE of sysexits.h)
INTERFACES = ("/proc/ccs", "/sys/kernel/security/tomoyo")


class Tomoyo(InstanceModule):  # type: ignore[misc]
    """The policy in a guest's kernel, asked anew for each property of a new ``host.tomoyo``."""

    @cached_property
    def interface(self) -> str:
        """The interface folder: what ``CCSLAB_INTERFACE`` names, else ``/proc/ccs`` where the kernel has it.

        :raises RuntimeError: the kernel has none, TOMOYO is not active.
        """
        named = os.environ.get("CCSLAB_INTERFACE")
        for folder in (named,) if named else INTERFACES:
            if self.run_test("test -e %s/version", folder).rc == 0:
                return folder
        raise RuntimeError("this kernel has no TOMOYO interface: is it active?")

    def read(self, name: str) -> str:
        """The text of an interface file (``stat``, ``version`` ...)."""
        return str(self.check_output("cat %s", f"{self.interface}/{name}"))

    @property
    def version(self) -> str:
        """What the kernel reports, such as ``2.6.0``."""
        return self.read("version").strip()

    @property
    def policy(self) -> DomainPolicy:
        """The whole domain policy."""
        return parse_domain_policy(self.read("domain_policy"), "domain_policy")

    @property
    def exceptions(self) -> ExceptionPolicy:
        """The exception policy."""
        return parse_exception_policy(self.read("exception_policy"), "exception_policy")

    @property
    def profiles(self) -> Profiles:
        """The profiles."""
        return parse_profile(self.read("profile"), "profile")

    @property
    def stat(self) -> Stat:
        """Counters and memory."""
        return parse_stat(self.read("stat"), "stat")

    def domain(self, name: str) -> Domain:
        """One domain: ``.profile``, ``.acls``, ``.groups``.

        :raises UserError: there is none of that name (nearest names suggested).
        """
        return self.policy.domain(name)

    def domain_of(self, pid: int) -> str:
        """The domain a process is in.

        :raises RuntimeError: there is no such process.
        """
        # One open file both asks and answers, so a shell redirection for each would not do.
        script = f"exec 3<>{self.interface}/.process_status; echo {pid} >&3; cat <&3"
        words = str(self.check_output("bash -c %s", script)).split(" ", 2)
        if len(words) < 3:
            raise RuntimeError(f"the kernel knows no process {pid}")
        return words[2].strip()


Host.tomoyo = property(Tomoyo.get_module)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> None:
    """End all when a test could not ask its question: that is no answer, and no failed test."""
    if call.excinfo is None:
        return
    error = call.excinfo.value
    if isinstance(error, RecursionError) or BACKEND in Path(call.excinfo.traceback[-1].path).parents:
        result = error.args[0] if error.args else ""
        told = str(getattr(result, "stderr", "")).strip() or str(error) or type(error).__name__
        pytest.exit(f"the guest cannot be asked: {' '.join(told.split())}", returncode=BROKEN)
