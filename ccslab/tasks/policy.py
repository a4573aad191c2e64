# SPDX-License-Identifier: GPL-2.0-only
"""`./inv policy.*`: policies as texts."""

from __future__ import annotations

from typing import Any

from invoke.context import Context

from ccslab.tasking import lab_task, namespace
from ccslab.visible import visible


def say(outcome: Any) -> int:
    """Print a policy command's text; its status is the task's."""
    print(visible(outcome.text))
    return int(outcome.status)


@lab_task(positional=["path"], help={"path": "policy file or folder"})
def policy_check(c: Context, path: str) -> int:
    """Name the problems of a policy file or folder."""
    from ccslab.policy import command

    return say(command.check(path))


@lab_task(positional=["a", "b"], help={"a": "policy file or folder", "b": "the other one"})
def policy_diff(c: Context, a: str, b: str) -> int:
    """What differs between two policies in what they mean."""
    from ccslab.policy import command

    return say(command.diff(a, b))


@lab_task(positional=["path"], help={"path": "audit log, or a run's folder"})
def policy_explain(c: Context, path: str) -> int:
    """An audit log in plain sentences, with the lines that would allow it."""
    from ccslab.policy import command

    return say(command.explain_log(path))


@lab_task(positional=["path"], help={"path": "old policy (1.x syntax)", "out": "folder for the result"})
def policy_convert(c: Context, path: str, out: str = "") -> int:
    """Turn a policy of the old syntax into today's."""
    from ccslab.policy import command

    return say(command.convert_file(path, out or None))


ns = namespace(
    check=policy_check,
    diff=policy_diff,
    explain=policy_explain,
    convert=policy_convert,
)
