# SPDX-License-Identifier: GPL-2.0-only
"""What ``test`` and ``lint`` do to the lab itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from ccslab import sets
from ccslab.errors import EXIT_PASSED, EXIT_VERDICT, UserError
from ccslab.process import need
from ccslab.settings import Settings
from ccslab.store import hash_tree

PYTHON_FILES = ("ccslab", "noxfile.py", "tasks.py", "tests", "labs")
# As modules: the scripts beside the interpreter know only the place where they were installed.
LINTERS: Sequence[Sequence[str]] = (
    (sys.executable, "-m", "ruff", "format", "--check", *PYTHON_FILES),
    (sys.executable, "-m", "ruff", "check", *PYTHON_FILES),
    (sys.executable, "-m", "mypy"),
)
LINTED = ("test", "plots", "pictures")
"""The sets that linters need: mypy reads the types of all that is imported."""
TESTED = (*LINTED, "peers")

WITHOUT_GUESTS = ("tests/unit", "tests/processes", "tests/drill")
"""The folders of tests that boot nothing."""
# A worker may have a guest of a GiB, and builds what it boots.
WORKER_BYTES = 2 << 30

SHELL_SCRIPTS = (
    "inv",
    ".ci/run",
    "requirements/lock",
    "ccslab/rootfs/*.sh",
    "labs/*/guest/*",
    "rootfs/recipes/hooks/*.sh",
)


def lint(settings: Settings) -> int:
    """Run every linter; returns 0, or 1 if one of them complains.

    :raises InfrastructureError: what they need cannot be installed.
    """
    for name in LINTED:
        sets.need(name)
    shellcheck = need("shellcheck", "shellcheck")
    scripts = [str(path) for pattern in SHELL_SCRIPTS for path in sorted(settings.root.glob(pattern))]
    failed = [argv for argv in (*LINTERS, [shellcheck, *scripts]) if _call(settings, argv)]
    return EXIT_VERDICT if failed else EXIT_PASSED


def check(settings: Settings, *, only: str = "", quick: bool = False) -> int:
    """Lint, other Pythons, pytest over all (or ``only``) tests; its summary comes last. Returns an exit code.

    Tests marked ``nightly`` run only where their file is named. There are as many workers as cores; a single
    file, and ``tests/integration`` alone, have one.

    :param quick: only :data:`WITHOUT_GUESTS`.
    :raises UserError: ``only`` is not there.
    :raises InfrastructureError: what the tests need cannot be installed.
    """
    if only and not (settings.root / only.partition("::")[0]).exists():
        raise UserError("there is no such test file or folder", where=only, mend="name one below tests")
    for name in TESTED:
        sets.need(name)
    if not only and lint(settings):
        return EXIT_VERDICT
    if not only and _other_pythons(settings):
        return EXIT_VERDICT
    marked = " and ".join(
        f"not {marker}" for marker, out in (("guest", quick), ("nightly", ".py" not in only)) if out
    )
    argv = [
        sys.executable,
        "-m",
        "pytest",
        *([only] if only else WITHOUT_GUESTS if quick else []),
        *(["-m", marked] if marked else []),
        *workers(only, quick=quick),
        "--durations=20",
    ]
    if not only and not quick:
        for path in sorted((settings.root / "tests").rglob("test_*.py")):
            if "pytest.mark.nightly" in path.read_text():
                print(f"left out, for the night: ./inv test --only {path.relative_to(settings.root)}")
    return EXIT_VERDICT if _call(settings, argv) else EXIT_PASSED


def workers(only: str, *, quick: bool) -> Sequence[str]:
    """How pytest parts the tests between workers, as its arguments."""
    cores = len(os.sched_getaffinity(0))
    if only.rstrip("/") in WITHOUT_GUESTS or (quick and not only):
        # Test by test: a few of them take longer than whole files.
        return ("-n", str(cores), "--dist", "worksteal")
    if only:
        return ()
    # Those with a guest, one after the other, beside all others (tests/integration/conftest.py).
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return ("-n", str(max(1, min(cores, memory // WORKER_BYTES))), "--dist", "loadscope")


def _other_pythons(settings: Settings) -> int:
    """noxfile.py, its environments kept in the cache for as long as the locks are the same."""
    locks = hash_tree(*(settings.root / "requirements" / f"{name}.txt" for name in ("core", "plots", "test")))
    environments = settings.store.work("nox", locks[:12])
    return _call(settings, [sys.executable, "-m", "nox", "--envdir", str(environments)])


def _call(settings: Settings, argv: Sequence[str]) -> int:
    sys.stdout.flush()
    return subprocess.run(argv, cwd=settings.root, check=False).returncode
