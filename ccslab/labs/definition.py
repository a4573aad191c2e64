# SPDX-License-Identifier: GPL-2.0-only
"""A lab's definition: ``labs/<name>/lab.toml`` with its workload, its attacks and the policy it protects."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccslab.datafile import ANY, NUMBER, check, read_toml
from ccslab.errors import UserError, unknown
from ccslab.labs import phases
from ccslab.labs.step import HttpStep, Step, http_status, parse_steps, texts
from ccslab.settings import ALL, Number


@dataclass(frozen=True)
class Expected:
    """What an attack must meet when the policy is enforced."""

    status: tuple[int, ...]
    """HTTP statuses the client may see on the last request; empty for any."""
    record: re.Pattern[str]
    """What one audit record's request must match, in permissive and in enforcing mode."""


@dataclass(frozen=True)
class Attack:
    """One attack: steps from outside, and how one knows what the attacker got."""

    name: str
    title: str
    steps: tuple[Step, ...]
    gained_body: re.Pattern[str] | None
    """The attacker gained when the last response's body matches, or ..."""
    gained_root: str | None
    """... when this command succeeds in the guest."""
    enforcing: Expected


@dataclass(frozen=True)
class MachineSpec:
    """What a lab's guest is: ``[machine]`` of lab.toml."""

    boot: str = "image"
    """``image``, made by a recipe; or ``initramfs``: busybox with ``guest/init`` as its first program."""
    recipe: str = ""
    cpus: int = 2
    memory_mib: int = 1024
    backup_disk_mib: int = 0

    @property
    def small(self) -> bool:
        """Whether it is a guest of busybox that works by itself."""
        return self.boot == "initramfs"


@dataclass(frozen=True)
class Option:
    """A number that whoever starts a run may choose: a table of ``[options]`` of lab.toml."""

    default: float
    least: float
    most: float
    help: str

    def read(self, name: str, given: object) -> float:
        """The number that was given.

        :raises UserError: it is none, or out of range.
        """
        whole = isinstance(self.default, int)
        number = Number(self.least, self.most, whole=whole).read(name, given)
        return int(number) if whole else number


@dataclass(frozen=True)
class Logwatch:
    """How the administrator comes to know of a denial: ``[logwatch]`` of lab.toml."""

    mailbox: str
    """His mailbox in the guest."""
    hour: str
    """What the guest's clock is set to so that the hourly log watch is due within seconds (``date -s``)."""


@dataclass(frozen=True)
class Lab:
    """One lab, read from its folder."""

    name: str
    title: str
    folder: Path
    phases: tuple[str, ...]
    """What a run does, in this order: names of shared phases."""
    machine: MachineSpec
    protected: tuple[str, ...]
    """Domains that are enforced with all below them."""
    exempt: tuple[str, ...]
    """The harness's own domains, with all below them: never under the policy under test."""
    services: Mapping[str, str]
    """Service -> command that prints the PIDs that must not change."""
    logwatch: Logwatch | None
    options: Mapping[str, Option]
    workload: tuple[Step, ...]
    forgotten: tuple[Step, ...]
    repair: tuple[Step, ...]
    attacks: tuple[Attack, ...]
    arch: str = "x86_64"
    """What its guest is; the lab's files are the same for all."""

    @property
    def overlay(self) -> Path:
        """Files laid over the root filesystem."""
        return self.folder / "overlay"

    @property
    def rules(self) -> Path:
        """The generalisation's rules."""
        return self.folder / "generalise.toml"

    @property
    def payloads(self) -> Path:
        """What attackers and visitors upload, and how what depends on the architecture is made."""
        return self.folder / "payloads"

    def choose(self, given: Sequence[str]) -> dict[str, float]:
        """Its options, those that were given as ``NAME=NUMBER`` among them.

        :raises UserError: there is no such option, or it cannot be that.
        """
        chosen = {name: option.default for name, option in self.options.items()}
        for word in given:
            name, equals, number = word.partition("=")
            if name not in self.options:
                raise _in("--set", unknown("option", name, self.options))
            if not equals:
                raise UserError(f"option {name} needs a number", where="--set", mend=f"--set {name}=1")
            chosen[name] = self.options[name].read(f"--set {name}", number)
        return chosen

    def guards(self, domain: str) -> bool:
        """Whether a domain is a protected one or below one."""
        return any(domain == top or domain.startswith(f"{top} ") for top in self.protected)


def names(root: Path) -> list[str]:
    """The labs of a checkout."""
    return sorted(path.parent.name for path in (root / "labs").glob("*/lab.toml"))


def find(name: str, root: Path, arch: str = "x86_64") -> Lab:
    """The lab of that name.

    :param arch: what its guest is.
    :raises UserError: there is none (nearest names suggested), or its files are malformed.
    """
    if name not in names(root):
        raise unknown("lab", name, names(root))
    return dataclasses.replace(load(root / "labs" / name), arch=arch)


