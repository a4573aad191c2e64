# SPDX-License-Identifier: GPL-2.0-only
"""The controls' guest: a first program that tries what it is told to, by ``controlcalls`` (labs/controls)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ccslab.errors import InfrastructureError, UserError
from ccslab.labs.setup import DEBUG_MEMORY_MIB, DEBUG_PATIENCE
from ccslab.labs.trials import FOLDER, Attempt, Outcome
from ccslab.process import need, run
from ccslab.rootfs.initramfs import Entry, File, busybox, pack
from ccslab.settings import Settings
from ccslab.store import hash_file, hash_tree
from ccslab.vm import splat
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware

PROGRAMS = {"controlcalls": "x86_64", "controlcalls32": "i386"}
"""The guest's programs, and whose system calls they make."""
SOURCES = FOLDER / "src"
MAKEFILE = Path("rootfs/src/Makefile")
LOADERS = ("sbin/ccs-init", "sbin/tomoyo-init")
MAKE_S = 120.0
BOOT_S = 120.0
TRIAL_S = 30.0
MEMORY_MIB = 256
DONE = "controls: all tried"
POLICY = {
    "manager": "/bin/busybox\n",
    "exception_policy": "".join(
        f"initialize_domain /bin/{program} from any\n" for program in (*PROGRAMS, "target")
    ),
    "profile": "PROFILE_VERSION=20150505\n"
    + "".join(f"{number}-CONFIG={{ mode=disabled grant_log=no reject_log=no }}\n" for number in range(4)),
}
# A record's three lines come in one, with tabs between.
RECORD = re.compile(r"#.*? mode=(\w+) granted=(yes|no) .*\t(<kernel>[^\t]*)\t([^\t]*)")


def examine(settings: Settings) -> None:
    """Refuse what the guest cannot be.

    :raises UserError: the kernel is not x86_64's.
    """
    if settings.arch != "x86_64":
        raise UserError(
            "the controls are tried on x86_64, by programs of both architectures",
            where=f"--arch {settings.arch}",
            mend="leave it out; the host's busybox, which the guest lives by, is x86_64's",
        )


def attempt(
    settings: Settings,
    kernel: Path,
    attempts: Sequence[Attempt],
    folder: Path,
    *,
    advance: Callable[[str], None],
) -> list[Outcome]:
    """Make all attempts in one guest; what came of each, in their order.

    :param kernel: bzImage.
    :param folder: of the run; the guest's console and initramfs go there.
    :param advance: told of each attempt that was made.
    :raises InfrastructureError: the guest dies, is silent, says what it should not, or found a mistake of its
        kernel (with ``--debug``, whose kernels look for them).
    """
    folder.mkdir(parents=True, exist_ok=True)
    initrd = folder / "initramfs"
    initrd.write_bytes(pack(_tree(settings, attempts)))
    memory_mib, patience = (DEBUG_MEMORY_MIB, DEBUG_PATIENCE) if settings.debug else (MEMORY_MIB, 1.0)
    hardware = Hardware(arch=settings.arch, cpus=1, memory_mib=memory_mib)
    with Machine(
        kernel, None, folder / "guest",
        initrd=initrd, append=("rdinit=/sbin/init", "loglevel=3"), forwards={},
        hardware=hardware, patience=patience,
    ) as machine:  # fmt: skip
        machine.boot(BOOT_S * patience, until=r"trial\|0\b")
        for number, one in enumerate(attempts):
            machine.console.expect(rf"tried\|{number}\b", TRIAL_S * patience)
            advance(one.name)
        machine.console.expect(DONE, TRIAL_S * patience)
    log = folder / "guest/console.log"
    text = log.read_text(errors="replace")
    outcomes = dict(parse(text, attempts))
    if splats := splat.parse(text.splitlines()):
        raise InfrastructureError(f"the kernel made a mistake: {splats[0].title}", where=log)
    for number, one in enumerate(attempts):
        if number not in outcomes:
            raise InfrastructureError(f"the guest does not say what came of {one.name!r}", where=log)
    return [outcomes[number] for number in range(len(attempts))]


def parse(text: str, attempts: Sequence[Attempt]) -> Iterator[tuple[int, Outcome]]:
    """Attempt's number and outcome, from what the guest's first program prints.

    :raises InfrastructureError: a record is none, or another domain's.
    """
    for found in re.finditer(
        r"^trial\|(\d+)\n(.*?)^tried\|\1$", text.replace("\r", ""), re.DOTALL | re.MULTILINE
    ):
        number = int(found[1])
        said: dict[str, list[str]] = {"said": [], "record": [], "rule": []}
        for line in found[2].splitlines():
            kind, _, rest = line.partition("|")
            said.get(kind, []).append(rest)
        domain = f"<kernel> /bin/{attempts[number].program}"
        yield (
            number,
            Outcome(
                " ".join(said["said"]),
                tuple(_record(line, domain) for line in said["record"]),
                tuple(said["rule"]),
            ),
        )


def _record(line: str, domain: str) -> tuple[str, bool, str]:
    found = RECORD.match(line)
    if not found or found[3] != domain:
        raise InfrastructureError(f"is no audit record of {domain}: {line!r}", where="the guest's console")
    return found[1], found[2] == "yes", found[4].strip()


def _tree(settings: Settings, attempts: Sequence[Attempt]) -> dict[str, Entry]:
    """What is in the guest."""
    guest = settings.root / FOLDER / "guest"
    loader = File((guest / "loader").read_bytes(), 0o755)
    lines = [
        "\t".join(
            (str(number), one.program, one.trial.call, one.trial.control, str(int(one.mode)), one.given)
        )
        for number, one in enumerate(attempts)
    ]
    programs = {
        f"bin/{name}": File((_made(settings, arch) / "controlcalls").read_bytes(), 0o755)
        for name, arch in PROGRAMS.items()
    }
    return {
        **busybox(),
        **dict.fromkeys(LOADERS, loader),
        "sbin/init": File((guest / "init").read_bytes(), 0o755),
        **programs,
        "bin/target": programs["bin/controlcalls"],
        **{f"controls/{name}": text for name, text in POLICY.items()},
        "controls/trials": "".join(f"{line}\n" for line in lines),
    }


def _made(settings: Settings, arch: str) -> Path:
    """The folder of the programs; built if their inputs changed."""
    make, compiler = need("make", "make"), need("gcc", "gcc-multilib")
    sources = settings.root / SOURCES
    _, version = run([compiler, "--version"], timeout_s=20)

    def build(folder: Path) -> None:
        run([make, "-s", "-C", sources, f"ARCH={arch}", f"O={folder.resolve()}"], timeout_s=MAKE_S)

    inputs = {
        "arch": arch,
        "sources": hash_tree(sources),
        "makefile": hash_file(settings.root / MAKEFILE),
        "compiler": version.splitlines()[0],
    }
    return settings.store.get("controls", inputs, build)
