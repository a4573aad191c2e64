# SPDX-License-Identifier: GPL-2.0-only
"""The controls' guest: a first program that tries what it is told to, by ``controlcalls`` (labs/controls)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.labs import smallguest
from ccslab.labs.smallguest import SmallGuest
from ccslab.labs.trials import FOLDER, Attempt, Outcome
from ccslab.policy import language
from ccslab.rootfs import programs
from ccslab.rootfs.initramfs import Entry, File
from ccslab.settings import Settings

PROGRAMS = {
    "x86_64": {"controlcalls": "x86_64", "controlcalls32": "i386"},
    "i386": {"controlcalls": "i386"},
}
"""Of a guest its programs, and whose system calls they make."""
SOURCES = FOLDER / "src"
TRIAL_S = 30.0
DONE = "controls: all tried"
POLICY = {
    "manager": "/bin/busybox\n",
    "exception_policy": "".join(
        f"initialize_domain /bin/{program} from any\n"
        for program in ("controlcalls", "controlcalls32", "target")
    ),
    "profile": "PROFILE_VERSION=20150505\n"
    + "".join(f"{number}-CONFIG={{ mode=disabled grant_log=no reject_log=no }}\n" for number in range(4)),
}
# A socket's number is another each time: it is told as policy would name them all.
SOCKET, ANY_SOCKET = re.compile(r"socket:\[\d+\]"), r"socket:[\$]"
# A record's three lines come in one, with tabs between.
RECORD = re.compile(r"#.*? mode=(\w+) granted=(yes|no) .*\t(<kernel>[^\t]*)\t([^\t]*)")


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
    guest = SmallGuest(settings, FOLDER, _files(settings, attempts))
    with guest.booted(kernel, folder, until=r"trial\|0\b") as machine:
        for number, one in enumerate(attempts):
            machine.console.expect(rf"tried\|{number}\b", TRIAL_S)
            advance(one.name)
        machine.console.expect(DONE, TRIAL_S)
    log, text, splats = smallguest.said(folder)
    outcomes = dict(parse(text, attempts))
    if splats:
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
            said.get(kind, []).append(SOCKET.sub(lambda _: ANY_SOCKET, rest))
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


def _files(settings: Settings, attempts: Sequence[Attempt]) -> dict[str, Entry]:
    """What is in the guest for the trials."""
    lines = [
        "\t".join(
            (
                str(number),
                one.program,
                one.trial.call,
                one.trial.control,
                str(language.MODES.index(one.mode)),
                one.trial.preference,
                one.given,
            )
        )
        for number, one in enumerate(attempts)
    ]
    callers = {
        f"bin/{name}": File((_made(settings, arch) / "controlcalls").read_bytes(), 0o755)
        for name, arch in PROGRAMS[settings.arch].items()
    }
    return {
        **callers,
        "bin/target": callers["bin/controlcalls"],
        **{f"controls/{name}": text for name, text in POLICY.items()},
        "controls/trials": "".join(f"{line}\n" for line in lines),
    }


def _made(settings: Settings, arch: str) -> Path:
    sources, shared = settings.root / SOURCES, settings.root / programs.SHARED
    return programs.made(settings.store, "controls", sources, arch, shared=shared)
