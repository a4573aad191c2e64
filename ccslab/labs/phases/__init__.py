# SPDX-License-Identifier: GPL-2.0-only
"""Phases that labs share: a module each, whose ``run`` is a function of a :class:`~ccslab.labs.run.Run`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from ccslab.errors import unknown


def names() -> list[str]:
    """All of them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> Callable[[Any], None]:
    """The phase of that name.

    :raises UserError: there is none; the nearest is suggested.
    """
    if name not in names():
        raise unknown("phase", name, names())
    body: Callable[[Any], None] = importlib.import_module(f"{__name__}.{name}").run
    return body
