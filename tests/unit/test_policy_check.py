# SPDX-License-Identifier: GPL-2.0-only
"""policy.check, policy.diff and policy.convert over files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from policy_strategies import DATA, KERNEL

from ccslab.errors import UserError
from ccslab.policy import command
from ccslab.policy.check import ERROR, check_file, check_folder
from ccslab.policy.kind import kind_of

GOOD = {
    "profile.conf": "PROFILE_VERSION=20150505\n0-CONFIG={ mode=disabled }\n3-CONFIG={ mode=enforcing }\n",
    "exception_policy.conf": "initialize_domain /usr/sbin/apache2 from any\npath_group W /var/www/\\*\n",
    "domain_policy.conf": "<kernel>\nuse_profile 0\n\n<kernel> /usr/sbin/apache2\nuse_profile 3\n\n"
    "file execute /bin/sh\nfile read @W\n\n<kernel> /usr/sbin/apache2 /bin/sh\nuse_profile 3\n\n",
    "manager.conf": "/usr/sbin/tomoyo-loadpolicy\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in GOOD.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_good_policy_has_no_problems(folder: Path) -> None:
    assert check_folder(folder) == []
    outcome = command.check(folder)
    assert outcome.status == 0
    assert "0 error(s), 0 warning(s)" in outcome.text


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "severity", "what"),
    [
        ("domain_policy.conf", "file read @W", "file reed @W", 8, "error", "did you mean read?"),
        ("domain_policy.conf", "file read @W", "file read @X", 8, "error", "path_group X has no member"),
        ("domain_policy.conf", "use_profile 3", "use_profile 4", 5, "error", "profile 4 is not defined"),
        (
            "domain_policy.conf",
            "file execute /bin/sh",
            "file execute /bin/bash",
            10,
            "warning",
            "unreachable",
        ),
        ("domain_policy.conf", "file read @W", "capability SYS_TIME", 8, "warning", "1.8"),
        ("domain_policy.conf", "file read @W", "use_group 9", 8, "warning", "acl_group 9 is empty"),
        ("exception_policy.conf", "path_group W /var", "path_group W @var", 2, "error", "nested"),
        ("exception_policy.conf", "path_group W /var", "path_group W /\\qvar", 2, "error", "unknown pattern"),
        (
            "exception_policy.conf",
            "initialize_domain",
            "initialise_domain",
            1,
            "error",
            "did you mean initialize_domain?",
        ),
        ("profile.conf", "3-CONFIG=", "3-CONFIG::capability=", 3, "warning", "1.8"),
        ("profile.conf", "mode=enforcing", "mode=enforced", 3, "error", "enforcing"),
        ("manager.conf", "/usr/sbin/", "/usr/\\*/", 1, "error", "patterns are not allowed"),
    ],
)
def test_each_problem_has_file_line_and_mend(
    folder: Path, file: str, old: str, new: str, line: int, severity: str, what: str
) -> None:
    path = folder / file
    path.write_text(path.read_text().replace(old, new, 1))
    found = [p for p in check_folder(folder) if what in f"{p.what} {p.mend}"]
    assert [(Path(p.source).name, p.line, p.severity) for p in found] == [(file, line, severity)]
    assert found[0].mend
    assert command.check(folder).status == (1 if severity == ERROR else 0)


def test_a_domain_is_reached_by_initialize_domain_or_by_its_parent(folder: Path) -> None:
    domain = folder / "domain_policy.conf"
    domain.write_text(domain.read_text().replace("<kernel>\nuse_profile 0\n", "<kernel>\nuse_profile 3\n"))
    assert check_folder(folder) == []
    exception = folder / "exception_policy.conf"
    exception.write_text(
        exception.read_text().replace("initialize_domain /usr/sbin/apache2", "keep_domain /x")
    )
    assert ["unreachable" in problem.what for problem in check_folder(folder)] == [True]
    domain.write_text(domain.read_text() + "<kernel>\nfile execute /usr/sbin/apache\\A2\n")
    assert ["unreachable" in problem.what for problem in check_folder(folder)] == [True]
    domain.write_text(domain.read_text() + "<kernel>\nfile execute /usr/sbin/\\A2\n")
    assert check_folder(folder) == []


def test_the_reports_two_spellings_show_as_unreachable_domains(tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = command.convert_file(DATA / "report2008" / "policy.txt", out)
    assert outcome.status == 0
    assert "sslcgi" in outcome.text
    unreachable = [problem.what for problem in check_folder(out) if "unreachable" in problem.what]
    assert len(unreachable) == 2
    assert all("/ssl/cgi/" in what for what in unreachable)


def test_convert_prints_warnings_as_comments() -> None:
    text = command.convert_file(DATA / "report2008" / "profiles2006.txt").text
    assert "3-CONFIG::file={ mode=enforcing }" in text
    assert any(line.startswith("# ") and "MAC_FOR_FILE" in line for line in text.splitlines())


def test_debians_first_configuration_has_no_problems() -> None:
    assert check_folder(DATA / "debian") == []


def test_what_the_kernel_dropped_is_found_before_loading() -> None:
    errors = {problem.line for problem in check_file(KERNEL / "loaded" / "profile.conf")}
    assert errors == {5, 13, 14, 15, 16}


def test_a_file_is_recognised_by_name_or_content(folder: Path) -> None:
    for name, text in GOOD.items():
        assert kind_of(text) == kind_of("", name) == name.removesuffix(".conf").removesuffix("_policy")
    for name in ("domain_policy", "exception_policy", "profile", "stat"):
        assert kind_of((KERNEL / "printed" / name).read_text()) == name.removesuffix("_policy")
    assert kind_of((KERNEL / "audit.log").read_text()) == "audit"
    assert kind_of("<kernel> /x\n4 /etc/passwd\n", "domain_policy.conf") == "old"
    assert kind_of("hello world\n") == ""


def test_old_policy_is_sent_to_the_converter(tmp_path: Path) -> None:
    (tmp_path / "domain_policy.conf").write_text("<kernel> /x\n4 /etc/passwd\n")
    assert "policy.convert" in command.check(tmp_path / "domain_policy.conf").text


def test_diff_of_folders_and_files(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name, text in GOOD.items():
        (other / name).write_text(text.replace("file read @W", "file getattr/read @W"))
    assert command.diff(folder, folder).status == 0
    found = command.diff(folder, other)
    assert found.status == 1
    assert found.text.splitlines()[2:] == ["@@ <kernel> /usr/sbin/apache2 @@", "+file getattr @W"]
    assert command.diff(folder / "profile.conf", other / "profile.conf").text == ""


def test_bad_input_is_one_line(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for call in (
        lambda: command.check(tmp_path / "none"),
        lambda: command.check(empty),
        lambda: command.diff(folder, empty),
        lambda: command.diff(folder, folder / "profile.conf"),
        lambda: command.diff(folder / "profile.conf", folder / "domain_policy.conf"),
        lambda: command.convert_file(tmp_path / "none"),
        lambda: command.convert_file(DATA / "report2008" / "policy.txt", folder / "profile.conf"),
    ):
        with pytest.raises(UserError) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert caught.value.mend
