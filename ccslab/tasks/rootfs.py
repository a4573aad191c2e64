# SPDX-License-Identifier: GPL-2.0-only
"""`./inv rootfs.*`: images of root filesystems."""

from __future__ import annotations

from ccslab.settings import Settings
from ccslab.tasking import ARCH, namespace, settings_task


@settings_task(
    ARCH,
    each=True,
    help={"recipe": "which recipe of rootfs/recipes", "update": "install today's package versions"},
)
def rootfs_build(settings: Settings, recipe: str = "webserver", update: bool = False) -> None:
    """Build a root filesystem's image, if its inputs changed."""
    from ccslab.labs import setup

    setup.build_image(settings, recipe, update=update)


ns = namespace(build=rootfs_build)