def several(given: str, root: Path) -> list[str]:
    """The labs that somebody names: one, some with commas, or ``all``.

    :raises UserError: none is named, or one is not there (nearest suggested).
    """
    known = names(root)
    words = [word.strip() for word in given.split(",") if word.strip()]
    wanted = known if words == [ALL] else words
    if not wanted:
        raise UserError("no lab was named", mend="./inv lab.list shows them")
    for name in wanted:
        if name not in known:
            raise unknown("lab", name, known)
    return list(dict.fromkeys(wanted))


HOW = "labs/apache-cgi shows how to write one"
PARTS: Mapping[str, tuple[Callable[[Lab], object], str]] = {
    "a workload": (lambda lab: lab.workload, "write workload.toml: steps, each begun with [[step]]"),
    "a repair": (lambda lab: lab.repair, "write [[repair]] steps in workload.toml"),
    "attacks": (lambda lab: lab.attacks, "write attacks.toml: each begun with [[attack]]"),
    "protected domains": (lambda lab: lab.protected, 'write protected = ["<kernel> /usr/sbin/..."]'),
    "rules": (lambda lab: lab.rules.is_file(), "write generalise.toml"),
    "a log watch": (lambda lab: lab.logwatch, "write [logwatch] with mailbox and hour"),
    "trials": (lambda lab: (lab.folder / "trials.toml").is_file(), "write trials.toml"),
    "a server": (lambda lab: not lab.machine.small, 'write [machine] recipe = "..."'),
    "a small guest": (lambda lab: lab.machine.small, 'write [machine] boot = "initramfs"'),
}
"""What a lab may have: whether it has it, and how it is given."""
_OPTIONAL = {"services", "logwatch", "protected", "exempt", "options"}
_REQUIRED = {"title", "phases", "machine"}
_MACHINE = {
    "boot?": frozenset({"image", "initramfs"}),
    **dict.fromkeys(("cpus?", "memory_mib?", "backup_disk_mib?"), int),
    "recipe?": str,
}
_OPTIONS = {ANY: {"default": NUMBER, "least": NUMBER, "most": NUMBER, "help": str}}
_LOGWATCH = {"mailbox": str, "hour": str}


def load(folder: Path) -> Lab:
    """Read a lab's folder.

    :raises UserError: a file is missing or malformed; names file, table and the mend.
    """
    main = folder / "lab.toml"
    entry = _toml(main)
    _only(entry, _OPTIONAL | _REQUIRED, main)
    for key in sorted(_REQUIRED - set(entry)):
        raise UserError(f"lacks the key {key!r}", where=main, mend=HOW)
    steps = folder / "workload.toml"
    workload = _toml(steps) if steps.is_file() else {}
    _only(workload, {"step", "forgotten", "repair"}, steps)
    lab = Lab(
        name=folder.name,
        title=_text(entry, "title", main),
        folder=folder,
        phases=_phases(entry, folder),
        machine=_machine(entry["machine"], main),
        protected=_texts(entry, "protected", main) if "protected" in entry else (),
        exempt=_texts(entry, "exempt", main) if "exempt" in entry else (),
        services=texts(entry, "services", str(main)),
        logwatch=_logwatch(entry.get("logwatch"), main),
        options=_options(entry.get("options", {}), main),
        workload=parse_steps(workload.get("step", []), folder, f"{steps} [[step]]"),
        forgotten=parse_steps(workload.get("forgotten", []), folder, f"{steps} [[forgotten]]"),
        repair=parse_steps(workload.get("repair", []), folder, f"{steps} [[repair]]"),
        attacks=_attacks(folder),
    )
    _names_differ((*lab.workload, *lab.forgotten), steps)
    for name in lab.phases:
        require(lab, f"phase {name}", *phases.needs(name, lab.folder))
    return lab


def require(lab: Lab, who: str, *parts: str) -> None:
    """Refuse a lab that lacks what somebody needs of it.

    :param who: the phase or the command.
    :param parts: names of :data:`PARTS`.
    :raises UserError: it lacks one of them; says which and how to give it.
    """
    for part in parts:
        if not PARTS[part][0](lab):
            raise UserError(
                f"{who} needs {part}, and lab {lab.name} has none", where=lab.folder, mend=PARTS[part][1]
            )


