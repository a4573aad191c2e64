# SPDX-License-Identifier: GPL-2.0-only
"""The interface's guest (``labs/interface``): policy of every kind comes and goes, nonsense is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ccslab.errors import InfrastructureError
from ccslab.labs import smallguest
from ccslab.labs.smallguest import SmallGuest
from ccslab.rootfs import programs
from ccslab.rootfs.initramfs import Entry, File
from ccslab.settings import Settings

FOLDER = Path("labs/interface")
FILES = ("exception_policy", "domain_policy", "profile", "manager")
PROGRAM = "policyfuzz"
EACCES, EPERM = 13, 1
STEP_S = 360.0
"""How long the guest may be silent: it waits up to 300 s for memory to be freed (``cycle.c``)."""
DONE = "interface: all done"
# Profiles that no line of every/ names, nor what a mutation makes of one: the first program must stay free.
GUARDED, FREE = 250, 251
FIRST = "<kernel> /sbin/init"
BASE = {
    "manager": f"/bin/busybox\n/bin/{PROGRAM}\n",
    "exception_policy": f"initialize_domain /bin/{PROGRAM} from any\nkeep_domain any from {FIRST}\n",
    "profile": "PROFILE_VERSION=20150505\n0-CONFIG={ mode=disabled grant_log=no reject_log=no }\n"
    f"{FREE}-CONFIG={{ mode=disabled grant_log=no reject_log=no }}\n"
    f"{GUARDED}-CONFIG={{ mode=disabled grant_log=no reject_log=no }}\n"
    f"{GUARDED}-CONFIG::file::open={{ mode=enforcing grant_log=yes reject_log=yes }}\n",
    "domain_policy": f"{FIRST}\nuse_profile {FREE}\n",
}
STATS = ("policy", "audit log", "query message")


@dataclass(frozen=True)
class Asked:
    """How much is tried.

    :param cycles: how often policy comes and goes.
    :param seconds: how long the interface is fuzzed, guest's time.
    :param seed: of what is written then.
    """

    cycles: int
    seconds: int
    seed: int


@dataclass
class Found:
    """What the guest showed.

    :param lines: by what they were read after (``written deleted again``): file and line, in order.
    :param memory: bytes of policy, ``before`` and ``after`` the cycles.
    :param counts: of the fuzzing: what was done how often.
    :param opened: of the files of the last step: ``OK``, or the error's number.
    :param splats: titles of the kernel's own mistakes.
    """

    lines: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    opened: dict[str, str] = field(default_factory=dict)
    splats: list[str] = field(default_factory=list)


def every(root: Path) -> dict[str, str]:
    """The policy that has every kind of line, by file, as kernels with the series print it."""
    return _policy(root, "every", FILES)


def wanted(root: Path) -> dict[str, list[str]]:
    """The lines of that policy as :func:`of_domains` has them."""
    return of_domains([(name, line) for name, text in every(root).items() for line in text.splitlines()])


def try_all(
    settings: Settings, kernel: Path, asked: Asked, folder: Path, *, advance: Callable[[str, int], None]
) -> Found:
    """Have it all done in one guest.

    :param kernel: bzImage.
    :param folder: of the run; the guest's console and initramfs go there.
    :param advance: told what is done (``cycled``, ``fuzzed``) and how much of it: times, seconds.
    :raises InfrastructureError: the guest dies or is silent.
    """
    guest = SmallGuest(settings, FOLDER, _files(settings, asked))
    with guest.booted(kernel, folder, until=r"written\|exception_policy") as machine:

        def await_(pattern: str) -> re.Match[str]:
            return machine.console.expect(pattern, STEP_S)[1]

        await_(r"memory\|before\|\d+")
        while (found := await_(r"(?:cycled\|(\d+)|left\|\d+)\b"))[1]:
            advance("cycled", int(found[1]))
        while (found := await_(r"(?:fuzzed\|(\d+)\||open\|allowed)"))[1]:
            advance("fuzzed", int(found[1]))
        await_(DONE)
    log = smallguest.said(folder)[0]
    shown = seen(folder)
    if set(shown.memory) != {"before", "after"} or set(shown.opened) != {"allowed", "denied"}:
        raise InfrastructureError("the guest does not say what it saw", where=log)
    return shown


def seen(folder: Path) -> Found:
    """What the guest of a run has shown until now, if it was booted."""
    try:
        _, text, splats = smallguest.said(folder)
    except FileNotFoundError:
        return Found()
    shown = parse(text)
    shown.splats = [one.title for one in splats]
    return shown


def parse(text: str) -> Found:
    """What the guest's first program printed; lines that are none of its are the kernel's."""
    found = Found()
    for line in text.splitlines():
        word, *rest = line.split("|", 2)
        if word in ("written", "deleted", "again") and len(rest) == 2:
            found.lines.setdefault(word, []).append((rest[0], rest[1]))
        elif word == "memory" and len(rest) == 2 and rest[1].isdigit():
            found.memory[rest[0]] = int(rest[1])
        elif word == "left" and len(rest) == 1 and rest[0].isdigit():
            found.memory["after"] = int(rest[0])
        elif word == "fuzzed" and len(rest) == 2:
            found.counts = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", rest[1])}
        elif word == "open" and len(rest) == 2:
            found.opened[rest[0]] = rest[1]
    return found


def of_domains(lines: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Of each file its lines; of ``domain_policy`` each with its domain in front."""
    found: dict[str, list[str]] = {name: [] for name in FILES}
    domain = ""
    for name, line in lines:
        if name == "domain_policy":
            if line.startswith("<"):
                domain = line
            elif line:
                found[name].append(f"{domain}: {line}")
        elif line:
            found[name].append(line)
    return found


