# SPDX-License-Identifier: GPL-2.0-only
"""Our series with one patch more, which makes the kernel worse: what a test must be red for."""

from __future__ import annotations

import shutil
from pathlib import Path

from ccslab.settings import ROOT

DATA = Path(__file__).parent / "data"
# Named as the series it is on top of, and so taken for it.
MANIFEST = """\
name = "ccs"
loader = "/sbin/ccs-init"
interface = "/proc/ccs"
[patches]
"6.12" = "series"
"""


def patchset(name: str, folder: Path) -> Path:
    """The series for 6.12 with the patches of ``data/<name>`` on top, as a patchset in a new folder."""
    shutil.copytree(ROOT / "kernel-patches/ccs/6.12", folder)
    with (folder / "series").open("a") as series:
        for patch in sorted((DATA / name).glob("*.patch")):
            shutil.copy(patch, folder)
            series.write(f"{patch.name}\n")
    (folder / "patchset.toml").write_text(MANIFEST)
    return folder
