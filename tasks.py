# SPDX-License-Identifier: GPL-2.0-only
"""What ccs-lab does, as invoke tasks. `./inv --list` shows them, `./inv --help TASK` explains one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from invoke import Collection, Context, Exit, task

from ccslab import settings as settings_of
from ccslab.errors import InfrastructureError, LabError
from ccslab.evidence.text import one_line
from ccslab.settings import Settings

KERNEL = {"kernel": "which kernel: 6.12, stock-6.12", "arch": "x86_64 (i386 is not tested yet)"}
VM = {**KERNEL, "accel": "auto, kvm or tcg"}


def lab_task(*args: Any, **options: Any) -> Any:
    """An invoke task whose failures are one line and an exit code: 1 verdict, 2 user, 3 world."""

    def wrap(body: Callable[..., Any]) -> Any:
        @functools.wraps(body)
        def run(*given: Any, **named: Any) -> None:
            try:
                code = body(*given, **named)
            except LabError as error:
                # Without control characters: what a guest said may be in it.
                raise Exit(f"error: {one_line(str(error))}", error.exit_code) from None
            except OSError as error:  # a full or forbidden disk where nobody thought of it
                told = InfrastructureError(error.strerror or str(error), where=error.filename or "")
                raise Exit(f"error: {told}", told.exit_code) from error
            except KeyboardInterrupt:
                raise Exit(
                    "stopped; start the same command again, it goes on from what is built", 130
                ) from None
            if isinstance(code, int) and code:
                raise Exit(code=code)

        return task(run, *args, **options)

    return wrap


def choose(c: Context, **flags: object) -> Settings:
    """The settings of this run."""
    return settings_of.read(c.config.get("lab", {}), **flags)


# --- kernel -------------------------------------------------------------------------------------------


@lab_task(help={**KERNEL, "update": "ask the mirror for a newer version"})
def kernel_fetch(c, kernel="", arch="", update=False):
    """Fetch the kernel's tree from Debian, verified."""
    from ccslab.kernel import command

    command.fetch(choose(c, kernel=kernel, arch=arch), update=update)


@lab_task(help=KERNEL)
def kernel_patch(c, kernel="", arch=""):
    """Apply the series, without fuzz, to a work tree."""
    from ccslab.kernel import command

    command.patch(choose(c, kernel=kernel, arch=arch))


@lab_task(help=KERNEL)
def kernel_config(c, kernel="", arch=""):
    """Configure the kernel: tinyconfig and our fragments."""
    from ccslab.kernel import command

    command.configure(choose(c, kernel=kernel, arch=arch))


@lab_task(help={**KERNEL, "jobs": "parallel compilers (default: one a core)"})
def kernel_build(c, kernel="", arch="", jobs=""):
    """Build the kernel, if its inputs changed."""
    from ccslab.kernel import command

    command.build(choose(c, kernel=kernel, arch=arch, jobs=jobs))


# --- rootfs -------------------------------------------------------------------------------------------

RECIPE = {"recipe": "which recipe of rootfs/recipes", "arch": KERNEL["arch"]}


@lab_task(help={**RECIPE, "update": "install today's package versions"})
def rootfs_build(c, recipe="webserver", arch="", update=False):
    """Build a root filesystem's image, if its inputs changed."""
    from ccslab.labs import setup

    setup.build_image(choose(c, arch=arch), recipe, update=update)


# --- lab ----------------------------------------------------------------------------------------------


@lab_task(help={**VM, "jobs": "parallel compilers (default: one a core)"})
def lab_build(c, kernel="", arch="", accel="", jobs=""):
    """Build what the labs need: kernel and root filesystem."""
    from ccslab.labs import setup

    setup.build(choose(c, kernel=kernel, arch=arch, accel=accel, jobs=jobs), "webserver")


@lab_task(
    positional=["name"],
    help={**VM, "name": "which lab (lab.list shows them)", "golden": "make this run's policy the golden one"},
)
def lab_scenario(c, name, kernel="", arch="", accel="", golden=False):
    """Run a lab from learning to enforcing, attack it, keep the evidence."""
    from ccslab.evidence.scenario import scenario

    return scenario(choose(c, kernel=kernel, arch=arch, accel=accel), name, update_golden=golden)


@lab_task()
def lab_list(c):
    """The labs and kernels there are."""
    from ccslab.evidence import overview

    overview.show_labs(choose(c))


@lab_task(positional=["name"], help={"name": "which lab", "svg": "write a picture into this file instead"})
def lab_show(c, name, svg=""):
    """The tables of a lab's newest run again."""
    from ccslab.evidence import overview

    return overview.show_run(choose(c), name, svg=svg)


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


@lab_task(help={**VM, "lab": "whose machine", "cold": "see the whole boot, not a booted guest's checkpoint"})
def vm_boot(c, lab="apache-cgi", kernel="", arch="", accel="", cold=False):
    """A lab's machine on your terminal; Ctrl-] leaves."""
    from ccslab.labs import visiting

    visiting.boot(choose(c, kernel=kernel, arch=arch, accel=accel), lab, cold=cold)


@lab_task(help={"lab": "whose machine", "command": "run this instead of a login shell"})
def vm_ssh(c, lab="apache-cgi", command=""):
    """Log in as root to the machine that vm.boot runs."""
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


@lab_task(positional=["path"], help={"path": "old policy (1.x syntax)", "out": "folder for the result"})
def policy_convert(c, path, out=""):
    """Turn a policy of the old syntax into today's."""
    from ccslab.policy import command

    return say(command.convert_file(path, out or None))


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


def namespace(**tasks: Any) -> Collection:
    """A collection of tasks under their short names."""
    found = Collection()
    for name, one in tasks.items():
        found.add_task(one, name=name)
    return found


ns = Collection(test, lint)
for name, tasks in {
    "lab": namespace(
        build=lab_build,
        scenario=lab_scenario,
        list=lab_list,
        show=lab_show,
        status=lab_status,
        clean=lab_clean,
        doctor=lab_doctor,
    ),
    "kernel": namespace(fetch=kernel_fetch, patch=kernel_patch, config=kernel_config, build=kernel_build),
    "rootfs": namespace(build=rootfs_build),
    "vm": namespace(boot=vm_boot, ssh=vm_ssh),
    "policy": namespace(check=policy_check, diff=policy_diff, convert=policy_convert),
}.items():
    ns.add_collection(tasks, name)