def _policy(root: Path, folder: str, names: Iterable[str]) -> dict[str, str]:
    return {name: (root / FOLDER / folder / f"{name}.conf").read_text() for name in names}


def _files(settings: Settings, asked: Asked) -> dict[str, Entry]:
    sources, shared = settings.root / FOLDER / "src", settings.root / programs.SHARED
    made = programs.made(settings.store, "interface", sources, settings.arch, shared=shared)
    lines = every(settings.root)
    some = _policy(settings.root, "some", ("exception_policy", "domain_policy"))
    return {
        f"bin/{PROGRAM}": File((made / PROGRAM).read_bytes(), 0o755),
        **{f"interface/base/{name}": text for name, text in BASE.items()},
        **{f"interface/every/{name}.add": text for name, text in lines.items()},
        **{f"interface/every/{name}.delete": _deleting(name, lines[name]) for name in some},
        **{f"interface/some/{name}.add": text for name, text in some.items()},
        **{f"interface/some/{name}.delete": _deleting(name, text) for name, text in some.items()},
        **{f"interface/corpus/{name}": text for name, text in _corpus(lines).items()},
        "interface/asked": f"{asked.cycles} {asked.seed} {asked.seconds}\n",
        "interface/allowed": "read me\n",
        "interface/denied": "do not read me\n",
        "etc/passwd": "root:x:0:0:root:/:/bin/sh\n",
    }


def _deleting(name: str, text: str) -> str:
    """What deletes all that a text adds: of domains the rules first, then themselves."""
    lines = [
        line for line in text.splitlines() if line and not line.startswith(("use_", "quota", "transition_"))
    ]
    if name == "exception_policy":
        return "".join(f"delete {line}\n" for line in lines)
    domains = [line for line in lines if line.startswith("<")]
    rules = (f"select domain={line}" if line.startswith("<") else f"delete {line}" for line in lines)
    return "".join(f"{line}\n" for line in (*rules, *(f"delete {domain}" for domain in domains)))


def _corpus(lines: Mapping[str, str]) -> dict[str, str]:
    """The lines that fuzzing begins with, by file."""
    domain = f"<kernel> /bin/{PROGRAM}"
    rules = [
        "use_profile 1",
        "use_profile 3",
        "file read /etc/passwd",
        r"file create /tmp/\* 0-0777",
        "use_group 3",
    ]
    profiles = [
        f"{number}-CONFIG{word}={{ mode={mode} grant_log=yes reject_log=yes }}"
        for number, mode in ((1, "learning"), (2, "permissive"), (3, "enforcing"))
        for word in ("", "::file", "::network::inet_stream_bind", "::ipc::signal")
    ]
    more = {
        "domain_policy": [domain, *rules],
        # Names of members are not checked: these once led a reader beyond their ends.
        "exception_policy": [f"path_group EVERY /srv/\\*{end}" for end in ("\\", "\\0", "\\01", "\\-")],
        "profile": profiles * 4,
        "stat": [f"Memory used by {what}: {size}" for what in STATS for size in (0, 1, 100000)],
        "self_domain": [domain, "<kernel> /usr/sbin/every /usr/sbin/next"],
        ".process_status": ["1", "2", "global-pid 1", "info 2", "info 70", "70"],
    }
    known = {name: [line for line in text.splitlines() if line] for name, text in lines.items()}
    found = {name: known.get(name, []) + more.get(name, []) for name in (*known, *more)}
    return {name: "".join(f"{line}\n" for line in one) for name, one in found.items()}
