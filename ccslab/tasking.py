# SPDX-License-Identifier: GPL-2.0-only
"""How a function becomes a task: flags that many share, settings instead of flags, failures as exit codes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from ccslab import settings as settings_of
from ccslab.errors import InfrastructureError, LabError, stopped
from ccslab.evidence.text import one_line
from ccslab.kernel import catalog
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
RESUME = {"resume": "go on in the newest run of the same that broke off"}
JOBS = {"jobs": ("", "parallel compilers (default: one a core)")}


def lab_task(*args: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
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
            except KeyboardInterrupt as error:
                again = "stopped; start the same command again, it goes on from what is built"
                raise Exit(again, stopped(error).exit_code) from None
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
) -> Callable[[Callable[..., Any]], Any]:
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
            cells = catalog.expand(settings)
            return body(cells[0], **given) if len(cells) == 1 else _each(body, cells, given)

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


def _each(body: Callable[..., Any], cells: Sequence[Settings], given: Mapping[str, Any]) -> int:
    """The gravest code of all cells; neither a verdict that failed nor a cell's world stops the rest.

    :raises UserError: at once: what was asked for is wrong.
    :raises InfrastructureError: when all others are done.
    """
    codes, failed = [0], []
    for one in cells:
        try:
            codes.append(body(one, **given) or 0)
        except InfrastructureError as error:
            failed.append(f"{one.kernel} {one.arch}: {error}")
    if failed:
        raise InfrastructureError(f"{len(failed)} of {len(cells)} came to no end: {'; '.join(failed)}")
    return max(codes)


def namespace(**tasks: Any) -> Collection:
    """A collection of tasks under their short names."""
    found = Collection()
    for name, one in tasks.items():
        found.add_task(one, name=name)
    return found
