# SPDX-License-Identifier: GPL-2.0-only
"""What ccs-lab does, as invoke tasks. `./inv --list` shows them, `./inv --help TASK` explains one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from invoke import Collection, Context, Exit, task

from ccslab import settings as settings_of
from ccslab.errors import InfrastructureError, LabError
from ccslab.evidence.text import one_line
from ccslab.settings import Settings

# What decides which kernel it is; most tasks take these.
KERNEL: dict[str, tuple[Any, str]] = {
    "kernel": ("", "which one (kernel.list shows them), several with commas, or all"),
    "arch": ("", "x86_64, i386 or all"),
    "tree": ("", "your kernel source instead: a folder, or an archive with --sha256"),
    "sha256": ("", "what the archive's hash must be"),
    "patchset": ("", "none, ccs, or yours: a folder, archive or manifest (docs/patchsets.md)"),
    "fragment": ((), "a further kconfig fragment; may be repeated"),
    "debug": (False, "build in KASAN, lockdep and other checks of the kernel's own"),
}
ARCH = {"arch": KERNEL["arch"]}
ACCEL = {"accel": ("", "auto, kvm or tcg")}
JOBS = {"jobs": ("", "parallel compilers (default: one a core)")}


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


def settings_task(
    flags: dict[str, tuple[Any, str]],
    *,
    each: bool = False,
    help: dict[str, str] | None = None,
    **options: Any,
) -> Any:
    """A task that takes these flags too; its body gets the settings they give instead.

    :param flags: name -> (default, help text).
    :param each: call the body for every kernel and architecture that the flags name.
    """

    def wrap(body: Callable[..., Any]) -> Any:
        @functools.wraps(body)
        def run(c: Context, **given: Any) -> Any:
            settings = choose(c, **{name: given.pop(name) for name in flags})
            if not each:
                return body(settings, **given)
            from ccslab.kernel import catalog

            # A verdict that failed does not stop the rest; an error does.
            return max([body(one, **given) or 0 for one in catalog.expand(settings)])

        mine = list(inspect.signature(body).parameters.values())[1:]
        more = [
            # invoke takes the default's type for the flag's, except None's.
            inspect.Parameter(
                name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None if default == () else default
            )
            for name, (default, _) in flags.items()
        ]
        context = inspect.Parameter("c", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__signature__ = inspect.Signature([context, *mine, *more])  # type: ignore[attr-defined]
        told = {**{name: text for name, (_, text) in flags.items()}, **(help or {})}
        several = [name for name, (default, _) in flags.items() if default == ()]
        return lab_task(help=told, iterable=several, **{"positional": [], **options})(run)

    return wrap


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
    help={"name": "which lab (lab.list shows them)", "golden": "make this run's policy the golden one"},
)
def lab_scenario(settings, name, golden=False):
    """Run a lab from learning to enforcing, attack it, keep the evidence."""
    from ccslab.evidence import grid
    from ccslab.evidence.scenario import scenario
    from ccslab.kernel import catalog

    cells = catalog.expand(settings)
    if len(cells) > 1:
        return grid.matrix(cells, name, update_golden=golden)
    return scenario(cells[0], name, update_golden=golden)


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


@settings_task(
    {**KERNEL, **ACCEL},
    help={"lab": "whose machine", "cold": "see the whole boot, not a booted guest's checkpoint"},
)
def vm_boot(settings, lab="apache-cgi", cold=False):
    """A lab's machine on your terminal; Ctrl-] leaves."""
    from ccslab.labs import visiting

    visiting.boot(settings, lab, cold=cold)


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
        compare=lab_compare,
        parity=lab_parity,
        list=lab_list,
        show=lab_show,
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
    "vm": namespace(boot=vm_boot, ssh=vm_ssh),
    "bench": namespace(
        run=bench_run,
        compare=bench_compare,
        update=bench_update,
        equal=bench_equal,
        peers=bench_peers,
        lab=bench_lab,
    ),
    "policy": namespace(check=policy_check, diff=policy_diff, convert=policy_convert),
}.items():
    ns.add_collection(tasks, name)
