# SPDX-License-Identifier: GPL-2.0-only
"""A report as a reader's browser shows it: headless Chromium, for pictures and for the test of the page."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.process import need, run

TIMEOUT_S = 120.0
DRAWN_MS = 5000  # of the page's own time, until scripts have drawn what they draw


@dataclass(frozen=True)
class View:
    """A reader's window."""

    name: str
    width: int
    height: int
    dark: bool = False


VIEWS = (
    View("light", 1100, 1500),
    View("dark", 1100, 1500, dark=True),
    View("phone", 500, 1000),  # Chromium's least width
)


def screenshot(page: Path, picture: Path, view: View) -> Path:
    """A picture (PNG) of the top of a page in a file.

    :raises InfrastructureError: Chromium is not installed, or drew nothing.
    """
    picture.unlink(missing_ok=True)
    colours = ["--blink-settings=preferredColorScheme=0"] if view.dark else []
    _chromium(page, view, f"--screenshot={picture}", *colours)
    if not picture.is_file():
        raise InfrastructureError("Chromium drew nothing", where=page)
    return picture


def document(page: Path, view: View = VIEWS[0]) -> str:
    """What the page is once its scripts have run, as HTML.

    :raises InfrastructureError: Chromium is not installed or failed.
    """
    return _chromium(page, view, "--dump-dom")


def _chromium(page: Path, view: View, *what: str) -> str:
    with tempfile.TemporaryDirectory(prefix="ccslab-chromium-") as profile:
        log = Path(profile) / "said"
        run(
            [
                need("chromium", "chromium"),
                "--headless=new",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),  # which root cannot have; the page is ours
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={profile}/profile",
                f"--window-size={view.width},{view.height}",
                f"--virtual-time-budget={DRAWN_MS}",
                *what,
                page.resolve().as_uri(),
            ],
            timeout_s=TIMEOUT_S,
            log=log,
        )
        return log.read_text(errors="replace")
