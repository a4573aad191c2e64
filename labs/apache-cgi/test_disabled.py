# SPDX-License-Identifier: GPL-2.0-only
"""The patched kernel runs the loader, and protects nothing yet."""


def test_loader_activated_tomoyo(host):
    assert "Mandatory Access Control activated" in host.check_output("dmesg")


def test_interface_is_in_proc_and_in_securityfs(host):
    assert host.tomoyo.interface == "/proc/ccs"
    assert host.file("/sys/kernel/security/tomoyo/domain_policy").exists


def test_the_four_profiles_have_their_modes(host):
    profiles = host.tomoyo.profiles.profiles
    modes = {number: profiles["<kernel>", number].mode("file::read") for number in range(4)}
    assert modes == {0: "disabled", 1: "learning", 2: "permissive", 3: "enforcing"}


def test_nothing_is_under_control_yet(policy, apache):
    assert {domain.profile for domain in policy.below("<kernel>")} == {0}
    assert policy.domain(apache).acls == []


def test_server_software_runs(host):
    for name in ("apache2", "postfix", "cron", "ssh", "ccs-auditd"):
        assert host.service(name).is_running, name


def test_the_nightly_backup_reaches_the_attached_disk(host):
    host.check_output("/usr/local/sbin/webapp-backup")
    try:
        host.check_output("mount -o ro /dev/vdb /mnt/backup")
        for name in ("members.sqlite.gz", "poll.sqlite.gz", "entries.tar.gz"):
            host.check_output("gzip -t /mnt/backup/%s", name)
    finally:
        host.check_output("umount /mnt/backup")
