# SPDX-License-Identifier: GPL-2.0-only
"""What ccs-lab does, as invoke tasks. `./inv --list` shows them, `./inv --help TASK` explains one."""

from __future__ import annotations

from typing import Any

from invoke import Collection

from ccslab import settings as settings_of
from ccslab.tasking import ACCEL, ARCH, JOBS, KERNEL, choose, lab_task, namespace, settings_task

# --- kernel -------------------------------------------------------------------------------------------


@lab_task()
def kernel_list(c):
    """The kernels there are: their trees, series, and what is built."""
    from ccslab.kernel import command

    command.show(choose(c))


@settings_task(KERNEL, each=True, help={"update": "ask the mirror for a newer version"})
def kernel_fetch(settings, update=False):
    """Fetch the kernel's tree, verified."""
    from ccslab.kernel import command

    command.fetch(settings, update=update)


@settings_task(KERNEL, each=True)
def kernel_patch(settings):
    """Apply the patchset, without fuzz, to a work tree."""
    from ccslab.kernel import command

    command.patch(settings)


@settings_task(KERNEL, each=True)
def kernel_config(settings):
    """Configure the kernel: tinyconfig and our fragments."""
    from ccslab.kernel import command

    command.configure(settings)


@settings_task({**KERNEL, **JOBS}, each=True)
def kernel_build(settings):
    """Build the kernel, if its inputs changed."""
    from ccslab.kernel import command

    command.build(settings)


@lab_task(
    help={
        "to": "the new tree: a kernel's name, your folder, or an archive with --sha256",
        "from": "the kernel whose series it is",
        "patchset": KERNEL["patchset"][1],
        "sha256": KERNEL["sha256"][1],
        "out": "folder for the new series and the report; an earlier one goes on",
        "force": "write over what is in that folder",
    }
)
def kernel_port(c, to="", from_="", patchset="", sha256="", out="", force=False):
    """Try each patch of a series on another tree."""
    from ccslab.kernel.port import command

    settings = choose(c, kernel=from_, patchset=patchset, sha256=sha256)
    return command.port(settings, to=to, out=out, force=force)


# --- rootfs -------------------------------------------------------------------------------------------


@settings_task(
    ARCH,
    each=True,
    help={"recipe": "which recipe of rootfs/recipes", "update": "install today's package versions"},
)
def rootfs_build(settings, recipe="webserver", update=False):
    """Build a root filesystem's image, if its inputs changed."""
    from ccslab.labs import setup

    setup.build_image(settings, recipe, update=update)


# --- lab ----------------------------------------------------------------------------------------------


@settings_task({**KERNEL, **ACCEL, **JOBS}, each=True)
def lab_build(settings):
    """Build what the labs need: kernel and root filesystem."""
    from ccslab.labs import setup

    setup.build(settings, "webserver")


@settings_task(
    {**KERNEL, **ACCEL, **JOBS},
    positional=["name"],
    help={
        "name": "which lab (lab.list shows them)",
        "golden": "make this run's policy the golden one",
        "timings": "also say where the time went",
        "keep": "leave the guest of what fails first, for vm.console",
    },
)
def lab_scenario(settings, name, golden=False, timings=False, keep=False):
    """Run a lab from learning to enforcing, attack it, keep the evidence."""
    from ccslab.evidence import grid
    from ccslab.evidence.scenario import scenario
    from ccslab.kernel import catalog

    cells = catalog.expand(settings)
    if len(cells) > 1:
        return grid.matrix(cells, name, update_golden=golden)
    return scenario(cells[0], name, update_golden=golden, show_timings=timings, keep=keep)


@settings_task(
    {**KERNEL, **ACCEL, **JOBS},
    positional=["name"],
    help={"name": "which lab", "only": "lines and attacks only in whose domain, text or name this is"},
)
def lab_mutate(settings, name, only=""):
    """Whether each line of a lab's golden policy is needed."""
    from ccslab.evidence.mutation import mutate

    return mutate(settings, name, only=only)


@settings_task(
    {**KERNEL, **ACCEL, **JOBS},
    positional=["name"],
    help={
        "name": "which lab",
        "kernel": "two with a comma, without the patches and with them; of one, its stock kernel comes first",
        "runs": "two runs' folders with a comma, instead of the kernels' newest",
    },
)
def lab_compare(settings, name, runs=""):
    """What a patch buys: two kernels beside each other, attack by attack."""
    from ccslab.evidence import beside

    return beside.compare(settings, name, [folder for folder in runs.split(",") if folder])


