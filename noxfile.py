# SPDX-License-Identifier: GPL-2.0-only
"""The unit tests, which start no program, under the other Pythons of hosts, for `./inv test`.

An environment is installed once for the same locks; after that no network is needed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13")
HERE = Path(__file__).parent
LOCKS = [HERE / "requirements" / f"{name}.txt" for name in ("core", "plots", "test")]

nox.options.reuse_venv = "yes"
nox.options.default_venv_backend = "venv"


def interpreter(version: str) -> str:
    """A Python of this version: pyenv's, or of the host's packages; "" if there is none that runs."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    for found in filter(None, (*map(str, pyenv), shutil.which(f"python{version}"))):
        tried = subprocess.run([found, "-c", "import venv, ensurepip"], check=False, capture_output=True)
        if tried.returncode == 0:
            return found
    return ""


def declare(version: str) -> None:
    """The session of a Python; one that only says so, if it is not here."""
    python = interpreter(version)

    @nox.session(name=f"pure-{version}", python=python or False)
    def pure(session: nox.Session) -> None:
        if not python:
            session.skip(
                f"PYTHON {version} IS NOT HERE, nothing was tried with it"
                f" (apt-get install python{version}-venv, or pyenv install {version})"
            )
        stamp = Path(session.virtualenv.location) / "installed"
        wanted = "".join(path.read_text() for path in LOCKS)
        if not stamp.exists() or stamp.read_text() != wanted:
            for path in LOCKS:
                session.install("--require-hashes", "-r", str(path))
            stamp.write_text(wanted)
        session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit")


for each in PYTHONS:
    if each != f"{sys.version_info.major}.{sys.version_info.minor}":  # this one runs all tests anyway
        declare(each)
