# SPDX-License-Identifier: GPL-2.0-only
"""Generalisation: what the rules say, the same every time, and no access lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import acls, domain_policies, literal_path

from ccslab.errors import UserError
from ccslab.policy.coverage import Coverage, lost
from ccslab.policy.domain import DomainPolicy, parse_domain_policy
from ccslab.policy.exception import ExceptionPolicy, parse_exception_policy
from ccslab.policy.generalise import generalise, load_rules, rename_domain
from ccslab.policy.pathname import matches
from ccslab.policy.rules import GroupRule, Rules, parse_rules

RULES = parse_rules(
    r"""
[select]
domains = ["<kernel> /usr/sbin/apache2"]

[[group]]
name = "WEB_CONTENTS"
root = "/var/www/html"
depth = 2
exclude = [".htaccess", "\\*.bak"]

[[group]]
name = "CACHE"
root = "/var/cache/web"
directories = true

[[pattern]]
match = "/var/spool/postfix/maildrop/\\*"

[[pattern]]
match = "/tmp/php\\X"
become = "/tmp/php\\*"

[[pattern]]
match = "proc:/\\$/stat"
operations = ["read"]

[[number]]
range = "0600-0666"
operations = ["create"]

[[network]]
sockets = ["dgram send"]
addresses = "10.0.0.0-10.255.255.255"
ports = "53"

[[network]]
sockets = ["stream connect"]
addresses = "127.0.0.1"
ports = "1024-65535"

[[environment]]
match = "HTTP_\\*"

[[condition]]
drop = ["exec.realpath", "exec.argv[0]", "task.pid"]
operations = ["execute", "read"]

