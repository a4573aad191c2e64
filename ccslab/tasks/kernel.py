# SPDX-License-Identifier: GPL-2.0-only
"""`./inv kernel.*`: trees, series and kernels."""

from __future__ import annotations

from invoke.context import Context

from ccslab.settings import Settings
from ccslab.tasking import JOBS, KERNEL, choose, lab_task, namespace, settings_task


@lab_task()
def kernel_list(c: Context) -> None:
    """The kernels there are: their trees, series, and what is built."""
    from ccslab.kernel import command

    command.show(choose(c))


@settings_task(KERNEL, each=True, help={"update": "ask the mirror for a newer version"})
def kernel_fetch(settings: Settings, update: bool = False) -> None:
    """Fetch the kernel's tree, verified."""
    from ccslab.kernel import command

    command.fetch(settings, update=update)


@settings_task(KERNEL, each=True)
def kernel_patch(settings: Settings) -> None:
    """Apply the patchset, without fuzz, to a work tree."""
    from ccslab.kernel import command

    command.patch(settings)


@settings_task(KERNEL, each=True)
def kernel_config(settings: Settings) -> None:
    """Configure the kernel: tinyconfig and our fragments."""
    from ccslab.kernel import command

    command.configure(settings)


@settings_task({**KERNEL, **JOBS}, each=True)
def kernel_build(settings: Settings) -> None:
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
def kernel_port(
    c: Context,
    to: str = "",
    from_: str = "",
    patchset: str = "",
    sha256: str = "",
    out: str = "",
    force: bool = False,
) -> int:
    """Try each patch of a series on another tree."""
    from ccslab.kernel.port import command

    settings = choose(c, kernel=from_, patchset=patchset, sha256=sha256)
    return command.port(settings, to=to, out=out, force=force)


ns = namespace(
    list=kernel_list,
    fetch=kernel_fetch,
    patch=kernel_patch,
    config=kernel_config,
    build=kernel_build,
    port=kernel_port,
)