@settings_task({**KERNEL, **ACCEL, **JOBS}, positional=["name"], help={"name": "which lab"})
def lab_parity(settings, name):
    """Whether a lab's policies differ between architectures as declared."""
    from ccslab.evidence import beside

    return beside.on_a_par(settings, name)


@settings_task({**KERNEL, **JOBS})
def lab_controls(settings):
    """Every control in every mode: is it learned, logged, denied, granted?"""
    from ccslab.evidence.controls import control

    return control(settings)


@settings_task(
    {**KERNEL, **JOBS},
    help={
        "cycles": "how often policy is loaded and deleted",
        "minutes": "how long the interface is fuzzed",
        "seed": "the same begins the same",
    },
)
def lab_interface(settings, cycles=1000, minutes=1.0, seed=1):
    """Policy of every kind, loaded, saved and deleted; then the interface is fuzzed."""
    from ccslab.evidence import interface

    return interface.examine(settings, cycles=cycles, minutes=minutes, seed=seed)


@lab_task()
def lab_list(c):
    """The labs and kernels there are."""
    from ccslab.evidence import overview

    overview.show_labs(choose(c))


@lab_task(
    positional=["name"],
    help={
        "name": "which lab",
        "svg": "write a picture into this file instead",
        "timings": "also say where the time went",
    },
)
def lab_show(c, name, svg="", timings=False):
    """The tables of a lab's newest run again."""
    from ccslab.evidence import overview

    return overview.show_run(choose(c), name, svg=svg, show_timings=timings)


@lab_task(positional=["name"], help={"name": "which lab", "shots": "a folder for pictures of it (Chromium)"})
def lab_report(c, name, shots=""):
    """The page of a lab's newest run again, with what was proved since."""
    from ccslab.evidence import overview

    overview.report(choose(c), name, shots=shots)


@settings_task(
    {**ACCEL, **JOBS},
    positional=["run"],
    help={
        "run": "a run's folder or its name, or a lab: its newest",
        "anyway": "also if kernel, image, lab, policy or harness are others now",
    },
)
def lab_replay(settings, run, anyway=False):
    """Repeat a run from its manifest: does it find the same?"""
    from ccslab.evidence.replay import replay

    return replay(settings, run, anyway=anyway)


@lab_task()
def lab_status(c):
    """What is built, and how the runs ended."""
    from ccslab.evidence import overview

    overview.show_status(choose(c))


@lab_task(help={"keep": "how many runs of each lab stay", "all": "empty the cache too: all is built anew"})
def lab_clean(c, keep="3", all=False):
    """Remove old runs (and with --all, all that was built)."""
    from ccslab.evidence import overview

    overview.clean(choose(c), keep=settings_of.whole_number("keep", keep), everything=all)


@lab_task()
def lab_doctor(c):
    """Is this machine able to? Says what is missing and the mend."""
    from ccslab.labs import doctor

    return doctor.examine(choose(c))


# --- vm -----------------------------------------------------------------------------------------------


@settings_task(
    {**KERNEL, **ACCEL},
    help={"lab": "whose machine", "cold": "see the whole boot, not a booted guest's checkpoint"},
)
def vm_boot(settings, lab="apache-cgi", cold=False):
    """A lab's machine on your terminal; Ctrl-] leaves."""
    from ccslab.labs import visiting

    visiting.boot(settings, lab, cold=cold)


@settings_task(
    {**ACCEL},
    positional=["run"],
    help={"run": "the folder or name of a run that was made with lab.scenario --keep"},
)
def vm_console(settings, run):
    """The guest that a run kept, on your terminal; Ctrl-] leaves."""
    from ccslab.evidence import overview

    overview.enter(settings, run)


@lab_task(help={"lab": "whose machine", "command": "run this instead of a login shell"})
def vm_ssh(c, lab="apache-cgi", command=""):
    """Log in as root to the machine that vm.boot or vm.console runs."""
    from ccslab.labs import visiting

    return visiting.ssh(choose(c), lab, command)


# --- policy -------------------------------------------------------------------------------------------


def say(outcome: Any) -> int:
    """Print a policy command's text; its status is the task's."""
    print(outcome.text)
    return int(outcome.status)


@lab_task(positional=["path"], help={"path": "policy file or folder"})
def policy_check(c, path):
    """Name the problems of a policy file or folder."""
    from ccslab.policy import command

    return say(command.check(path))


@lab_task(positional=["a", "b"], help={"a": "policy file or folder", "b": "the other one"})
def policy_diff(c, a, b):
    """What differs between two policies in what they mean."""
    from ccslab.policy import command

    return say(command.diff(a, b))


