# SPDX-License-Identifier: GPL-2.0-only
"""Policies of two architectures: equal, different as declared, different otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import domain_policies, exception_policies

from ccslab.errors import UserError
from ccslab.policy.diff import diff_domains, diff_exceptions
from ccslab.policy.domain import DomainPolicy, parse_domain_policy
from ccslab.policy.exception import ExceptionPolicy, parse_exception_policy
from ccslab.policy.parity import EXCEPTIONS, Difference, Line, compare, load_declared, parse_declared
from ccslab.settings import ROOT

TABLE = r"""
reference = "x86_64"
[[spelling]]
name = "library folder"
why = "Debian's way"
x86_64 = "x86_64-linux-gnu"
i386 = "i386-linux-gnu"
[[spelling]]
name = "dynamic loader"
why = "the ABI's way"
x86_64 = "ld-linux-x86-64.so.2"
i386 = "ld-linux.so.2"
[[only]]
name = "lib64"
why = "only there"
arch = "x86_64"
lines = ['acl_group 0 file read /usr/lib64/lib\*.so\*']
[[only]]
name = "old calls"
why = "only there, too"
arch = "i386"
domain = "<kernel> /bin/sh"
lines = ["file chown /tmp/x 0"]
"""
DECLARED = parse_declared(TABLE)
FIRST = r"""<kernel> /bin/sh
use_profile 1

