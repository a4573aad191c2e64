# SPDX-License-Identifier: GPL-2.0-only
"""What a 6.12 kernel dropped of what was loaded into it."""

from __future__ import annotations

import pytest
from policy_strategies import KERNEL

from ccslab.errors import UserError
from ccslab.policy.canonical import atom_set
from ccslab.policy.domain import Acl, DomainStart, parse_domain_policy, scan_domain_policy
from ccslab.policy.exception import DenyAutobind, scan_exception_policy
from ccslab.policy.readback import dropped

NAMES = ["domain_policy", "exception_policy", "profile", "manager"]


def loaded(name: str) -> str:
    return (KERNEL / "loaded" / f"{name}.conf").read_text()


def printed(name: str) -> str:
    return (KERNEL / "printed" / name).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_printed_is_not_dropped(name: str) -> None:
    assert dropped(printed(name), printed(name), name.removesuffix("_policy")) == []


def test_the_reader_refuses_exactly_what_the_kernel_dropped_of_the_domain_policy() -> None:
    expected = []
    for statement in scan_domain_policy(loaded("domain_policy")):
        only_18 = isinstance(statement.item, Acl) and statement.item.only_18()
        if statement.fault or only_18:
            prefix = f"{statement.scope}: " if statement.scope else ""
            expected.append(f"{prefix}{statement.text}")
    assert len(expected) > 20
    assert dropped(loaded("domain_policy"), printed("domain_policy")) == expected


def test_the_reader_refuses_exactly_what_the_kernel_dropped_of_the_exception_policy() -> None:
    statements = scan_exception_policy(loaded("exception_policy"))
    expected = [s.text for s in statements if s.fault or isinstance(s.item, DenyAutobind)]
    assert len(expected) == 7
    assert dropped(loaded("exception_policy"), printed("exception_policy")) == expected


def test_profile_names_the_part_that_was_dropped() -> None:
    assert dropped(loaded("profile"), printed("profile")) == [
        "1-PREFERENCE={ enforcing_penalty=3 }",
        "3-CONFIG::network::inet_stream_accept={ mode=enforcing }",
        "3-CONFIG::capability::SYS_TIME={ mode=enforcing }",
        "3-CONFIG::fil={ mode=enforcing }",
        "256-CONFIG={ mode=enforcing }",
    ]


def test_manager_and_stat() -> None:
    assert dropped(loaded("manager"), printed("manager"), "manager") == ["\\q"]
    assert dropped(loaded("stat"), printed("stat"), "stat") == []
    assert dropped("Memory used by policy: 5\n", printed("stat"), "stat") == ["Memory used by policy: 5"]


@pytest.mark.parametrize("name", NAMES)
def test_every_line_that_is_taken_out_of_the_printed_text_is_named(name: str) -> None:
    text = printed(name)
    for line in dict.fromkeys(text.splitlines()):
        # An empty comment is what a profile has that was never given one; <kernel> is the head of all.
        if not line or line == "<kernel>" or line.endswith("-COMMENT="):
            continue
        rest = "\n".join(other for other in text.splitlines() if other != line)
        assert dropped(text, rest, name.removesuffix("_policy")), line


def test_an_undefined_profile_shows_as_dropped() -> None:
    assert dropped("<kernel> /x\nuse_profile 9\n", "<kernel> /x\nuse_profile 0\n") == [
        "<kernel> /x: use_profile 9"
    ]


def test_only_the_dropped_operation_is_named() -> None:
    assert dropped("<kernel>\nfile read/write /x\n", "<kernel>\nuse_profile 0\n\nfile read /x\n") == [
        "<kernel>: file write /x"
    ]


def test_the_kernels_own_order_and_spelling_mean_the_same() -> None:
    lines = [
        s for s in scan_domain_policy(loaded("domain_policy")) if isinstance(s.item, Acl) and not s.fault
    ]
    there = parse_domain_policy(printed("domain_policy"))
    for statement in lines:
        assert isinstance(statement.item, Acl)
        if not statement.item.only_18():
            assert atom_set([statement.item]) <= atom_set(there.domain(statement.scope).acls), statement.text
    assert not any(
        isinstance(s.item, DomainStart) and s.fault for s in scan_domain_policy(printed("domain_policy"))
    )


def test_a_text_of_no_known_kind_is_refused() -> None:
    with pytest.raises(UserError, match="kind of policy"):
        dropped("what is this\n", "what is this\n")
