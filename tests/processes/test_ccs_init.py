# SPDX-License-Identifier: GPL-2.0-only
"""``ccs-init --check`` on the host: each defect of a configuration is found, with where and the mend."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "rootfs" / "src"

PROFILE = """\
PROFILE_VERSION=20150505
0-COMMENT=-----Disabled Mode-----
0-PREFERENCE={ max_audit_log=4096 max_learning_entry=8192 }
0-CONFIG={ mode=disabled grant_log=no reject_log=yes }
3-CONFIG={ mode=enforcing grant_log=no reject_log=yes }
3-CONFIG::file::mount={ use_default }
"""
EXCEPTION = "aggregator proc:/self/exe /proc/self/exe\ninitialize_domain /usr/sbin/apache2 from any\n"
DOMAIN = """\
<kernel>
use_profile 0
use_group 0

<kernel> /usr/sbin/apache2
use_profile 3
file read/write /var/log/apache2/\\*.log
"""
STAT = "# Memory quota (byte). 0 means no quota.\nMemory used by policy:    0\n"


class Configuration:
    """A root filesystem with a good /etc/ccs, to be spoilt by one test."""

    def __init__(self, root: Path, program: Path) -> None:
        self.root = root
        self.program = program
        self.ccs = root / "etc/ccs"
        self.policy = self.ccs / "policy/current"
        self.policy.mkdir(parents=True)
        tool = root / "usr/sbin/tomoyo-loadpolicy"
        tool.parent.mkdir(parents=True)
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
        (root / "sbin").symlink_to("usr/sbin")
        self.write("profile", PROFILE)
        self.write("exception_policy", EXCEPTION)
        self.write("domain_policy", DOMAIN)
        self.write("manager", "/usr/sbin/tomoyo-loadpolicy\n")
        (self.ccs / "stat.conf").write_text(STAT)

    def write(self, name: str, text: str) -> Path:
        path = self.policy / f"{name}.conf"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def check(self, *options: str) -> tuple[int, list[str]]:
        """Exit status and the findings, without the directory they are all in."""
        done = subprocess.run(
            [self.program, "--check", f"--root={self.root}", *options],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.replace(f"{self.ccs}/", "").splitlines()


@pytest.fixture(scope="session", params=["x86_64", "i386"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The loader of each architecture; an x86_64 host runs both."""
    output = tmp_path_factory.mktemp("guest-programs")
    built = output / "ccs-init"
    done = subprocess.run(
        ["make", "-s", "-C", SOURCES, f"ARCH={request.param}", f"O={output}", built],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert built.read_bytes()[4] == {"i386": 1, "x86_64": 2}[request.param]  # elf.h: EI_CLASS
    return built


@pytest.fixture
def configuration(tmp_path: Path, program: Path) -> Configuration:
    return Configuration(tmp_path, program)


def test_a_good_configuration_has_no_findings(configuration: Configuration) -> None:
    assert configuration.check() == (0, [])


def test_the_directory_may_be_named(configuration: Configuration) -> None:
    assert configuration.check(str(configuration.ccs)) == (0, [])


def test_last_line_without_a_newline_counts(configuration: Configuration) -> None:
    configuration.write("domain_policy", DOMAIN + "use_profile 7")
    status, findings = configuration.check()
    assert status == 1
    assert "domain_policy.conf:8: profile 7" in findings[0]


# What is written into one file, and the one finding that must come of it.
SPOILT = {
    "an undefined profile": (
        "domain_policy",
        DOMAIN.replace("use_profile 3", "use_profile 2"),
        "error: policy/current/domain_policy.conf:6: profile 2 of '<kernel> /usr/sbin/apache2' is not defined"
        ": the kernel would panic - define it in profile.conf, or use another",
    ),
    "a domain without a profile has 0": (
        "profile",
        "".join(line for line in PROFILE.splitlines(keepends=True) if not line.startswith("0-")),
        "error: policy/current/domain_policy.conf:2: profile 0 of '<kernel>' is not defined",
    ),
    "a profile defined in another namespace": (
        "domain_policy",
        DOMAIN + "\n<web> /usr/sbin/apache2\nuse_profile 3\n",
        "error: policy/current/domain_policy.conf:10: profile 3 of '<web> /usr/sbin/apache2' is not defined",
    ),
    "an old version": (
        "profile",
        PROFILE.replace("20150505", "20090903"),
        "error: policy/current/profile.conf:1: PROFILE_VERSION=20090903 is not this kernel's (20150505)",
    ),
    "no version": (
        "profile",
        PROFILE.replace("PROFILE_VERSION=20150505\n", ""),
        "error: policy/current/profile.conf: has no PROFILE_VERSION",
    ),
    "a profile of 1.6": (
        "profile",
        PROFILE + "0-MAC_FOR_FILE=3\n",
        "error: policy/current/profile.conf:7: written for another version: '0-MAC_FOR_FILE=3'",
    ),
    "a misspelt mode": (
        "profile",
        PROFILE.replace("mode=enforcing", "mode=enforce"),
        "error: policy/current/profile.conf:5: no such mode, so the kernel would keep the mode it had",
    ),
    "profile 256": (
        "profile",
        PROFILE + "256-CONFIG={ mode=learning }\n",
        "warning: policy/current/profile.conf:7: the kernel will drop '256-CONFIG={ mode=learning }'",
    ),
    "no profiles": ("profile", "\n# nothing\n", "error: policy/current/profile.conf: is empty: no profile"),
    "the report's accident": (
        "exception_policy",
        "",
        "error: policy/current/exception_policy.conf: is empty: the first configuration was never made",
    ),
    "exceptions of 1.6": (
        "exception_policy",
        EXCEPTION + "file_pattern /tmp/\\*\n",
        "error: policy/current/exception_policy.conf:3: written for another version: 'file_pattern",
    ),
    "exceptions without a transition": (
        "exception_policy",
        "path_group ANY /\n",
        "warning: policy/current/exception_policy.conf: has only groups",
    ),
    "a misspelt exception": (
        "exception_policy",
        EXCEPTION + "initialise_domain /bin/x from any\n",
        "warning: policy/current/exception_policy.conf:3: the kernel will drop 'initialise_domain",
    ),
    "a domain policy of 1.6": (
        "domain_policy",
        DOMAIN + "4 /etc/passwd\n",
        "error: policy/current/domain_policy.conf:8: written for another version: '4 /etc/passwd'",
    ),
    "a domain policy of 1.7": (
        "domain_policy",
        DOMAIN + "allow_read /etc/passwd\n",
        "error: policy/current/domain_policy.conf:8: written for another version: 'allow_read",
    ),
    "a rule outside of a domain": (
        "domain_policy",
        "file read /etc/passwd\n" + DOMAIN,
        "warning: policy/current/domain_policy.conf:1: belongs to no domain",
    ),
    "a domain that is none": (
        "domain_policy",
        DOMAIN + "<kernel> apache2\n",
        "warning: policy/current/domain_policy.conf:8: not a domain's name",
    ),
    "a misspelt rule": (
        "domain_policy",
        DOMAIN + "fil read /etc/passwd\n",
        "warning: policy/current/domain_policy.conf:8: the kernel will drop 'fil read",
    ),
    "group 256": (
        "domain_policy",
        DOMAIN + "use_group 256\n",
        "warning: policy/current/domain_policy.conf:8: the kernel will drop 'use_group 256' - 0 to 255 exist",
    ),
    "an empty domain policy": (
        "domain_policy",
        "",
        "warning: policy/current/domain_policy.conf: is empty: every process has profile 0",
    ),
    "an empty manager": (
        "manager",
        "",
        "warning: policy/current/manager.conf: names no program that exists",
    ),
    "a manager by a link": (
        "manager",
        "/usr/sbin/tomoyo-loadpolicy\n/sbin/tomoyo-loadpolicy\n",
        "warning: policy/current/manager.conf:2: '/sbin/tomoyo-loadpolicy' is a link,"
        " the kernel sees '/usr/sbin/tomoyo-loadpolicy'",
    ),
    "a manager that is not installed": (
        "manager",
        "/usr/sbin/tomoyo-loadpolicy\n/usr/sbin/ccs-nothing\n",
        "warning: policy/current/manager.conf:2: no such program: '/usr/sbin/ccs-nothing'",
    ),
    "a file cut off by a crash": (
        "domain_policy",
        DOMAIN + "\0" * 16,
        "error: policy/current/domain_policy.conf: holds NUL bytes",
    ),
}


@pytest.mark.parametrize(("name", "text", "finding"), SPOILT.values(), ids=list(SPOILT))
def test_one_defect_is_one_finding(configuration: Configuration, name: str, text: str, finding: str) -> None:
    configuration.write(name, text)
    status, findings = configuration.check()
    assert status == 1
    assert len(findings) == 1, findings
    assert findings[0].startswith(finding)


def missing_exceptions(configuration: Configuration) -> None:
    (configuration.policy / "exception_policy.conf").unlink()


def missing_policy(configuration: Configuration) -> None:
    configuration.policy.rename(configuration.policy.with_name("lost"))


def fifo_for_a_policy(configuration: Configuration) -> None:
    (configuration.policy / "profile.conf").unlink()
    os.mkfifo(configuration.policy / "profile.conf")


def directory_for_a_policy(configuration: Configuration) -> None:
    (configuration.policy / "profile.conf").unlink()
    (configuration.policy / "profile.conf").mkdir()


def world_writable_policy(configuration: Configuration) -> None:
    (configuration.policy / "domain_policy.conf").chmod(0o666)


def world_writable_directory(configuration: Configuration) -> None:
    configuration.policy.chmod(0o777)


def strange_quota(configuration: Configuration) -> None:
    (configuration.ccs / "stat.conf").write_text("Memory of policy: 5\n")


FILES: list[tuple[Callable[[Configuration], None], str]] = [
    (missing_exceptions, "error: policy/current/exception_policy.conf: does not exist - make the first"),
    (
        missing_policy,
        "error: policy/current: does not exist - make the first configuration with /usr/lib/ccs",
    ),
    (fifo_for_a_policy, "error: policy/current/profile.conf: is not a regular file"),
    (directory_for_a_policy, "error: policy/current/profile.conf: is not a regular file"),
    (world_writable_policy, "error: policy/current/domain_policy.conf: everybody may write it"),
    (world_writable_directory, "error: policy/current: everybody may write it"),
    (strange_quota, "warning: stat.conf:1: the kernel will ignore 'Memory of policy: 5'"),
]


@pytest.mark.parametrize(("spoil", "finding"), FILES, ids=lambda value: getattr(value, "__name__", None))
def test_a_defective_file_is_one_finding(
    configuration: Configuration, spoil: Callable[[Configuration], None], finding: str
) -> None:
    spoil(configuration)
    status, findings = configuration.check()
    assert status == 1
    assert len(findings) == 1, findings
    assert findings[0].startswith(finding)


def test_every_defect_is_found_at_once(configuration: Configuration) -> None:
    configuration.write("manager", "/nowhere\n")
    configuration.write("profile", PROFILE.replace("20150505", "1"))
    configuration.write("domain_policy", DOMAIN + "use_profile 9\n")
    status, findings = configuration.check()
    assert status == 1
    assert [finding.split(":")[0] for finding in findings] == ["warning", "warning", "error", "error"]


def test_the_quotas_are_optional(configuration: Configuration) -> None:
    (configuration.ccs / "stat.conf").unlink()
    assert configuration.check() == (0, [])


def test_the_version_the_kernel_converts_is_good(configuration: Configuration) -> None:
    configuration.write("profile", PROFILE.replace("20150505", "20110903"))
    assert configuration.check() == (0, [])


def test_a_namespace_with_profiles_of_its_own(configuration: Configuration) -> None:
    configuration.write("profile", PROFILE + "<web> 3-CONFIG={ mode=enforcing }\n")
    configuration.write("domain_policy", DOMAIN + "\n<web> /usr/sbin/apache2\nuse_profile 3\n")
    assert configuration.check() == (0, [])


def test_the_files_of_2_5_lie_in_the_directory_itself(configuration: Configuration) -> None:
    for path in list(configuration.policy.iterdir()):
        path.rename(configuration.ccs / path.name)
    configuration.policy.rmdir()
    assert configuration.check() == (0, [])


@pytest.mark.parametrize("chosen", ["other", "strict"])
def test_another_policy_or_profile_may_be_chosen(configuration: Configuration, chosen: str) -> None:
    """NAME is policy/NAME/, or profile-NAME.conf beside the default profiles."""
    other = configuration.ccs / "policy/other"
    other.mkdir()
    for path in configuration.policy.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "profile.conf").write_text(PROFILE.replace("20150505", "7"))
    configuration.write("profile-strict", PROFILE.replace("20150505", "7"))
    assert configuration.check() == (0, [])
    status, findings = configuration.check(f"--policy={chosen}")
    assert status == 1
    assert "PROFILE_VERSION=7 is not this kernel's" in findings[0]


@pytest.mark.parametrize("name", ["", "..", "../current", "/etc", "no-such"])
def test_a_choice_is_a_plain_name_of_what_exists(configuration: Configuration, name: str) -> None:
    # ".." would find this one, and "" the current policy.
    (configuration.ccs / "profile.conf").write_text(PROFILE)
    status, findings = configuration.check(f"--policy={name}")
    assert (status, len(findings)) == (1, 1)
    assert "no policy and no profile" in findings[0]


def test_wrong_usage_is_told_from_findings(program: Path) -> None:
    done = subprocess.run([program, "--chekc"], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 2
    assert "usage: ccs-init --check" in done.stderr