file read/write /etc/passwd
file read /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
file read /usr/lib/x86_64-linux-gnu/perl-base/\*
"""
SECOND = FIRST.replace("x86_64-linux-gnu", "i386-linux-gnu").replace("ld-linux-x86-64", "ld-linux")
GROUPS = "acl_group 0 file read /usr/lib64/lib\\*.so\\*\n"


def policy(domain: str, exception: str = "") -> tuple[DomainPolicy, ExceptionPolicy]:
    return parse_domain_policy(domain), parse_exception_policy(exception)


def test_declared_spellings_are_told_from_equal_lines():
    found = compare(policy(FIRST), policy(SECOND), DECLARED)
    assert found
    assert [line.text for line in found.equal] == [
        "file read /etc/passwd",
        "file write /etc/passwd",
        "use_profile 1",
    ]
    scope = "<kernel> /bin/sh"
    assert found.declared == [
        Difference(
            "library folder, dynamic loader",
            Line(scope, "file read /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
            Line(scope, "file read /usr/lib/i386-linux-gnu/ld-linux.so.2"),
        ),
        Difference(
            "library folder",
            Line(scope, r"file read /usr/lib/x86_64-linux-gnu/perl-base/\*"),
            Line(scope, r"file read /usr/lib/i386-linux-gnu/perl-base/\*"),
        ),
    ]


def test_what_is_not_declared_is_drift_on_its_side():
    more = policy(FIRST + "file read /etc/group\n"), policy(SECOND + "file read /etc/hosts\n")
    found = compare(*more, DECLARED)
    assert not found
    assert [line.text for line in found.undeclared_a] == ["file read /etc/group"]
    assert [line.text for line in found.undeclared_b] == ["file read /etc/hosts"]
    assert found.drift() == ["@@ <kernel> /bin/sh @@", "-file read /etc/group", "+file read /etc/hosts"]


def test_a_spelling_of_the_wrong_architecture_is_drift():
    """An i386 guest that reads a library of x86_64 is a finding, not a spelling."""
    foreign = SECOND + "file read /usr/lib/x86_64-linux-gnu/libc.so.6\n"
    found = compare(policy(FIRST), policy(foreign), DECLARED)
    assert [line.text for line in found.undeclared_b] == ["file read /usr/lib/x86_64-linux-gnu/libc.so.6"]
    assert found.undeclared_a == []


def test_the_other_architectures_word_is_none_of_its_own():
    """Neither does it pass as equal, nor does it take the place of the line that is right."""
    first = "<kernel>\nfile read /x86_64-linux-gnu\nfile read /i386-linux-gnu\n"
    second = "<kernel>\nfile read /i386-linux-gnu\n"
    found = compare(policy(first), policy(second), DECLARED)
    assert [line.text for line in found.undeclared_a] == ["file read /i386-linux-gnu"]
    assert [difference.a and difference.a.text for difference in found.declared] == [
        "file read /x86_64-linux-gnu"
    ]
    assert not compare(policy(second), policy(second), DECLARED)


def test_of_one_architecture_its_own_words_are_equal():
    found = compare(policy(SECOND), policy(SECOND), DECLARED, arches=("i386", "i386"))
    assert found
    assert found.declared == []
    assert len(found.equal) == 5


def test_a_number_is_compared_by_its_value_and_shown_as_it_is_spelled():
    first, second = "<kernel>\nfile create /x 0600\n", "<kernel>\nfile create /x 384\n"
    found = compare(policy(first), policy(second), DECLARED)
    assert found
    assert Line("<kernel>", "file create /x 0600") in found.equal


def test_of_a_table_without_spellings_all_must_be_equal():
    plain = parse_declared('reference = "x86_64"')
    assert plain.translate(FIRST, "x86_64") == FIRST
    assert compare(policy(FIRST), policy(FIRST), plain, arches=("x86_64", "x86_64"))


def test_a_name_that_only_contains_a_word_is_left_alone():
    for name in ("my-x86_64-linux-gnu", "x86_64-linux-gnux32", "x86_64-linux-gnu.old"):
        assert DECLARED.translate(f"/usr/lib/{name}/a", "i386") == f"/usr/lib/{name}/a"
    assert DECLARED.translate("'/usr/lib/x86_64-linux-gnu'", "i386") == "'/usr/lib/i386-linux-gnu'"


def test_a_domain_is_translated_with_its_lines():
    first = "<kernel> /usr/lib/x86_64-linux-gnu/helper\nuse_profile 0\n"
    second = first.replace("x86_64-linux-gnu", "i386-linux-gnu")
    found = compare(policy(first), policy(second), DECLARED)
    assert found
    assert [difference.declaration for difference in found.declared] == ["library folder"]


def test_a_line_declared_for_one_architecture_counts_there_only():
    line = Line(EXCEPTIONS, r"acl_group 0 file read /usr/lib64/lib\*.so\*")
    assert compare(policy("", GROUPS), policy(""), DECLARED).declared == [Difference("lib64", line, None)]
    assert compare(policy(""), policy("", GROUPS), DECLARED).undeclared_b == [line]
    again = compare(policy("", GROUPS), policy(""), DECLARED, arches=("x86_64", "x86_64"))
    assert again.undeclared_a == [line]
    there = FIRST + "file chown /tmp/x 0\n"
    assert compare(policy(FIRST), policy(there), DECLARED, arches=("x86_64", "i386")).declared[-1] == (
        "old calls", None, Line("<kernel> /bin/sh", "file chown /tmp/x 0"),
    )  # fmt: skip


def test_an_unknown_architecture_gets_the_nearest():
    with pytest.raises(UserError, match="unknown architecture 'x86-64' - did you mean x86_64"):
        compare(policy(""), policy(""), DECLARED, arches=("x86-64", "i386"))


def test_our_own_table_is_well_formed():
    assert {one.name for one in load_declared(ROOT / "policies/architectures.toml").spellings} == {
        "library folder",
        "dynamic loader",
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("reference =", "referenz ="), "unknown key 'referenz'"),
        (('reference = "x86_64"', ""), "lacks the key 'reference'"),
        (
            ('"x86_64"\n[[', '"sparc"\n[['),
            "spelling 1: 'library folder' must have a word for each architecture",
        ),
        (
            ('i386 = "ld-linux.so.2"', ""),
            "spelling 2: 'dynamic loader' must have a word for each architecture",
        ),
        (('"ld-linux.so.2"', '"i386-linux-gnu"'), "spelling: two have the same word for i386"),
        (('"i386-linux-gnu"', '"/usr/lib"'), "'/usr/lib' is more than one word"),
        (('arch = "i386"', 'arch = "sparc"'), "only 2: arch: unknown architecture 'sparc'"),
        (
            ('lines = ["file chown /tmp/x 0"]', "lines = []"),
            "only 2: lines: must be a list that is not empty",
        ),
        (("[[only]]", "[[onlt]]"), "unknown key 'onlt'"),
        (('why = "only there"', "why = 1"), "only 1: why: must be a line of text"),
        (("[[spelling]]", "[[spelling"), "Expected"),
    ],
)
def test_what_is_wrong_in_a_table_is_one_line(change, told):
    with pytest.raises(UserError, match=f"declared.toml.*: .*{told}") as raised:
        parse_declared(TABLE.replace(*change), "declared.toml")
    assert "\n" not in str(raised.value)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="is missing"):
        load_declared(tmp_path / "none.toml")


policies = st.tuples(domain_policies(), exception_policies)
few = settings(max_examples=25)  # whole policies are long in the making


@few
@given(policies, policies)
def test_of_one_architecture_it_is_the_diff(a, b):
    found = compare(a, b, DECLARED, arches=("i386", "i386"))
    assert bool(found) == (not diff_domains(a[0], b[0]) and not diff_exceptions(a[1], b[1]))
    assert found.declared == []


@few
@given(policies, policies)
def test_both_ways_say_the_same(a, b):
    there = compare(a, b, DECLARED)
    back = compare(b, a, DECLARED, arches=("i386", "x86_64"))
    assert (there.undeclared_a, there.undeclared_b) == (back.undeclared_b, back.undeclared_a)
    assert len(there.declared) == len(back.declared)


@few
@given(domain_policies())
def test_a_translated_policy_is_on_a_par_and_comes_back(a):
    text = a.format().replace("/usr", "/usr/x86_64-linux-gnu")
    one, other = policy(text), policy(DECLARED.translate(text, "i386"))
    found = compare(one, other, DECLARED)
    assert found
    assert bool(found.declared) == ("x86_64-linux-gnu" in text)
    assert DECLARED.translate(other[0].format(), "x86_64", source="i386") == one[0].format()
