# SPDX-License-Identifier: GPL-2.0-only
"""`./inv lab.*`: labs, their runs, and what is known of both."""

from __future__ import annotations

from collections.abc import Sequence

from invoke.context import Context

from ccslab.settings import Settings
from ccslab.tasking import ACCEL, JOBS, KERNEL, RESUME, choose, lab_task, namespace, settings_task


@settings_task({**KERNEL, **ACCEL, **JOBS}, each=True)
def lab_build(settings: Settings) -> None:
    """Build what the labs need: kernel and root filesystem."""
    from ccslab.labs import setup

    setup.build_all(settings)


@settings_task(
    {**KERNEL, **ACCEL, **JOBS},
    positional=["name"],
    help={
        "name": "which lab (lab.list shows them), several with commas, or all",
        "golden": "make this run's policy the golden one",
        "timings": "also say where the time went",
        "keep": "leave the guest of what fails first, for vm.console",
        "set": "an option of the lab, NAME=NUMBER (lab.list shows them); again for each",
    },
    iterable=["set"],
)
def lab_scenario(
    settings: Settings,
    name: str,
    golden: bool = False,
    timings: bool = False,
    keep: bool = False,
    set: Sequence[str] = (),
) -> int:
    """Run a lab's phases, judge them, keep the evidence."""
    from ccslab.kernel import catalog
    from ccslab.labs import definition
    from ccslab.runs import grid
    from ccslab.runs.scenario import scenario

    cells, names = catalog.expand(settings), definition.several(name, settings.root)
    chosen = set or ()
    if len(cells) * len(names) > 1:
        labs = [definition.find(one, settings.root) for one in names]
        return grid.matrix(labs, cells, update_golden=golden, chosen=chosen)
    return scenario(cells[0], names[0], update_golden=golden, show_timings=timings, keep=keep, chosen=chosen)


@settings_task(
    {**KERNEL, **ACCEL, **JOBS},
    positional=["name"],
    help={
        "name": "which lab",
        "only": "lines and attacks only in whose domain, text or name this is",
        **RESUME,
    },
)
def lab_mutate(settings: Settings, name: str, only: str = "", resume: bool = False) -> int:
    """Whether each line of a lab's golden policy is needed."""
    from ccslab.runs.mutation import mutate

    return mutate(settings, name, only=only, resume=resume)


@settings_task(
    {**KERNEL, **ACCEL, **JOBS},
    positional=["name"],
    help={
        "name": "which lab",
        "kernel": "two with a comma, without the patches and with them; of one, its stock kernel comes first",
        "runs": "two runs' folders with a comma, instead of the kernels' newest",
    },
)
def lab_compare(settings: Settings, name: str, runs: str = "") -> int:
    """What a patch buys: two kernels beside each other, attack by attack."""
    from ccslab.runs import beside

    return beside.compare(settings, name, [folder for folder in runs.split(",") if folder])


@settings_task({**KERNEL, **ACCEL, **JOBS}, positional=["name"], help={"name": "which lab"})
def lab_parity(settings: Settings, name: str) -> int:
    """Whether a lab's policies differ between architectures as declared."""
    from ccslab.runs import beside

    return beside.on_a_par(settings, name)


@lab_task()
def lab_list(c: Context) -> None:
    """The labs and kernels there are."""
    from ccslab.runs import overview

    overview.show_labs(choose(c))


@lab_task(
    positional=["name"],
    help={
        "name": "which lab",
        "svg": "write a picture into this file instead",
        "timings": "also say where the time went",
    },
)
def lab_show(c: Context, name: str, svg: str = "", timings: bool = False) -> int:
    """The tables of a lab's newest run again."""
    from ccslab.runs import overview

    return overview.show_run(choose(c), name, svg=svg, show_timings=timings)


@lab_task(positional=["name"], help={"name": "which lab", "shots": "a folder for pictures of it (Chromium)"})
def lab_report(c: Context, name: str, shots: str = "") -> None:
    """The page of a lab's newest run again, with what was proved since."""
    from ccslab.runs import overview

    overview.report(choose(c), name, shots=shots)


@settings_task(
    {**ACCEL, **JOBS},
    positional=["run"],
    help={
        "run": "a run's folder or its name, or a lab: its newest",
        "anyway": "also if kernel, image, lab, policy or harness are others now",
    },
)
def lab_replay(settings: Settings, run: str, anyway: bool = False) -> int:
    """Repeat a run from its manifest: does it find the same?"""
    from ccslab.runs.replay import replay

    return replay(settings, run, anyway=anyway)


@lab_task()
def lab_status(c: Context) -> None:
    """What is built, and how the runs ended."""
    from ccslab.runs import overview

    overview.show_status(choose(c))


@lab_task(
    help={
        "keep": "how many runs of each lab stay",
        "all": "empty the cache too: all is built anew",
        "yes": "with --all: do not ask",
    }
)
def lab_clean(c: Context, keep: int = 3, all: bool = False, yes: bool = False) -> None:
    """Remove old runs (and with --all, all that was built)."""
    from ccslab.runs import overview

    overview.clean(choose(c), keep=keep, everything=all, sure=yes)


@lab_task()
def lab_doctor(c: Context) -> int:
    """Is this machine able to? Says what is missing and the mend."""
    from ccslab.labs import doctor

    return doctor.examine(choose(c))


ns = namespace(
    build=lab_build,
    scenario=lab_scenario,
    compare=lab_compare,
    parity=lab_parity,
    mutate=lab_mutate,
    list=lab_list,
    show=lab_show,
    report=lab_report,
    replay=lab_replay,
    status=lab_status,
    clean=lab_clean,
    doctor=lab_doctor,
)
