# SPDX-License-Identifier: GPL-2.0-only
"""`./inv bench.*`: what protection costs."""

from __future__ import annotations

from ccslab.settings import Settings
from ccslab.tasking import ARCH, JOBS, KERNEL, RESUME, namespace, settings_task

MEASURED = {
    "plan": "short, or long: what is measured (ccslab/bench/plan.toml)",
    "check": "compare with the kernel's baseline in ci/baselines, to 3 %",
    **RESUME,
}


@settings_task({**KERNEL, **JOBS}, each=True, help=MEASURED)
def bench_run(settings: Settings, plan: str = "short", check: bool = False, resume: bool = False) -> int:
    """What system calls cost, by mode and rules, in instructions."""
    from ccslab.bench import command

    return command.run(settings, plan_name=plan, against_baseline=check, resume=resume)


@settings_task(
    ARCH,
    each=True,
    positional=["before", "after"],
    help={"before": "a kernel's name, or a measurement's folder", "after": "another"},
)
def bench_compare(settings: Settings, before: str, after: str) -> None:
    """What costs more in one of two measurements."""
    from ccslab.bench import command

    command.compare(settings, before, after)


ASKED = {
    "before": "a kernel's name",
    "after": "another's; the flags (--patchset, --fragment ...) are about this one",
    "policies": "how many random policies, of 40 requests each",
    "seed": "the same gives the same policies",
    **RESUME,
}


OTHER = {name: flag for name, flag in KERNEL.items() if name not in ("kernel", "tree", "sha256")}


@settings_task({**OTHER, **JOBS}, each=True, positional=["before", "after"], help=ASKED)
def bench_equal(
    settings: Settings, before: str, after: str, policies: int = 1000, seed: int = 1, resume: bool = False
) -> int:
    """Do two kernels answer alike under random policies?"""
    from ccslab.bench import equal

    return equal.compare(settings, before, after, count=policies, seed=seed, resume=resume)


@settings_task(
    {**KERNEL, **JOBS}, each=True, help={"most": "leave out what has more rules than this", **RESUME}
)
def bench_peers(settings: Settings, most: int = 10000, resume: bool = False) -> None:
    """TOMOYO beside AppArmor, SELinux and Smack in one kernel."""
    from ccslab.bench import peers

    peers.run(settings, most=most, resume=resume)


@settings_task(
    {**KERNEL, **JOBS}, each=True, positional=["name"], help={"name": "a lab: lab.list shows them"}
)
def bench_lab(settings: Settings, name: str) -> int:
    """What a lab's visitors pay for enforcing, in instructions a request."""
    from ccslab.bench import lab

    return lab.run(settings, name)


@settings_task(KERNEL, each=True)
def bench_update(settings: Settings) -> None:
    """Make the newest measurement the baseline of --check."""
    from ccslab.bench import command

    command.update(settings)


ns = namespace(
    run=bench_run,
    compare=bench_compare,
    update=bench_update,
    equal=bench_equal,
    peers=bench_peers,
    lab=bench_lab,
)
