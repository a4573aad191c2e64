# SPDX-License-Identifier: GPL-2.0-only
"""Phases of a lab, by their names: of its own ``lab.py``, or those that labs share, a module each here.

A phase is a function of a :class:`~ccslab.labs.run.Run`: ``run(run)`` of its module, or the function of its
name in ``lab.py``. What a module's ``NEEDS`` names the lab must have (``definition.PARTS``),
and what its ``AFTER`` names must have come before it.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ccslab.errors import UserError, unknown

Body = Callable[[Any], None]
OWN = "lab.py"


def names() -> list[str]:
    """Those that labs share."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str, folder: Path) -> Body:
    """The phase of that name.

    :param folder: the lab's.
    :raises UserError: there is none (the nearest is suggested), or the lab's own module cannot be read.
    """
    own = module(folder)
    body = getattr(own, name.replace("-", "_"), None) if own else None
    if callable(body):
        return body  # type: ignore[no-any-return]
    if name not in names():
        raise unknown("phase", name, names())
    shared: Body = importlib.import_module(f"{__name__}.{name}").run
    return shared


def needs(name: str, folder: Path) -> tuple[str, ...]:
    """What a phase needs of its lab; of a lab's own phase nobody knows."""
    return _said(name, folder, "NEEDS")


def after(name: str, folder: Path) -> tuple[str, ...]:
    """The phases that must have come before one, for it stands on what they found."""
    return _said(name, folder, "AFTER")


def _said(name: str, folder: Path, what: str) -> tuple[str, ...]:
    words: tuple[str, ...] = getattr(sys.modules.get(find(name, folder).__module__), what, ())
    return words


@cache
def module(folder: Path) -> ModuleType | None:
    """The lab's own module, if it has one.

    :raises UserError: reading it raises; names the line.
    """
    path = folder / OWN
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location(f"lab of {folder.name}", path)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(found)
    except Exception as error:
        raise UserError(f"cannot be read: {place(error, path)}", where=path, mend="correct it") from error
    return found


def line_of(error: BaseException, path: Path) -> int | None:
    """The line of a file that an error came by; None if it did not."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)


def place(error: BaseException, path: Path) -> str:
    """What an error says, and the line of a file it came by."""
    line = line_of(error, path)
    return f"{f'line {line}: ' if line else ''}{type(error).__name__}: {error}"
