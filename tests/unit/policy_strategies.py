# SPDX-License-Identifier: GPL-2.0-only
"""Hypothesis strategies for the policy language, and where its real examples lie."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from ccslab.policy import language, value
from ccslab.policy.acl import SHAPES, Acl, order_of
from ccslab.policy.condition import Condition
from ccslab.policy.domain import Domain, DomainPolicy
from ccslab.policy.exception import (
    Aggregator,
    DenyAutobind,
    Entry,
    ExceptionPolicy,
    GroupAcl,
    GroupMember,
    Transition,
)
from ccslab.policy.profile import Config, Profile, Profiles

DATA = Path(__file__).parent / "data" / "policy"
KERNEL = DATA / "kernel-6.12"

LETTERS = st.sampled_from(
    ["a", "b", "c", "1", "2", "9", "x", "F", "_", ".", "-", "\\\\", "\\040", "\\001", "\\377"]
)
WILDCARDS = st.sampled_from(["\\*", "\\@", "\\?", "\\$", "\\+", "\\X", "\\x", "\\A", "\\a"])

component = st.lists(LETTERS, min_size=1, max_size=4).map("".join).filter(lambda c: c not in (".", ".."))
literal_path = st.builds(
    lambda parts, tail: "/" + "/".join(parts) + tail,
    st.lists(component, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)
program = st.lists(st.sampled_from(["bin", "usr", "sbin", "sh", "ls", "cgi"]), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
pattern_part = st.lists(st.one_of(LETTERS, WILDCARDS), min_size=1, max_size=4).map("".join)
pattern_component = st.one_of(
    pattern_part,
    st.lists(pattern_part, min_size=2, max_size=3).map("\\-".join),
    pattern_part.map(lambda p: f"\\{{{p}\\}}"),
)


def _pattern(parts: list[str], tail: str) -> str:
    # A repetition must stand between slashes.
    return "/" + "/".join(parts) + ("/" if parts[-1].endswith("\\}") else tail)


pattern = st.builds(_pattern, st.lists(pattern_component, min_size=1, max_size=3), st.sampled_from(["", "/"]))
group = st.sampled_from(["@G1", "@WEB_CONTENTS"])
name = st.one_of(literal_path, pattern, group)
domain_name = st.lists(program, max_size=3).map(lambda parts: " ".join(["<kernel>", *parts]))


@st.composite
def numbers(draw: st.DrawFn, maximum: int = 2**32) -> str:
    low = draw(st.integers(0, maximum))
    high = draw(st.integers(low, maximum))
    forms = ["{:d}", "0{:o}", "0x{:X}"]
    return value.number(
        f"{draw(st.sampled_from(forms)).format(low)}-{draw(st.sampled_from(forms)).format(high)}"
    )


ipv4 = (
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4))
    .map(sorted)
    .map(lambda p: value.address(f"{p[0]}-{p[1]}"))
)
ipv6 = st.ip_addresses(v=6).map(lambda one: value.address(str(one)))
ARGUMENTS = {
    "path": name,
    "number": st.one_of(numbers(), group),
    "port": st.one_of(numbers(65535), group),
    "address": st.one_of(ipv4, ipv6, group),
    "name": st.sampled_from(["PATH", "HTTP_\\*", "A"]),
    "domain": domain_name,
    "domains": domain_name,
    "program": program,
}
HEADS = [
    *(("file", operation) for names in language.FILE.values() for operation in names),
    *((f"network {f} {p}", o) for (f, p), operations in language.NETWORK.items() for o in operations),
    ("misc", "env"),
    ("capability", "SYS_TIME"),
    ("ipc", "signal"),
    *(("task", operation) for names in language.TASK.values() for operation in names),
]
conditions = st.one_of(
    st.builds(
        Condition,
        st.sampled_from(language.CONDITION_NUMBERS),
        st.booleans(),
        st.one_of(
            numbers(), group, st.sampled_from([*language.CONDITION_NUMBERS, *language.CONDITION_CONSTANTS])
        ),
    ),
    st.builds(
        Condition,
        st.sampled_from([*language.CONDITION_NAMES, "exec.argv[0]", 'exec.envp["PATH"]']),
        st.booleans(),
        st.one_of(literal_path, pattern).map(lambda p: f'"{p}"'),
    ),
    st.just(Condition('exec.envp["HOME"]', False, "NULL")),
)


@st.composite
def acls(draw: st.DrawFn, names: st.SearchStrategy[str] = name) -> Acl:
    head, operation = draw(st.sampled_from(HEADS))
    operations = {operation}
    if head == "file" or head.startswith("network"):
        operations |= set(draw(st.lists(st.sampled_from(order_of(head, operation)), max_size=3)))
    ordered = tuple(o for o in order_of(head, operation) if o in operations)
    kinds = SHAPES[Acl(head, ordered, ()).shape]
    arguments = tuple(draw(names if kind == "path" else ARGUMENTS[kind]) for kind in kinds)
    transition = ""
    if (head, ordered) == ("file", ("execute",)):
        transition = draw(
            st.one_of(st.just(""), st.sampled_from(language.TRANSITION_PREFERENCES), domain_name, program)
        )
    return Acl(
        head,
        ordered,
        arguments,
        transition,
        tuple(draw(st.lists(conditions, max_size=3))),
        draw(st.sampled_from(["", "yes", "no"])),
    )


@st.composite
def domain_policies(draw: st.DrawFn, lines: st.SearchStrategy[Acl] | None = None) -> DomainPolicy:
    policy = DomainPolicy()
    for domain in draw(st.lists(domain_name, max_size=3, unique=True)):
        policy.domains[domain] = Domain(
            domain,
            draw(st.integers(0, 255)),
            tuple(f for f in language.DOMAIN_FLAGS if draw(st.booleans())),
            tuple(sorted(draw(st.sets(st.integers(0, 255), max_size=3)))),
            draw(st.lists(acls() if lines is None else lines, max_size=5, unique=True)),
        )
    return policy


items = st.one_of(
    st.builds(
        Transition,
        st.sampled_from(language.TRANSITION_CONTROLS),
        st.one_of(program, st.just("any")),
        st.one_of(domain_name, program, st.just("any")),
    ),
    st.builds(Aggregator, pattern, program),
    st.builds(GroupMember, st.just("path_group"), st.just("G1"), st.one_of(literal_path, pattern)),
    st.builds(GroupMember, st.just("number_group"), st.just("IDS"), numbers()),
    st.builds(GroupMember, st.just("address_group"), st.just("LOCAL"), st.one_of(ipv4, ipv6)),
    st.builds(GroupAcl, st.integers(0, 255), acls()),
    st.builds(DenyAutobind, numbers(65535)),
)
exception_policies = st.lists(
    st.builds(Entry, items, st.sampled_from(["<kernel>", "<other>"])), max_size=8, unique=True
).map(ExceptionPolicy)
configs = st.one_of(
    st.just(Config("use_default")),
    st.builds(
        Config,
        st.sampled_from(["", *language.MODES]),
        st.sampled_from(["", "yes", "no"]),
        st.sampled_from(["", "yes", "no"]),
    ),
)
profile = st.builds(
    Profile,
    st.sampled_from(["", "-----Enforcing Mode-----", "a = b"]),
    st.dictionaries(st.sampled_from(language.PREFERENCES), st.integers(0, 5000)),
    st.dictionaries(st.sampled_from(["", *language.CONFIG]), configs, max_size=5),
)
profiles = st.builds(
    Profiles,
    st.dictionaries(st.sampled_from(["<kernel>", "<other>"]), st.just(20150505)),
    st.dictionaries(
        st.tuples(st.sampled_from(["<kernel>", "<other>"]), st.integers(0, 255)), profile, max_size=3
    ),
)
