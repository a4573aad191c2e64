# SPDX-License-Identifier: GPL-2.0-only
"""What the ``policy.*`` tasks do: text to print and an exit status."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ccslab import output
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, InfrastructureError, UserError
from ccslab.policy import audit
from ccslab.policy.check import ERROR, Problem, check_file, check_folder
from ccslab.policy.convert import convert
from ccslab.policy.diff import Diff, diff_domains, diff_exceptions, diff_managers, diff_profiles
from ccslab.policy.domain import parse_domain_policy
from ccslab.policy.exception import parse_exception_policy
from ccslab.policy.explain import explain
from ccslab.policy.kind import NAMES, kind_of
from ccslab.policy.manager import parse_manager
from ccslab.policy.profile import parse_profile
from ccslab.policy.source import read_text


@dataclass(frozen=True)
class Outcome:
    """What a command prints and its exit status (0, or 1 for problems or differences found)."""

    text: str
    status: int


def check(path: str | Path) -> Outcome:
    """Name the problems of a policy file or folder; status 1 if one of them is an error."""
    problems: list[Problem] = check_folder(path) if Path(path).is_dir() else check_file(path)
    errors = sum(problem.severity == ERROR for problem in problems)
    verdict = f"{path}: {errors} error(s), {len(problems) - errors} warning(s)"
    return Outcome("\n".join([*map(str, problems), verdict]), EXIT_VERDICT if errors else EXIT_PASSED)


def _domain(a: str, b: str, names: tuple[str, str]) -> Diff:
    return diff_domains(parse_domain_policy(a, names[0]), parse_domain_policy(b, names[1]))


def _exception(a: str, b: str, names: tuple[str, str]) -> Diff:
    return diff_exceptions(parse_exception_policy(a, names[0]), parse_exception_policy(b, names[1]))


def _profile(a: str, b: str, names: tuple[str, str]) -> Diff:
    return diff_profiles(parse_profile(a, names[0]), parse_profile(b, names[1]))


def _manager(a: str, b: str, names: tuple[str, str]) -> Diff:
    return diff_managers(parse_manager(a, names[0]), parse_manager(b, names[1]))


_DIFFS: dict[str, Callable[[str, str, tuple[str, str]], Diff]] = {
    "domain": _domain,
    "exception": _exception,
    "profile": _profile,
    "manager": _manager,
}


def _pairs(a: Path, b: Path) -> list[tuple[Path, Path]]:
    for path in (a, b):
        if not path.exists():
            raise UserError("there is no such file or folder", where=path, mend="give two policies")
    if not a.is_dir() and not b.is_dir():
        return [(a, b)]
    if not (a.is_dir() and b.is_dir()):
        raise UserError(
            "a folder and a file cannot be compared", where=f"{a} {b}", mend="give two files or two folders"
        )
    files = [f"{name}.conf" for name, kind in NAMES.items() if kind in _DIFFS]
    found = [(a / name, b / name) for name in files if (a / name).is_file() and (b / name).is_file()]
    alone = [name for name in files if (a / name).is_file() != (b / name).is_file()]
    if alone:
        raise UserError(
            f"{', '.join(alone)} only in one folder", where=f"{a} {b}", mend="give folders of the same files"
        )
    if not found:
        raise UserError(
            "no policy file in either folder", where=f"{a} {b}", mend=f"expected {', '.join(files)}"
        )
    return found


def diff(a: str | Path, b: str | Path) -> Outcome:
    """Compare two policy files or folders by what they mean; status 1 if they differ."""
    out: list[str] = []
    for one, other in _pairs(Path(a), Path(b)):
        texts = read_text(one), read_text(other)
        kinds = [kind_of(texts[0], one.name), kind_of(texts[1], other.name)]
        kind = kinds[0] or kinds[1]
        if kind not in _DIFFS or kinds[1] not in (kind, ""):
            said = " and ".join(kind or "unknown" for kind in kinds)
            raise UserError(
                f"cannot compare {said}",
                where=f"{one} {other}",
                mend=f"give two files of one kind: {', '.join(_DIFFS)}",
            )
        found = _DIFFS[kind](*texts, (str(one), str(other)))
        if found:
            out += [f"--- {one}", f"+++ {other}", *found.lines()]
    return Outcome("\n".join(out), EXIT_VERDICT if out else EXIT_PASSED)


def explain_log(path: str | Path) -> Outcome:
    """Say what an audit log, or the one in a run's folder, tells, as a person would.

    :raises UserError: there is no log, no record in it, or a request is not of the language.
    """
    log = Path(path) / audit.FILE if Path(path).is_dir() else Path(path)
    found = list(audit.scan_records(read_text(log)))
    records = [record for _, record, _ in found if record]
    if not records:
        raise UserError("no audit record in it", where=log, mend="give a log of TOMOYO, or a run's folder")
    told = [one.format() for one in explain(records)]
    faults = [f"{log}, offset {offset}: left out, {fault}" for offset, record, fault in found if not record]
    return Outcome("\n".join([*told, *faults]), EXIT_PASSED)


def convert_file(path: str | Path, out: str | Path | None = None) -> Outcome:
    """Convert a file of the 1.x language; print the result, or write it to the folder ``out``.

    Warnings are in the text, as comments where the result is printed.
    """
    result = convert(read_text(Path(path)))
    files = {
        "domain_policy.conf": result.domain.format(),
        "exception_policy.conf": result.exception.format(),
        "profile.conf": result.profile.format(),
    }
    warnings = [f"{path}: {warning}" for warning in result.warnings]
    if out is None:
        parts = [f"# {name}\n{text}" for name, text in files.items() if text]
        return Outcome("\n".join([*(f"# {warning}" for warning in warnings), *parts]), EXIT_PASSED)
    folder = Path(out)
    written = [name for name, text in files.items() if text]
    for name in written:
        same = files[name].encode("ascii")
        output.check_file(folder / name, lambda content, same=same: content == same, "--out")  # type: ignore[misc]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in written:
            (folder / name).write_text(files[name], encoding="ascii")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InfrastructureError("disk full", where=folder, mend="free some space") from None
        raise UserError(f"cannot write: {error.strerror}", where=folder, mend="give another --out") from None
    return Outcome("\n".join([*warnings, f"{folder}: {', '.join(written)} written"]), EXIT_PASSED)
