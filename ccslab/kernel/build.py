# SPDX-License-Identifier: GPL-2.0-only
"""Tree + series + fragments -> bzImage, vmlinux, config, manifest and log, found again by content."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab import progress
from ccslab.errors import InfrastructureError, LabError
from ccslab.kernel import kconfig
from ccslab.kernel.series import Series
from ccslab.kernel.source import Tree
from ccslab.kernel.tree import follow
from ccslab.process import need, run
from ccslab.store import Store, hash_file, id_of, need_space, remove

BUILD_TIMEOUT_S = 3600.0
CONFIG_TIMEOUT_S = 1800.0  # seconds of work; minutes on a host whose other processes go first
# A first guess for the bar (5.10 has 2003, 7.2 has 2487); the last build's own count replaces it.
EXPECTED_OBJECTS = 2400
_OBJECT = re.compile(r"^\s+(?:CC|AS|LD|AR|HOSTCC|HOSTLD|GEN|LEX|YACC|VDSO|OBJCOPY|GZIP)\s+(\S+)")
IMAGE = "arch/x86/boot/bzImage"
COMPRESSED = "arch/x86/boot/compressed"
RECIPE = 2
"""How a kernel is built: 1 could make a boot image of another kernel."""
OBJECTS_BYTES = 512 << 20
"""What the first build of a kernel needs; 6.12 left 305 MiB of objects, 67 in ccache, 34 in the artifact."""
MAKE_ARCH = {"x86_64": "x86_64", "i386": "i386"}


@dataclass(frozen=True)
class KernelSpec:
    """What a kernel is made of, but its tree."""

    name: str
    """As the user calls it: ``6.12``, ``stock-6.12``, ``6.12-debug``."""
    arch: str
    patchset: Mapping[str, str]
    """Of the patchset: its name, loader, loader_parameter and interface."""
    series: Series
    fragments: tuple[Path, ...]
    debug: bool = False

    @property
    def local_version(self) -> str:
        """What ``uname -r`` gets appended."""
        return f"-{self.patchset['name']}{'-debug' if self.debug else ''}"

    def inputs(self, tree: Tree) -> dict[str, Any]:
        """All that decides what comes out, for the artifact's key."""
        return {
            "arch": self.arch,
            "source": dict(tree.identity),
            **self.series.identity(),
            "patchset": dict(self.patchset),
            "config": {name: one.value for name, one in kconfig.merge(self.fragments).items()},
            "toolchain": toolchain(),
            "localversion": self.local_version,
            "recipe": RECIPE,
        }


def toolchain() -> dict[str, str]:
    """The first lines of what compiler and linker say of themselves."""
    versions = {}
    for program, package in (("gcc", "build-essential"), ("ld", "binutils")):
        _, said = run([need(program, package), "--version"], timeout_s=10)
        versions[program] = said.splitlines()[0]
    return versions


def build(spec: KernelSpec, tree: Tree, store: Store, *, jobs: int = 0) -> Path:
    """The kernel's artifact folder: ``bzImage vmlinux config manifest.json build.log``.

    :param jobs: parallel compilers; 0 for one a core.
    :raises UserError: a patch or a fragment is wrong.
    :raises InfrastructureError: the compiler failed; names the log, which is kept.
    """
    inputs = spec.inputs(tree)
    return store.get("kernel", inputs, lambda folder: _Build(spec, tree, store, jobs).into(folder, inputs))


def configure(spec: KernelSpec, tree: Tree, store: Store, *, jobs: int = 0) -> Path:
    """Patch and configure only; returns the .config in the object folder."""
    work = _Build(spec, tree, store, jobs)
    with store.lock(work.lock):
        work.patch()
        return work.configure()


def patch(spec: KernelSpec, tree: Tree, store: Store) -> tuple[Path, list[str]]:
    """Bring the source's work tree to the series; returns it and the files that changed."""
    work = _Build(spec, tree, store, 0)
    with store.lock(work.lock):
        return work.tree, work.patch()