@lab_task(positional=["path"], help={"path": "audit log, or a run's folder"})
def policy_explain(c, path):
    """An audit log in plain sentences, with the lines that would allow it."""
    from ccslab.policy import command

    return say(command.explain_log(path))


@lab_task(positional=["path"], help={"path": "old policy (1.x syntax)", "out": "folder for the result"})
def policy_convert(c, path, out=""):
    """Turn a policy of the old syntax into today's."""
    from ccslab.policy import command

    return say(command.convert_file(path, out or None))


# --- bench --------------------------------------------------------------------------------------------

MEASURED = {
    "plan": "short, or long: what is measured (ccslab/bench/plan.toml)",
    "check": "compare with the kernel's baseline in ci/baselines, to 3 %",
}


@settings_task({**KERNEL, **JOBS}, each=True, help=MEASURED)
def bench_run(settings, plan="short", check=False):
    """What system calls cost, by mode and rules, in instructions."""
    from ccslab.bench import command

    return command.run(settings, plan_name=plan, against_baseline=check)


@settings_task(
    ARCH,
    each=True,
    positional=["before", "after"],
    help={"before": "a kernel's name, or a measurement's folder", "after": "another"},
)
def bench_compare(settings, before, after):
    """What costs more in one of two measurements."""
    from ccslab.bench import command

    command.compare(settings, before, after)


ASKED = {
    "before": "a kernel's name",
    "after": "another's; the flags (--patchset, --fragment ...) are about this one",
    "policies": "how many random policies, of 40 requests each",
    "seed": "the same gives the same policies",
}


OTHER = {name: flag for name, flag in KERNEL.items() if name not in ("kernel", "tree", "sha256")}


@settings_task({**OTHER, **JOBS}, each=True, positional=["before", "after"], help=ASKED)
def bench_equal(settings, before, after, policies=1000, seed=1):
    """Do two kernels answer alike under random policies?"""
    from ccslab.bench import equal

    return equal.compare(settings, before, after, count=policies, seed=seed)


@settings_task({**KERNEL, **JOBS}, each=True, help={"most": "leave out what has more rules than this"})
def bench_peers(settings, most=10000):
    """TOMOYO beside AppArmor, SELinux and Smack in one kernel."""
    from ccslab.bench import peers

    peers.run(settings, most=most)


@settings_task(
    {**KERNEL, **JOBS}, each=True, positional=["name"], help={"name": "a lab: lab.list shows them"}
)
def bench_lab(settings, name):
    """What a lab's visitors pay for enforcing, in instructions a request."""
    from ccslab.bench import lab

    return lab.run(settings, name)


@settings_task(KERNEL, each=True)
def bench_update(settings):
    """Make the newest measurement the baseline of --check."""
    from ccslab.bench import command

    command.update(settings)


# --- the lab itself -----------------------------------------------------------------------------------


@lab_task(help={"only": "a test file or folder", "quick": "leave out what boots a guest"})
def test(c, only="", quick=False):
    """Lint, unit tests, integration tests and the lab."""
    from ccslab import quality

    return quality.check(choose(c), only=only, quick=quick)


@lab_task()
def lint(c):
    """ruff, mypy --strict and shellcheck."""
    from ccslab import quality

    return quality.lint(choose(c))


# --- the tree of tasks --------------------------------------------------------------------------------


ns = Collection(test, lint)
for name, tasks in {
    "lab": namespace(
        build=lab_build,
        scenario=lab_scenario,
        compare=lab_compare,
        parity=lab_parity,
        mutate=lab_mutate,
        controls=lab_controls,
        interface=lab_interface,
        list=lab_list,
        show=lab_show,
        report=lab_report,
        replay=lab_replay,
        status=lab_status,
        clean=lab_clean,
        doctor=lab_doctor,
    ),
    "kernel": namespace(
        list=kernel_list,
        fetch=kernel_fetch,
        patch=kernel_patch,
        config=kernel_config,
        build=kernel_build,
        port=kernel_port,
    ),
    "rootfs": namespace(build=rootfs_build),
    "vm": namespace(boot=vm_boot, console=vm_console, ssh=vm_ssh),
    "bench": namespace(
        run=bench_run,
        compare=bench_compare,
        update=bench_update,
        equal=bench_equal,
        peers=bench_peers,
        lab=bench_lab,
    ),
    "policy": namespace(
        check=policy_check,
        diff=policy_diff,
        explain=policy_explain,
        convert=policy_convert,
    ),
}.items():
    ns.add_collection(tasks, name)
