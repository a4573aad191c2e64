# SPDX-License-Identifier: GPL-2.0-only
"""The command line run many times a second: a server that has imported it forks for each case.

The server runs in a copy of the checkout. No program of the machine can be found there, so that whatever a
case asks for, nothing is built, booted, downloaded or installed; what it may write and delete is the copy's.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.checkout import Checkout

CASE_S = 30


@dataclass(frozen=True)
class Ended:
    """How a case ended."""

    code: int
    out: str
    err: str
    cpu_s: float


class Forks:
    """The server; a context.

    :param folder: an empty folder for the copy and all that cases leave.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkout = Checkout(folder / "checkout")
        self.work = folder / "work"
        self.home = folder / "home"
        self.tmp = folder / "tmp"
        for one in (self.work, self.home, self.tmp):
            one.mkdir()

    def __enter__(self) -> Self:
        root = self.checkout.root
        environment = {
            "PATH": "/nonexistent", "HOME": str(self.home), "TMPDIR": str(self.tmp), "LANG": "C.UTF-8",
            "PYTHONPATH": f"{root}:{Path(__file__).parents[2]}", "CCSLAB_CACHE": str(self.folder / "cache"),
            "COLUMNS": "200",
            # Its list of the machine's fonts takes seconds to make.
            "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib")),
        }  # fmt: skip
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.drill.forks"],
            cwd=self.work, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._line() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        assert self.child.stdin
        self.child.stdin.close()
        self.child.wait(timeout=CASE_S)
        shutil.rmtree(self.folder / "checkout" / "runs", ignore_errors=True)

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> Ended:
        """Run the command line with these words."""
        assert self.child.stdin
        given = [[os.fsencode(word).hex() for word in words], dict(environment or {})]
        self.child.stdin.write(json.dumps(given) + "\n")
        self.child.stdin.flush()
        code, cpu_s = json.loads(self._line())
        texts = [
            (self.folder / name).read_bytes().decode("utf-8", "surrogateescape") for name in ("out", "err")
        ]
        return Ended(code, *texts, cpu_s)

    def _line(self) -> str:
        assert self.child.stdout
        return self.child.stdout.readline().strip()


def serve() -> None:
    """Import all, then fork for each line of the input."""
    import ccslab
    import tasks  # noqa: F401
    from ccslab import __main__

    for module in pkgutil.walk_packages(ccslab.__path__, "ccslab."):
        if module.name != "ccslab.labs.testinfra_tomoyo":
            importlib.import_module(module.name)
    # The tasks that start Python again would be let out of here by it.
    sys.executable = "/nonexistent/python"
    gc.freeze()  # so that no case touches, and so copies, what all share
    print("ready", flush=True)
    for line in sys.stdin:
        words, environment = json.loads(line)
        child = os.fork()
        if child == 0:
            _case(__main__.main, [os.fsdecode(bytes.fromhex(word)) for word in words], environment)
        _, status, usage = os.wait4(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime]), flush=True)


def _case(main: object, words: Sequence[str], environment: Mapping[str, str]) -> None:
    code = 99
    try:
        signal.alarm(CASE_S)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        os.environ.update(environment)
        streams = [("/dev/null", os.O_RDONLY), ("../out", os.O_WRONLY), ("../err", os.O_WRONLY)]
        for number, (name, mode) in enumerate(streams):
            os.dup2(os.open(name, mode | os.O_CREAT | (os.O_TRUNC if mode else 0), 0o644), number)
        sys.argv = ["inv", *words]
        assert callable(main)
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else bool(end.code)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
