# SPDX-License-Identifier: GPL-2.0-only
"""A report as a reader's browser shows it: headless Chromium, for pictures and for the test of the page."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccslab import sets
from ccslab.errors import InfrastructureError
from ccslab.process import need, started
from ccslab.store import temporary

if TYPE_CHECKING:
    from selenium import webdriver

TIMEOUT_S = 120.0
# The page's script says so once the recording's player has drawn its first picture.
READY = "const at = document.getElementById('replay'); return !at || at.dataset.state === 'ready'"
LISTENS = re.compile(rb"started successfully on port (\d+)")


@dataclass(frozen=True)
class View:
    """A reader's window, in CSS pixels."""

    name: str
    width: int
    height: int
    dark: bool = False
    mobile: bool = False


VIEWS = (
    View("light", 1100, 1500),
    View("dark", 1100, 1500, dark=True),
    View("phone", 390, 844, mobile=True),
)


@contextlib.contextmanager
def shown(page: Path, view: View = VIEWS[0]) -> Iterator[webdriver.Remote]:
    """The page in a browser, all of it drawn; the browser is gone when the block ends.

    :raises InfrastructureError: Chromium is not installed or failed, or did not draw the page in time.
    """
    sets.need("pictures")
    from selenium import webdriver  # noqa: PLC0415 (of a set that is installed by need)
    from selenium.common.exceptions import TimeoutException, WebDriverException  # noqa: PLC0415
    from selenium.webdriver.common.proxy import Proxy, ProxyType  # noqa: PLC0415
    from selenium.webdriver.remote.client_config import ClientConfig  # noqa: PLC0415
    from selenium.webdriver.support.wait import WebDriverWait  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        profile = stack.enter_context(temporary.folder("chromium"))
        url = stack.enter_context(_service())
        direct = Proxy({"proxyType": ProxyType.DIRECT})
        client = ClientConfig(url, proxy=direct, timeout=int(TIMEOUT_S))
        try:
            driver = webdriver.Remote(url, options=_options(view, profile), client_config=client)
            stack.callback(driver.quit)
            driver.get(page.resolve().as_uri())
            WebDriverWait(driver, TIMEOUT_S).until(lambda one: one.execute_script(READY))
            yield driver
        except TimeoutException as error:
            raise InfrastructureError(f"the page is not drawn after {TIMEOUT_S:.0f} s", where=page) from error
        except WebDriverException as error:
            raise InfrastructureError(f"Chromium failed: {error.msg}", where=page) from error


def screenshot(page: Path, picture: Path, view: View) -> Path:
    """A picture (PNG) of the top of a page in a file.

    :raises InfrastructureError: as for :func:`shown`, or the file cannot be written.
    """
    picture.parent.mkdir(parents=True, exist_ok=True)
    with shown(page, view) as driver:
        if not driver.get_screenshot_as_file(str(picture)):
            raise InfrastructureError("the picture cannot be written", where=picture)
    return picture


def _options(view: View, profile: Path) -> webdriver.ChromeOptions:
    from selenium import webdriver  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = need("chromium", "chromium")
    for argument in ("headless=new", "disable-gpu", "hide-scrollbars", f"user-data-dir={profile}"):
        options.add_argument(f"--{argument}")
    if view.dark:
        options.add_argument("--blink-settings=preferredColorScheme=0")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # which root cannot have; the page is ours
    metrics = {"width": view.width, "height": view.height, "pixelRatio": 1, "mobile": view.mobile}
    options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    return options


@contextlib.contextmanager
def _service() -> Iterator[str]:
    """The address at which the driver of Chromium listens, on the loopback only."""
    with started([need("chromedriver", "chromium-driver"), "--port=0"]) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if found := LISTENS.search(line):
                yield f"http://127.0.0.1:{int(found[1])}"
                return
        raise InfrastructureError("Chromium's driver did not come up", mend="run chromedriver and see")
