# SPDX-License-Identifier: GPL-2.0-only
"""A lab's definition: ``labs/<name>/lab.toml`` with its workload, its attacks and the policy it protects."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from ccslab import settings
from ccslab.datafile import (
    Absolute,
    Fault,
    Lines,
    Meta,
    Number,
    Record,
    Text,
    TextOrNothing,
    field,
    read_toml,
    wrong,
)
from ccslab.errors import UserError, unknown
from ccslab.labs import attack, phases, step
from ccslab.labs.attack import Attack, Attacks
from ccslab.labs.step import Entry, HttpStep, Step
from ccslab.settings import ALL

T = TypeVar("T")


class MachineSpec(Record, frozen=True, kw_only=True):
    """What a lab's guest is: ``[machine]`` of lab.toml."""

    boot: Literal["image", "initramfs"] = "image"
    """``image``, made by a recipe; or ``initramfs``: busybox with ``guest/init`` as its first program."""
    recipe: TextOrNothing = ""
    cpus: Annotated[int, Meta(ge=1, le=64, description="a whole number from 1 to 64")] = 2
    memory_mib: Annotated[int, Meta(ge=64, le=2**20, description="a whole number from 64")] = 1024
    backup_disk_mib: Annotated[int, Meta(ge=0, le=2**20, description="a whole number from 0")] = 0

    def __post_init__(self) -> None:
        if self.small is bool(self.recipe):
            raise Fault(
                'needs recipe = "..." or boot = "initramfs", and not both', mend="name one of rootfs/recipes"
            )

    @property
    def small(self) -> bool:
        """Whether it is a guest of busybox that works by itself."""
        return self.boot == "initramfs"


class Option(Record, frozen=True):
    """A number that whoever starts a run may choose: a table of ``[options]`` of lab.toml."""

    default: int | float
    least: Number
    most: Number
    help: Text

    def __post_init__(self) -> None:
        if not self.least <= self.default <= self.most:
            raise Fault("default must be from least to most", "default")

    def read(self, name: str, given: object) -> float:
        """The number that was given.

        :raises UserError: it is none, or out of range.
        """
        whole = isinstance(self.default, int)
        number = settings.Number(self.least, self.most, whole=whole).read(name, given)
        return int(number) if whole else number


class Logwatch(Record, frozen=True):
    """How the administrator comes to know of a denial: ``[logwatch]`` of lab.toml."""

    mailbox: Absolute
    """His mailbox in the guest."""
    hour: Text
    """What the guest's clock is set to so that the hourly log watch is due within seconds (``date -s``)."""


class Main(Record, frozen=True):
    """``lab.toml``."""

    title: Text
    phases: Annotated[tuple[Text, ...], Meta(min_length=1)]
    machine: MachineSpec
    protected: tuple[Text, ...] = ()
    exempt: tuple[Text, ...] = ()
    services: dict[Text, Lines] = field(default_factory=dict)
    logwatch: Logwatch | None = None
    options: dict[Text, Option] = field(default_factory=dict)


class Workload(Record, frozen=True):
    """``workload.toml``."""

    step: tuple[Entry, ...] = ()
    forgotten: tuple[Entry, ...] = ()
    repair: tuple[Entry, ...] = ()


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
                near = unknown("option", name, self.options)
                raise UserError(near.what, where="--set", mend=near.mend)
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


def load(folder: Path) -> Lab:
    """Read a lab's folder.

    :raises UserError: a file is missing or malformed; names file, table and the mend.
    """
    main = read_toml(folder / "lab.toml", Main, HOW)
    workload = _optional(folder / "workload.toml", Workload)
    attacks = _optional(folder / "attacks.toml", Attacks)
    _check_phases(main, folder)

    def steps(kind: str) -> tuple[Step, ...]:
        with _told(folder / "workload.toml"):
            return step.steps(getattr(workload, kind), folder, kind)

    with _told(folder / "attacks.toml"):
        found = attack.attacks(attacks, folder)
    lab = Lab(
        name=folder.name,
        title=main.title,
        folder=folder,
        phases=main.phases,
        machine=main.machine,
        protected=main.protected,
        exempt=main.exempt,
        services=main.services,
        logwatch=main.logwatch,
        options=main.options,
        workload=steps("step"),
        forgotten=steps("forgotten"),
        repair=steps("repair"),
        attacks=found,
    )
    _names_differ((*lab.workload, *lab.forgotten), folder / "workload.toml")
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


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Make a fault that shows itself after reading one of the file."""
    try:
        yield
    except Fault as fault:
        raise wrong(fault, path, HOW) from None


def _optional(path: Path, wanted: type[T]) -> T:
    return read_toml(path, wanted, HOW) if path.is_file() else wanted()


def _check_phases(main: Main, folder: Path) -> None:
    with _told(folder / "lab.toml"):
        for number, name in enumerate(main.phases):
            before = main.phases[:number]
            if name in before:
                raise Fault(f"phase {name} comes twice", "phases", number, mend="name it once")
            try:
                wanted = phases.after(name, folder)
            except UserError as error:
                if error.where:  # it is the lab's own module that cannot be read
                    raise
                raise Fault(error.what, "phases", number, mend=error.mend) from error
            for other in wanted:
                if other not in before:
                    raise Fault(
                        f"phase {name} stands on what {other} found",
                        "phases",
                        number,
                        mend=f"name {other} before it",
                    )


def _names_differ(steps: Iterable[Step], where: Path) -> None:
    """Refuse two steps of one name whose answers are compared: an answer finds its baseline by that name."""
    seen: set[str] = set()
    for one in steps:
        if isinstance(one, HttpStep) or one.output:
            if one.name in seen:
                raise UserError(
                    f"two steps are named {one.name!r}", where=where, mend="give each a name of its own"
                )
            seen.add(one.name)
