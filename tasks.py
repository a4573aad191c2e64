# SPDX-License-Identifier: GPL-2.0-only
"""What ccs-lab does, as invoke tasks. `./inv --list` shows them, `./inv --help TASK` explains one.

A namespace is a module of ccslab/tasks.
"""

from __future__ import annotations

from invoke import Collection

from ccslab.tasking import choose, lab_task
from ccslab.tasks import bench, kernel, lab, policy, rootfs, vm


@lab_task(help={"only": "a test file or folder", "quick": "leave out what boots a guest or builds an image"})
def test(c, only="", quick=False):
    """Lint, then the tests, from the units to the lab."""
    from ccslab import quality

    return quality.check(choose(c), only=only, quick=quick)


@lab_task()
def lint(c):
    """ruff, mypy --strict and shellcheck."""
    from ccslab import quality

    return quality.lint(choose(c))


ns = Collection(test, lint)
for module in (lab, kernel, rootfs, vm, bench, policy):
    ns.add_collection(module.ns, module.__name__.rpartition(".")[2])