def _phases(entry: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    main = folder / "lab.toml"
    names = _texts(entry, "phases", main)
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UserError(f"phase {name} comes twice", where=main, mend="name it once")
        try:
            before = phases.after(name, folder)
        except UserError as error:
            raise _in(f"{main}: phases", error) from error
        for other in before:
            if other not in names[:number]:
                raise UserError(
                    f"phase {name} stands on what {other} found", where=main, mend=f"name {other} before it"
                )
    return names


def _machine(table: Any, main: Path) -> MachineSpec:
    where = f"{main}: [machine]"
    check(table, _MACHINE, where)
    boot = table.get("boot", MachineSpec.boot)
    if (boot == "image") != ("recipe" in table):
        raise UserError(
            'needs recipe = "..." or boot = "initramfs"', where=where, mend="name one of rootfs/recipes"
        )
    return MachineSpec(
        boot=boot,
        recipe=table.get("recipe", ""),
        cpus=_number(table, "cpus", MachineSpec.cpus, where, least=1),
        memory_mib=_number(table, "memory_mib", MachineSpec.memory_mib, where, least=64),
        backup_disk_mib=_number(table, "backup_disk_mib", 0, where),
    )


def _options(table: Any, main: Path) -> dict[str, Option]:
    check(table, _OPTIONS, f"{main}: [options]")
    return {name: Option(**entry) for name, entry in table.items()}


def _logwatch(table: Any, main: Path) -> Logwatch | None:
    if table is None:
        return None
    check(table, _LOGWATCH, f"{main}: [logwatch]")
    return Logwatch(**table)


def _names_differ(steps: Iterable[Step], where: Path) -> None:
    """Refuse two steps of one name whose answers are compared: an answer finds its baseline by that name."""
    seen: set[str] = set()
    for step in steps:
        if isinstance(step, HttpStep) or step.output:
            if step.name in seen:
                raise UserError(
                    f"two steps are named {step.name!r}", where=where, mend="give each a name of its own"
                )
            seen.add(step.name)


def _attacks(folder: Path) -> tuple[Attack, ...]:
    path = folder / "attacks.toml"
    document = _toml(path) if path.is_file() else {}
    _only(document, {"attack"}, path)
    entries = document.get("attack", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError("attacks must be an array of tables", where=path, mend="begin each with [[attack]]")
    attacks = tuple(_attack(entry, folder, path) for entry in entries)
    seen: set[str] = set()
    for attack in attacks:
        if attack.name in seen:
            raise UserError(f"two attacks are named {attack.name!r}", where=path, mend="give each its own")
        seen.add(attack.name)
    return attacks


def _attack(entry: Mapping[str, Any], folder: Path, path: Path) -> Attack:
    where = f"{path} attack {entry.get('name', '')!r}"
    for key in ("name", "title", "steps", "gained", "enforcing"):
        if key not in entry:
            raise UserError(f"lacks the key {key!r}", where=where, mend=HOW)
    _only(entry, {"name", "title", "steps", "gained", "enforcing"}, where)
    gained, expected = entry["gained"], entry["enforcing"]
    if not isinstance(gained, dict) or len(gained) != 1 or set(gained) - {"body", "root"}:
        raise UserError("gained needs either body (a regular expression) or root (a command)", where=where)
    if not isinstance(expected, dict) or "record" not in expected or set(expected) - {"record", "status"}:
        raise UserError("enforcing needs record (a regular expression) and may have status", where=where)
    status = expected.get("status", [])
    statuses = status if isinstance(status, list) else [status]
    return Attack(
        name=_text(entry, "name", where),
        title=_text(entry, "title", where),
        steps=parse_steps(entry["steps"], folder, where, default_status=None),
        gained_body=_regex(gained["body"], where) if "body" in gained else None,
        gained_root=_text(gained, "root", where) if "root" in gained else None,
        enforcing=Expected(
            tuple(http_status(one, where) for one in statuses),
            _regex(expected["record"], where),
        ),
    )


def _regex(text: Any, where: str) -> re.Pattern[str]:
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{text!r:.60} is no regular expression, or matches anything", where=where, mend=HOW)
    try:
        found = re.compile(text, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"{text!r} is no regular expression: {error}", where=where, mend=HOW) from error
    if found.search(""):
        raise UserError(f"{text!r} matches anything, so it proves nothing", where=where, mend=HOW)
    return found


def _toml(path: Path) -> dict[str, Any]:
    return read_toml(path, mend=HOW)


def _only(entry: Mapping[str, Any], known: set[str], where: object) -> None:
    for key in entry:
        if key not in known:
            raise _in(where, unknown("key", key, known))


def _in(where: object, error: UserError) -> UserError:
    return UserError(error.what, where=where, mend=error.mend)


def _texts(entry: Mapping[str, Any], key: str, where: Path) -> tuple[str, ...]:
    value = entry[key]
    check(value, [str], f"{where}: {key}")
    if not value:
        raise UserError(f"{key} must be a list of texts", where=where)
    return tuple(value)


def _text(entry: Mapping[str, Any], key: str, where: object) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{key} must be a text", where=where)
    return value


def _number(entry: Mapping[str, Any], key: str, default: int, where: object, *, least: int = 0) -> int:
    value = entry.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{key} must be a whole number, {least} or more", where=where)
    return value
