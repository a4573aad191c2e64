# SPDX-License-Identifier: GPL-2.0-only
"""How a function becomes a task: flags that many share, settings instead of flags, failures as exit codes."""

from __future__ import annotations

import errno
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task, task

from ccslab import settings as settings_of
from ccslab.errors import InfrastructureError, LabError, UserError, stopped
from ccslab.kernel import catalog
from ccslab.progress import console
from ccslab.settings import NUMBERS, Settings
from ccslab.sources import mirrors
from ccslab.store import examine_used

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


class NumberArgument(Argument):
    """A flag that takes a number, of its own range; invoke itself takes any number of a type."""

    def set_value(self, value: Any, cast: bool = True) -> None:
        """invoke's.

        :raises UserError: the value is no such number.
        """
        super().set_value(NUMBERS[str(self.name)].read(f"--{self.name}", value) if cast else value, cast)


def typed(one: Argument) -> Argument:
    """The argument with its number's range, if it takes a number."""
    if not one.takes_value or one.name is None or one.name not in NUMBERS:
        return one
    return NumberArgument(
        names=one.names,
        kind=int if NUMBERS[one.name].whole else float,
        default=one.default,
        help=one.help,
        positional=one.positional,
        attr_name=one.attr_name,
    )


class LabTask(Task[Any]):
    """invoke's task with our numbers."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """invoke's."""
        return [typed(one) for one in super().get_arguments(ignore_unknown_help)]


def failure_of(error: Exception) -> LabError | None:
    """What went wrong as one line, if it is not a bug of ours."""
    match error:
        case LabError():
            return error
        case OSError(errno=errno.ENAMETOOLONG | errno.ELOOP):
            told = error.strerror or ""
            return UserError(told, where=error.filename or "", mend="give another path")
        case OSError():  # a full or forbidden disk where nobody thought of it
            where = error.filename or ""
            return InfrastructureError(error.strerror or str(error), where=where)
        case MemoryError():
            return InfrastructureError(
                "this machine's memory is used up", mend="end other programs, then try again"
            )
    return None


def lab_task(*args: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """An invoke task whose failures are one line and an exit code: 1 verdict, 2 user, 3 world."""

    def wrap(body: Callable[..., Any]) -> Any:
        again = _once_more(body)

        @functools.wraps(body)
        def run(*given: Any, **named: Any) -> None:
            try:
                code = again(*given, **named)
            except Exception as error:
                failure = failure_of(error)
                if failure is None:
                    raise  # a bug: __main__ reports it as one
                raise Exit(f"error: {failure}", failure.exit_code) from error
            except KeyboardInterrupt as error:
                word = "stopped; start the same command again, it goes on from what is built"
                raise Exit(word, stopped(error).exit_code) from None
            if isinstance(code, int) and code:
                raise Exit(code=code)

        return task(run, *args, klass=LabTask, **options)

    return wrap


def _once_more(body: Callable[..., Any]) -> Callable[..., Any]:
    """What runs ``body``, and once more if it failed and an artifact that it used turns out to be damaged.

    Whatever failed then, a check of a lab or a patch that did not apply, says nothing of what was tried. The
    damaged artifact is set aside, and made again by the second try.
    """

    def run(*given: Any, **named: Any) -> Any:
        try:
            code = body(*given, **named)
        except Exception as error:
            # Hashing a kernel's tree takes seconds, which a person who corrects a patch would wait each time.
            if not _damaged(also_many=not isinstance(error, UserError), why=str(error)):
                raise
        else:
            if not isinstance(code, int) or not code or not _damaged(also_many=False):
                return code
        return body(*given, **named)

    return run


def _damaged(*, also_many: bool, why: str = "") -> bool:
    """Whether something that was used is damaged; it is set aside, and the person told.

    :param why: what failed, if that was not told yet.
    """
    damaged = examine_used(also_many=also_many)
    if damaged and why:
        console.print(f"  {why}")
    for line in damaged:
        console.print(f"  {line}")
    if damaged:
        console.print("  that counts for nothing: trying once more")
    return bool(damaged)


def choose(c: Context, **flags: object) -> Settings:
    """The settings of this run; its mirrors are this process's from now on."""
    settings = settings_of.read(c.config.get("lab", {}), **flags)
    mirrors.configure(settings.mirror, settings.keyring)
    return settings


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

        mine = [
            one.replace(default=None) if one.default == () else one
            for one in list(inspect.signature(body).parameters.values())[1:]
        ]
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
        several += options.pop("iterable", [])
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
