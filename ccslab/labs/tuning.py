# SPDX-License-Identifier: GPL-2.0-only
"""What happens to a learned policy on its way to enforcement; policy text only, no guest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from ccslab.errors import UserError
from ccslab.labs.definition import Lab
from ccslab.policy.audit import Record, acl_of
from ccslab.policy.domain import Domain, DomainPolicy, parse_domain_policy
from ccslab.policy.exception import ExceptionPolicy, parse_exception_policy
from ccslab.policy.generalise import generalise
from ccslab.policy.parity import Declared, compare, load_declared
from ccslab.policy.rules import Rules, parse_rules

DOMAIN_FILE = "domain_policy.conf"
EXCEPTION_FILE = "exception_policy.conf"
ARCHITECTURES_FILE = "architectures.toml"


def examine(lab: Lab, *, update_golden: bool = False) -> None:
    """Read the lab's rules and its golden policy, so that what is wrong in them is said before a run.

    :param update_golden: whether the run is to write a golden policy.
    :raises UserError: one of them is missing or malformed, or the golden policy is another architecture's.
    """
    if not lab.rules.is_file():
        return
    rules(lab)
    drift(lab, DomainPolicy(), ExceptionPolicy())
    reference = declared(lab).reference
    if update_golden and lab.arch != reference:
        raise UserError(
            f"the golden policy is written by runs on {reference}, and translated for {lab.arch}",
            where="--golden",
            mend=f"use --arch {reference}",
        )


def declared(lab: Lab) -> Declared:
    """In what the policies of two architectures may differ.

    :raises UserError: the table is malformed, or does not know the lab's architecture.
    """
    table = load_declared(golden_folder(lab).parent / ARCHITECTURES_FILE)
    table.check(lab.arch)
    return table


def rules(lab: Lab) -> Rules:
    """The lab's rules of generalisation, in the words of its guest's architecture."""
    return parse_rules(
        declared(lab).translate(_text(lab.rules, "write the lab's rules"), lab.arch), str(lab.rules)
    )


def tune(
    lab: Lab, learned: DomainPolicy, exceptions: ExceptionPolicy
) -> tuple[DomainPolicy, ExceptionPolicy]:
    """The learned policy, generalised by the lab's rules."""
    return generalise(learned, exceptions, rules(lab))


def named_programs(records: Iterable[Record]) -> list[str]:
    """The programs whose execution nobody had learned, in the order of their first record."""
    return list(
        dict.fromkeys(
            record.request.split(" ")[2] for record in records if record.request.startswith("file execute ")
        )
    )


def additions(lab: Lab, records: Iterable[Record], profile: int) -> tuple[DomainPolicy, ExceptionPolicy]:
    """The policy that would have allowed the records, generalised like the rest.

    A name below a group's root, but deeper than the group reaches, comes as further members of it.

    :param profile: the domains' profile, also of those that a first execution makes.
    """
    policy = DomainPolicy()
    for record in records:
        domain = policy.add(record.domain)
        domain.profile = profile
        domain.groups = domain.groups or (0,)
        domain.acls.extend(acl_of(record))
    # What comes by chance came with the rest of the policy.
    return generalise(policy, ExceptionPolicy(), dataclasses.replace(rules(lab), always=()))


def guarded(lab: Lab, policy: DomainPolicy) -> DomainPolicy:
    """Only the protected domains, without what changes as the run goes on (profile numbers)."""
    return DomainPolicy(
        {
            name: Domain(name, 0, (), domain.groups, domain.acls)
            for name, domain in policy.domains.items()
            if lab.guards(name)
        }
    )


def golden_folder(lab: Lab) -> Path:
    """Where the lab's golden policy is."""
    return lab.folder.parent.parent / "policies" / lab.name


def has_golden(lab: Lab) -> bool:
    """Whether the lab has a golden policy."""
    return (golden_folder(lab) / DOMAIN_FILE).is_file()


def golden(lab: Lab) -> tuple[str, str]:
    """The golden policy's text, of domains and of exceptions, in the words of the lab's architecture.

    :raises UserError: there is none.
    """
    folder, table = golden_folder(lab), declared(lab)
    mend = f"./inv lab.scenario {lab.name} --golden writes it"
    domains, exceptions = (_text(folder / name, mend) for name in (DOMAIN_FILE, EXCEPTION_FILE))
    return table.translate(domains, lab.arch), table.translate(exceptions, lab.arch)


def drift(lab: Lab, tuned: DomainPolicy, exceptions: ExceptionPolicy) -> list[str] | None:
    """Golden policy against this run's, a line each; empty when they mean the same, None when there is none.

    What the architectures' table declares is no drift.
    """
    folder = golden_folder(lab)
    if not has_golden(lab):
        return None
    golden = parse_domain_policy(_text(folder / DOMAIN_FILE), str(folder / DOMAIN_FILE))
    wanted = parse_exception_policy(_text(folder / EXCEPTION_FILE), str(folder / EXCEPTION_FILE))
    table = declared(lab)
    found = compare(
        (golden, wanted), (guarded(lab, tuned), exceptions), table, arches=(table.reference, lab.arch)
    )
    return found.drift()


def _text(path: Path, mend: str = "restore the golden policy") -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=path, mend=mend) from error


def write_golden(lab: Lab, tuned: DomainPolicy, exceptions: ExceptionPolicy) -> Path:
    """Make this run's policy the golden one; returns its folder."""
    folder = golden_folder(lab)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DOMAIN_FILE).write_text(guarded(lab, tuned).format())
    (folder / EXCEPTION_FILE).write_text(exceptions.format())
    return folder
