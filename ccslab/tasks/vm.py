# SPDX-License-Identifier: GPL-2.0-only
"""`./inv vm.*`: a machine to look at."""

from __future__ import annotations

from invoke.context import Context

from ccslab.settings import Settings
from ccslab.tasking import ACCEL, KERNEL, choose, lab_task, namespace, settings_task


@settings_task(
    {**KERNEL, **ACCEL},
    help={"lab": "whose machine", "cold": "see the whole boot, not a booted guest's checkpoint"},
)
def vm_boot(settings: Settings, lab: str = "apache-cgi", cold: bool = False) -> None:
    """A lab's machine on your terminal; Ctrl-] leaves."""
    from ccslab.labs import visiting

    visiting.boot(settings, lab, cold=cold)


@settings_task(
    {**ACCEL},
    positional=["run"],
    help={"run": "the folder or name of a run that was made with lab.scenario --keep"},
)
def vm_console(settings: Settings, run: str) -> None:
    """The guest that a run kept, on your terminal; Ctrl-] leaves."""
    from ccslab.runs import overview

    overview.enter(settings, run)


@lab_task(help={"lab": "whose machine", "command": "run this instead of a login shell"})
def vm_ssh(c: Context, lab: str = "apache-cgi", command: str = "") -> int:
    """Log in as root to the machine that vm.boot or vm.console runs."""
    from ccslab.labs import visiting

    return visiting.ssh(choose(c), lab, command)


ns = namespace(boot=vm_boot, console=vm_console, ssh=vm_ssh)