[[forget]]
why = "made once at installation"
paths = ["/root/setup"]
"""
)
HEAD = "<kernel> /usr/sbin/apache2\nuse_profile 1\n\n"


def tuned(lines: list[str], rules: Rules = RULES, exception: str = "") -> tuple[list[str], list[str]]:
    learned = parse_domain_policy(HEAD + "\n".join(lines) + "\n")
    domains, exceptions = generalise(learned, parse_exception_policy(exception), rules)
    acl_lines = [acl.format() for acl in domains.domain("<kernel> /usr/sbin/apache2").acls]
    return acl_lines, exceptions.format().splitlines()


def test_content_becomes_a_group_with_a_line_per_depth() -> None:
    lines, groups = tuned(["file read /var/www/html/a.html", "file read/getattr /var/www/html/x/y/z.png"])
    level = "/\\*\\-.htaccess\\-\\*.bak"
    assert lines == ["file read/getattr @WEB_CONTENTS"]
    assert groups == [f"path_group WEB_CONTENTS /var/www/html{level * depth}" for depth in (1, 2, 3)]


def test_declared_depth_is_the_least() -> None:
    _, groups = tuned(["file read /var/www/html/a.html"])
    assert len(groups) == 2


def test_excluded_and_foreign_names_stay() -> None:
    lines, _ = tuned(
        ["file read /var/www/html/.htaccess", "file read /var/www/html/a.bak", "file read /etc/x"]
    )
    assert lines == ["file read /etc/x", "file read /var/www/html/.htaccess", "file read /var/www/html/a.bak"]


def test_directories_belong_to_a_group_that_says_so() -> None:
    lines, groups = tuned(
        ["file mkdir /var/cache/web/t/ 0755", "file read /var/www/html/d/", "file rmdir /var/cache/web/t/"]
    )
    assert lines == ["file mkdir @CACHE 0755", "file read /var/www/html/d/", "file rmdir @CACHE"]
    assert groups == [f"path_group CACHE /var/cache/web{rest}" for rest in ("/\\*", "/", "/\\*/")]


def test_temporary_names_become_patterns() -> None:
    lines, _ = tuned(
        [
            "file create /tmp/php1aB2 0600",
            "file read/write/unlink /tmp/phpFFFF",
            "file rename /var/spool/postfix/maildrop/9.1 /var/spool/postfix/maildrop/AB",
            "file read proc:/123/stat",
            "file unlink proc:/123/stat",
        ]
    )
    assert lines == [
        "file create /tmp/php\\* 0600-0666",
        "file read proc:/\\$/stat",
        "file read/write/unlink /tmp/php\\*",
        "file rename /var/spool/postfix/maildrop/\\* /var/spool/postfix/maildrop/\\*",
        "file unlink proc:/123/stat",
    ]


def test_learned_conditions_are_dropped_where_the_rule_says() -> None:
    lines, _ = tuned(
        [
            'file execute /bin/sh exec.realpath="/bin/dash" exec.argv[0]="sh"',
            'file execute /bin/sh exec.realpath="/bin/dash" exec.argv[0]="/bin/sh"',
            "file write /x task.pid=5",
        ]
    )
    assert lines == ["file execute /bin/sh", "file write /x task.pid=5"]


def test_network_and_environment() -> None:
    lines, _ = tuned(
        [
            "network inet dgram send 10.0.2.3 53",
            "network inet dgram send 8.8.8.8 53",
            "network inet stream connect 127.0.0.1 40000",
            "network inet stream connect 127.0.0.1 80",
            "misc env HTTP_HOST",
            "misc env HTTP_ACCEPT",
            "misc env PATH",
        ]
    )
    assert lines == [
        "misc env HTTP_\\*",
        "misc env PATH",
        "network inet dgram send 10.0.0.0-10.255.255.255 53",
        "network inet dgram send 8.8.8.8 53",
        "network inet stream connect 127.0.0.1 1024-65535",
        "network inet stream connect 127.0.0.1 80",
    ]


def test_execute_is_left_alone_because_its_pattern_would_name_the_domain() -> None:
    lines, _ = tuned(["file execute /var/www/html/x.cgi", "file execute /tmp/php12"])
    assert lines == ["file execute /tmp/php12", "file execute /var/www/html/x.cgi"]


def test_execute_by_pattern_renames_and_merges_the_domains() -> None:
    rules = parse_rules('[[pattern]]\nmatch = "/srv/cgi/\\\\*.cgi"\noperations = ["execute"]\n')
    text = "".join(
        f"<kernel> /x\nuse_profile 1\nfile execute /srv/cgi/{n}.cgi\n"
        f"<kernel> /x /srv/cgi/{n}.cgi\nuse_profile 1\nfile read /{n}\n"
        for n in ("a", "b")
    )
    learned = parse_domain_policy(text)
    domains, _ = generalise(learned, ExceptionPolicy(), rules)
    assert list(domains.domains) == ["<kernel> /x", "<kernel> /x /srv/cgi/\\*.cgi"]
    assert [acl.format() for acl in domains.domain("<kernel> /x /srv/cgi/\\*.cgi").acls] == [
        "file read /a",
        "file read /b",
    ]
    assert rename_domain("<kernel> /x /srv/cgi/a.cgi", learned, rules) == "<kernel> /x /srv/cgi/\\*.cgi"


def test_domains_are_selected_and_lines_forgotten() -> None:
    learned = parse_domain_policy(
        "<kernel>\nuse_profile 1\n<kernel> /usr/sbin/apache2\nuse_profile 1\nfile read /root/setup\n"
        "<kernel> /usr/sbin/apache2 /bin/sh\nuse_profile 1\n<kernel> /usr/sbin/apache2x\nuse_profile 1\n"
    )
    domains, _ = generalise(learned, ExceptionPolicy(), RULES)
    assert list(domains.domains) == ["<kernel> /usr/sbin/apache2", "<kernel> /usr/sbin/apache2 /bin/sh"]
    assert domains.domain("<kernel> /usr/sbin/apache2").acls == []


def test_what_is_needed_by_chance_is_always_there_where_the_kernel_knows_it() -> None:
    rules = parse_rules(
        """[[always]]
        why = "ends what does not end"
        domain = "<kernel> /x"
        beside = "network inet stream accept "
        lines = ["ipc signal 15 <kernel> /x"]
        """
    )
    accept, kill = "network inet stream accept 10.0.0.1 5000", "ipc signal 15 <kernel> /x /y"

    def lines(*learned: str) -> list[list[str]]:
        text = "".join(
            f"<kernel> /{name}\nuse_profile 1\n" + "".join(f"{line}\n" for line in learned) for name in "xz"
        )
        domains, _ = generalise(parse_domain_policy(text), ExceptionPolicy(), rules)
        return [[acl.format() for acl in domain.acls] for domain in domains.domains.values()]

    assert lines("file read /a") == [["file read /a"], ["file read /a"]]
    assert lines(accept) == [["ipc signal 15 <kernel> /x", accept], [accept]]
    assert lines(accept, kill) == [["ipc signal 15 <kernel> /x", accept], [kill, accept]]


def test_lines_that_others_cover_go() -> None:
    lines, _ = tuned(
        [
            "file read /tmp/php\\*",
            "file read /tmp/php12 task.uid=0",
            "file create /a 0600-0666",
            "file create /a 0644",
        ]
    )
    assert lines == ["file create /a 0600-0666", "file read /tmp/php\\*"]


def test_acl_groups_are_generalised_too() -> None:
    _, exceptions = tuned(["file read /x"], exception="acl_group 3 file read /var/www/html/a\n")
    assert "acl_group 3 file read @WEB_CONTENTS" in exceptions
    assert sum(line.startswith("path_group") for line in exceptions) == 2


paths = st.one_of(
    literal_path,
    st.builds(
        lambda root, rest: root + rest,
        st.sampled_from(["/var/www/html", "/var/cache/web", "/tmp", "/var/spool/postfix/maildrop"]),
        literal_path,
    ),
    st.sampled_from(
        [
            "/tmp/php1F",
            "proc:/12/stat",
            "/var/www/html/.htaccess",
            "@WEB_CONTENTS",
            "/var/www/html/\\*",
            "/root",
        ]
    ),
)
FREE = Rules(**{**vars(RULES), "select": (), "conditions": (), "forget": ()})


@settings(max_examples=15, deadline=None)
@given(domain_policies(acls(paths)))
def test_no_access_is_lost(policy: DomainPolicy) -> None:
    after, exceptions = generalise(policy, ExceptionPolicy(), FREE)
    assert lost(policy, after, exceptions) == {}


@settings(max_examples=12, deadline=None)
@given(domain_policies(acls(paths)))
def test_a_second_time_changes_nothing(policy: DomainPolicy) -> None:
    rules = Rules(**{**vars(RULES), "select": ()})
    once = generalise(policy, ExceptionPolicy(), rules)
    twice = generalise(*once, rules)
    assert (twice[0].format(), twice[1].format()) == (once[0].format(), once[1].format())


def test_a_lost_access_is_seen() -> None:
    before = parse_domain_policy(HEAD + "file read/write /x\n")
    after = parse_domain_policy(HEAD + "file read /x\n")
    found = lost(before, after, ExceptionPolicy())
    assert [acl.format() for acl in found["<kernel> /usr/sbin/apache2"]] == ["file write /x"]


@pytest.mark.parametrize(
    ("wide", "narrow", "verdict"),
    [
        ("file read /a/\\*", "file read /a/b", True),
        ("file read /a/\\*", "file read /a/b/c", False),
        ("file read @G", "file read /g/x", True),
        ("file read @H", "file read /g/x", False),
        ("file read /a", "file read /a task.uid=0", True),
        ("file read /a task.uid=0", "file read /a", False),
        ("file create /a 0-0777", "file create /a 0644", True),
        ("file create /a 0600", "file create /a 0644", False),
        ("network inet dgram send 10.0.0.0-10.0.0.9 53", "network inet dgram send 10.0.0.4 53", True),
        ("network inet dgram send 10.0.0.0-10.0.0.9 53", "network inet dgram send ::a 53", False),
        ("file execute /a keep", "file execute /a", False),
        ('file execute /a exec.realpath="/b/\\*"', 'file execute /a exec.realpath="/b/c"', True),
        ("file read /a task.uid=0-10", "file read /a task.uid=5", True),
        ("ipc signal 1-15 <kernel> /x", "ipc signal 9 <kernel> /x /y", True),
        ("ipc signal 9 <kernel> /x", "ipc signal 9 <kernel> /xy", False),
        ("ipc signal 9 <kernel> /x /y", "ipc signal 9 <kernel> /x", False),
        ("task manual_domain_transition <kernel> /x", "task manual_domain_transition <kernel> /x /y", False),
    ],
)
def test_coverage(wide: str, narrow: str, verdict: bool) -> None:
    exceptions = parse_exception_policy("path_group G /g/\\*\n")
    one, other = (
        next(iter(parse_domain_policy(HEAD + t + "\n").domains.values())).acls for t in (wide, narrow)
    )
    assert (Coverage(exceptions).uncovered(one, other) == []) == verdict


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[[grup]]\n", "did you mean group?"),
        ('[[group]]\nname="A"\nrot="/x"\n', "did you mean root?"),
        ('[[group]]\nname="A"\n', "root"),
        ('[[pattern]]\nmatch="/\\\\q"\n', "unknown pattern"),
        ('[[pattern]]\nmatch="/x"\noperations=["reed"]\n', "did you mean read"),
        ('[[number]]\nrange="9-1"\noperations=["create"]\n', "range 9-1 is empty"),
        (
            '[[group]]\nname="A"\nroot="/x"\ndepth="3"\n',
            "group 1: depth: must be a whole number from 0 to 64",
        ),
        ("[[group\n", "is malformed"),
        ('[[always]]\nwhy="x"\ndomain="<kernel>"\nbeside="ipc"\nlines=["ipc signl 9 <kernel>"]\n', "signal"),
    ],
)
def test_malformed_rules_say_what_and_where(text: str, hint: str, tmp_path: Path) -> None:
    file = tmp_path / "generalise.toml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        load_rules(file)
    assert hint in str(caught.value)
    assert "generalise.toml" in caught.value.where


def test_missing_rules(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        load_rules(tmp_path / "none.toml")


def test_a_group_that_does_not_hold_the_name_does_not_take_its_place() -> None:
    rules = parse_rules('[[pattern]]\nmatch = "/a\\\\*"\nbecome = "@EMPTY"\n')
    assert tuned(["file read /ab"], rules)[0] == ["file read /ab"]
    assert tuned(["file read /ab"], rules, "path_group EMPTY /ab\n")[0] == ["file read @EMPTY"]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_members_stand_for_each_depth_and_none_is_one_too_many(depth: int) -> None:
    """The kernel lets a pattern's last part be absent, so one member serves two depths."""
    members = GroupRule("A", "/x").members(depth)
    names = ["/x" + "/name" * level for level in range(1, depth + 1)]
    assert len(members) == (depth + 1) // 2
    assert all(any(matches(name, member) for member in members) for name in names)
    assert not any(matches(names[-1] + "/name", member) for member in members)
    for member in members:
        others = [one for one in members if one != member]
        assert not all(any(matches(name, other) for other in others) for name in names), member


def test_members_that_name_domains_or_leave_something_out_are_one_a_depth() -> None:
    assert len(GroupRule("A", "/x", operations=("execute",)).members(3)) == 3
    assert len(GroupRule("A", "/x", exclude=(".ht\\*",)).members(3)) == 3
