# SPDX-License-Identifier: GPL-2.0-only
"""What ccs-lab does, as invoke tasks. `./inv --list` shows them, `./inv --help TASK` explains one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from invoke import Collection, Context, Exit, task

from ccslab import settings as settings_of
from ccslab.errors import LabError
from ccslab.settings import Settings

KERNEL = {"kernel": "which kernel: 6.12, stock-6.12", "arch": "x86_64 (or i386, from issue 3 on)"}
VM = {**KERNEL, "accel": "auto, kvm or tcg"}


def lab_task(*args: Any, **options: Any) -> Any:
    """An invoke task whose failures are one line and an exit code: 1 verdict, 2 user, 3 world."""

    def wrap(body: Callable[..., Any]) -> Any:
        @functools.wraps(body)
        def run(*given: Any, **named: Any) -> None:
            try:
                code = body(*given, **named)
            except LabError as error:
                raise Exit(f"error: {error}", error.exit_code) from None
            except KeyboardInterrupt:
                raise Exit("stopped; start the same command again, it goes on from what is built", 130) from None
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
    """Configure: tinyconfig and our fragments, each symbol checked."""
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
    """Build all that the labs need: kernel and root filesystem."""
    from ccslab.labs import setup

    setup.build(choose(c, kernel=kernel, arch=arch, accel=accel, jobs=jobs), "webserver")


@lab_task(positional=["name"], help={**VM, "name": "which lab", "golden": "make this run's policy the golden one"})
def lab_scenario(c, name, kernel="", arch="", accel="", golden=False):
    """Run a lab: learning to enforcing, attacked; the evidence is in runs/."""
    from ccslab.evidence.scenario import scenario

    return scenario(choose(c, kernel=kernel, arch=arch, accel=accel), name, update_golden=golden)


# --- the tree of tasks --------------------------------------------------------------------------------


def namespace(**tasks: Any) -> Collection:
    """A collection of tasks under their short names."""
    found = Collection()
    for name, one in tasks.items():
        found.add_task(one, name=name.rstrip("_"))
    return found


ns = Collection()
ns.add_collection(namespace(fetch=kernel_fetch, patch=kernel_patch, config=kernel_config, build=kernel_build), "kernel")
ns.add_collection(namespace(build=rootfs_build), "rootfs")
ns.add_collection(namespace(build=lab_build, scenario=lab_scenario), "lab")
