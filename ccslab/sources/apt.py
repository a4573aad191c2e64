# SPDX-License-Identifier: GPL-2.0-only
"""A private apt root: fetch packages of any Debian release, verified, without touching the host's apt."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ccslab import progress
from ccslab.errors import InfrastructureError, UserError
from ccslab.process import need, run
from ccslab.sources import mirrors, releases
from ccslab.store import disk_errors, hash_file

UPDATE_TIMEOUT_S = 300.0
DOWNLOAD_TIMEOUT_S = 900.0
TRIES = 3
PAUSE_S = 5.0
# What a mirror says while it is being updated (measured: for hours); worth another try.
INCONSISTENT = (
    "unexpected size",
    "Hash Sum mismatch",
    "Mirror sync in progress",
    "Could not connect",
    "timed out",
)
LOOK_TIMEOUT_S = 60.0
# No more than the index of indices, which is what the signature and the date are of.
LOOK = {
    "Acquire::IndexTargets::deb::Packages::DefaultEnabled": "false",
    "Acquire::Retries": "0",
    "Acquire::http::Timeout": "10",
}
OUT_OF_DATE = "is expired"
GONE = "404"


@dataclass(frozen=True)
class Package:
    """One version of a package, as the suite's signed index has it."""

    name: str
    version: str
    sha256: str


class PrivateApt:
    """apt's whole state in one folder, with one suite as its only source."""

    def __init__(self, folder: Path, suite: str, *, arch: str = "amd64") -> None:
        self.folder = folder
        self.suite = suite
        self.arch = arch
        self.config = folder / "apt.conf"

    def update(self) -> None:
        """Fetch and verify the suite's index.

        :raises InfrastructureError: no network, mirror inconsistent after some tries, keyring missing.
        """
        self._write()
        if said := releases.note(self.suite):
            progress.console.print(f"  {said}")
        for attempt in range(1, TRIES + 1):
            try:
                self._apt("update", timeout_s=UPDATE_TIMEOUT_S)
            except InfrastructureError as error:
                if attempt == TRIES or not any(sign in error.what for sign in INCONSISTENT):
                    raise InfrastructureError(
                        f"cannot read the index of {self.suite} ({attempt} tries): {error.what}",
                        mend=self._mend(error.what),
                    ) from error
                progress.console.print(f"  index of {self.suite}: {error.what}; trying again")
                time.sleep(PAUSE_S * attempt)  # nothing signals that a mirror is consistent again
            else:
                return

    def look(self) -> None:
        """Whether the archive answers with an index that is signed and in date; fetches no more of it.

        :raises InfrastructureError: not so.
        """
        self._write(**LOOK)
        try:
            self._apt("update", timeout_s=LOOK_TIMEOUT_S)
        except InfrastructureError as error:
            raise InfrastructureError(error.what, mend=self._mend(error.what)) from error

    def _mend(self, what: str) -> str:
        if OUT_OF_DATE in what:
            return (
                "the mirror is not kept up to date (or the host's clock is wrong): name another in lab.mirror"
            )
        if GONE in what and releases.ended(self.suite):
            return f"its packages have moved: name an archive of ended releases, lab.mirror {self.suite}=URL"
        if GONE in what:
            return "the mirror does not have it: name another in lab.mirror (invoke.yaml)"
        return "look at the network and the host's apt sources, then try again"

    def newest(self, name: str) -> Package:
        """The newest version of a package in the suite (after :meth:`update`).

        :raises UserError: the suite has no such package.
        """
        status, said = self._apt(
            "show", "--no-all-versions", name, timeout_s=60, program="apt-cache", check=False
        )
        lines = (line.partition(": ") for line in said.splitlines() if line[:1].isalnum())
        fields = {key: value for key, _, value in lines}
        if status != 0 or not {"Version", "SHA256"} <= set(fields):
            raise UserError(f"{self.suite} has no package {name}", mend="look at kernel-patches/kernels.toml")
        return Package(name, fields["Version"], fields["SHA256"])

    def download(self, package: Package, folder: Path) -> Path:
        """The package's .deb in ``folder``, its hash the one of the signed index.

        :raises InfrastructureError: download failed, or the bytes are not those of the index.
        """
        before = set(folder.glob("*.deb"))
        try:
            self._apt(
                "download", f"{package.name}={package.version}", timeout_s=DOWNLOAD_TIMEOUT_S, cwd=folder
            )
        except InfrastructureError as error:
            raise InfrastructureError(
                f"cannot fetch {package.name} {package.version} of {self.suite}: {error.what}",
                mend=self._mend(error.what),
            ) from error
        fetched = sorted(set(folder.glob("*.deb")) - before)
        if len(fetched) != 1:
            raise InfrastructureError(f"apt brought {len(fetched)} files for {package.name}", where=folder)
        found = hash_file(fetched[0])
        if found != package.sha256:
            raise InfrastructureError(
                f"hash mismatch: {found}, the index says {package.sha256}",
                where=fetched[0].name,
                mend="try again; if it stays, the mirror or what lies between is not to be trusted",
            )
        return fetched[0]

    def _apt(
        self,
        *argv: str,
        timeout_s: float,
        program: str = "apt-get",
        cwd: Path | None = None,
        check: bool = True,
    ) -> tuple[int, str]:
        config = {"APT_CONFIG": str(self.config), "LC_ALL": "C"}
        return run([need(program, "apt"), *argv], timeout_s=timeout_s, env=config, cwd=cwd, check=check)

    def _write(self, **more: str) -> None:
        keyring, url = mirrors.keyring(), mirrors.url(self.suite)
        with disk_errors(self.folder):
            for name in ("lists/partial", "cache/archives/partial", "empty.d"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            (self.folder / "status").touch()
            (self.folder / "debian.sources").write_text(
                f"Types: deb\nURIs: {url}\nSuites: {self.suite}\nComponents: main\nSigned-By: {keyring}\n"
                + ("Check-Valid-Until: no\n" if releases.ended(self.suite) else "")
            )
            settings = {
                "Dir::State": self.folder,
                "Dir::State::lists": self.folder / "lists",
                "Dir::State::status": self.folder / "status",
                "Dir::Cache": self.folder / "cache",
                "Dir::Etc::sourcelist": self.folder / "debian.sources",
                "Dir::Etc::sourceparts": self.folder / "empty.d",
                "Dir::Etc::preferences": "/dev/null",
                "Dir::Etc::preferencesparts": self.folder / "empty.d",
                "APT::Architecture": self.arch,
                "APT::Architectures": self.arch,
                "Acquire::Languages": "none",
                "Acquire::Retries": "2",
                "Acquire::http::Timeout": "30",
                # As root apt would download as _apt, which may not write into the cache folder.
                "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
                "APT::Update::Error-Mode": "any",
                **more,
            }
            self.config.write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