def environment(store: Store, works: Path) -> dict[str, str]:
    """What would make two builds differ, held fixed; and how compilers' results are kept.

    :param works: the folder that all work trees are in.
    """
    return {
        "KBUILD_BUILD_TIMESTAMP": "1970-01-01 00:00:00 UTC",
        "KBUILD_BUILD_USER": "ccs-lab",
        "KBUILD_BUILD_HOST": "ccs-lab",
        "KBUILD_BUILD_VERSION": "1",
        "CCACHE_DIR": str(store.ccache()),
        "CCACHE_MAXSIZE": "5G",
        # Kernels of one source differ in few files: compiled once, found again from another work folder.
        "CCACHE_BASEDIR": str(works),
        "CCACHE_NOHASHDIR": "1",
        # Not CCACHE_DEPEND: without a run of the preprocessor, ccache does not see an .incbin, and gives for
        # the kernel in the boot image any other that was as long. What it kept so is not to be found again.
        "CCACHE_NAMESPACE": "preprocessed",
    }


class _Build:
    """One build in the work folder of its kernel, whose tree and objects stay from build to build.

    Each kernel has its own: a series that touches a header every file reads would otherwise cost the next
    build of the stock kernel, and the one after it, as much as a first one.
    """

    def __init__(self, spec: KernelSpec, tree: Tree, store: Store, jobs: int) -> None:
        self.spec = spec
        self.source = tree
        self.store = store
        self.jobs = jobs or len(os.sched_getaffinity(0))
        folder = store.work("kernel", f"{spec.name}-{tree.place}")
        self.tree = folder / "tree"
        self.objects = folder / f"obj-{spec.arch}"
        self.log = folder / f"build-{spec.arch}.log"
        self.counted = folder / f"objects-{spec.arch}"
        self.lock = f"work-{folder.name}"

    def into(self, folder: Path, inputs: dict[str, Any]) -> None:
        """Build and fill the artifact folder."""
        started = time.monotonic()
        with self.store.lock(self.lock):
            self.log.unlink(missing_ok=True)
            if self.source.artifact:
                self.store.examine_all(self.source.artifact)
            if not (self.objects / "vmlinux").is_file():
                need_space(self.store.root, OBJECTS_BYTES, "building a kernel")
            self.patch()
            self.configure()
            objects = self.compile()
            self.check_image()
            for built, name in (
                (IMAGE, "bzImage"),
                ("vmlinux", "vmlinux"),
                (".config", "config"),
                ("System.map", "System.map"),
            ):
                shutil.copyfile(self.objects / built, folder / name)
            release = (self.objects / "include/config/kernel.release").read_text().strip()
            shutil.copyfile(self.log, folder / "build.log")
        manifest = {
            "name": self.spec.name,
            "release": release,
            "version": self.source.version,
            "source_label": self.source.label,
            "debug": self.spec.debug,
            **inputs,
            "fragments": [path.name for path in self.spec.fragments],
            "bzImage_sha256": hash_file(folder / "bzImage"),
            "objects_built": objects,
            "seconds": round(time.monotonic() - started, 1),
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")

    def patch(self) -> list[str]:
        """Bring the work tree to the series."""
        self.renew()
        return follow(self.spec.series, self.source, self.tree)

    def renew(self) -> None:
        """Begin anew where the source was made again: tree and objects may be of the damaged one.

        The tree's files are hard links to the source's; ccache goes by what is in them.
        """
        if not self.source.artifact:
            return
        mark = self.tree.with_name("source")
        now = id_of(self.source.artifact)
        if not mark.is_file() or mark.read_text() != now:
            for folder in (self.tree, *self.tree.parent.glob("obj-*")):
                remove(folder)
            mark.write_text(now)

    def configure(self) -> Path:
        """tinyconfig + fragments -> .config; an unchanged one is left alone, and so are the objects."""
        requests = kconfig.merge(self.spec.fragments)
        self.objects.mkdir(parents=True, exist_ok=True)
        final = self.objects / ".config"
        before = (final.read_text(), final.stat()) if final.is_file() else ("", None)
        # In .config itself: tinyconfig of 5.10 and 6.1 merges into that, whatever KCONFIG_CONFIG says.
        with progress.step(f"Configuring kernel {self.spec.name}"):
            self.make("tinyconfig", timeout_s=CONFIG_TIMEOUT_S)
            with final.open("a") as stream:
                stream.writelines(f"{request.line()}\n" for request in requests.values())
            self.make("olddefconfig", timeout_s=CONFIG_TIMEOUT_S)
        granted = final.read_text()
        kconfig.check(requests, kconfig.parse_config(granted), self.tree)
        text, status = before
        if granted == text and status:
            os.utime(final, ns=(status.st_atime_ns, status.st_mtime_ns))
        return final

    def compile(self) -> int:
        """make; returns how many objects were made."""
        try:
            known = int(self.counted.read_text())
        except (OSError, ValueError):
            known = EXPECTED_OBJECTS
        fresh = not (self.objects / "vmlinux").is_file()
        with progress.step(
            f"Building kernel {self.spec.name} ({self.spec.arch})", known if fresh else None
        ) as step:

            def count(line: str) -> None:
                if match := _OBJECT.match(line):
                    step.advance(note=match[1])

            try:
                with self.unfinished():
                    # May be ccache's of another kernel (see environment), and newer than its source.
                    (self.objects / COMPRESSED / "piggy.o").unlink(missing_ok=True)
                    self.make("bzImage", timeout_s=BUILD_TIMEOUT_S, on_line=count)
            except LabError as error:
                raise InfrastructureError(self._compiler_error() or error.what, where=self.log) from error
            if fresh:
                self.counted.write_text(str(step.done))
            return step.done

    @contextlib.contextmanager
    def unfinished(self) -> Iterator[None]:
        """Mark the objects as being written, and first undo what a killed build may have left half-written.

        make believes in a target that is newer than its source; one that was being rewritten when the
        compiler was killed is.  Kbuild keeps a ``.TARGET.cmd`` beside each target.
        """
        mark = self.objects / ".unfinished"
        if mark.is_file():
            since = mark.stat().st_mtime_ns
            for command in self.objects.rglob(".*.cmd"):
                target = command.with_name(command.name[1:].removesuffix(".cmd"))
                if target.is_file() and target.stat().st_mtime_ns >= since:
                    target.unlink()
        else:
            mark.touch()
        try:
            yield
        finally:  # of its own accord or at SIGTERM, make itself deletes what is half-written
            mark.unlink()

    def check_image(self) -> None:
        """The boot image has the kernel that was just linked.

        :raises InfrastructureError: it has another one.
        """
        image = self.objects / IMAGE
        packed = sorted(
            (self.objects / COMPRESSED).glob("vmlinux.bin.*"), key=lambda path: path.stat().st_mtime_ns
        )
        if not packed or packed[-1].read_bytes() not in image.read_bytes():
            raise InfrastructureError(
                "the boot image has another kernel than the one that was linked",
                where=image,
                mend=f"remove {self.objects} and build again",
            )

    def make(
        self, target: str, *, timeout_s: float, env: dict[str, str] | None = None, on_line: Any = None
    ) -> None:
        """make one target out of tree, with what would make two builds differ held fixed."""
        compiler = "ccache gcc" if shutil.which("ccache") else "gcc"
        run(
            [
                "make", "-C", self.tree, f"O={self.objects}", f"ARCH={MAKE_ARCH[self.spec.arch]}",
                f"CC={compiler}", f"LOCALVERSION={self.spec.local_version}", f"-j{self.jobs}", target,
            ],
            timeout_s=timeout_s,
            env={**environment(self.store, self.tree.parent.parent), **(env or {})},
            log=self.log,
            on_line=on_line,
        )  # fmt: skip

    def _compiler_error(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if re.search(r"\berror\b|undefined reference|\*\*\*", line)]
        return errors[0] if errors else ""
