# SPDX-License-Identifier: GPL-2.0-only
"""ccs-init as the kernel calls it: what it loads, what it refuses, and that no boot waits for ever."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ccslab.rootfs.busybox import busybox
from ccslab.rootfs.initramfs import Entry, File, Symlink, pack
from ccslab.vm.death import GuestDied
from ccslab.vm.kernelline import MESSAGE, STAMP, splice
from ccslab.vm.machine import Machine
from ccslab.vm.qemu import Hardware

pytestmark = pytest.mark.guest

SOURCES = Path(__file__).parents[2] / "rootfs" / "src"
LIMIT_S = 60
POLICY = "etc/ccs/policy/current"

PROFILE = """\
PROFILE_VERSION=20150505
0-CONFIG={ mode=disabled grant_log=no reject_log=no }
3-CONFIG={ mode=enforcing grant_log=no reject_log=yes }
"""
EXCEPTION = "initialize_domain /bin/busybox from any\npath_group WEB /var/www/\\*\n"
DOMAIN = """\
<kernel>
use_profile 0

<kernel> /usr/sbin/apache2
use_profile 3
file read/write /var/log/\\*.log
file read @WEB
network inet stream bind/listen 0.0.0.0 80
misc env PATH
"""
# The first program of the guest shows what the loader left, and waits to be stopped.
INIT = """\
cat /proc/mounts 2>/dev/null | sed 's/^/left mounted: /'
mount -t proc proc /proc
sed 's/^/mounted: /' /proc/mounts
mount -t sysfs sysfs /sys
mount -t securityfs securityfs /sys/kernel/security
cd /proc/ccs 2>/dev/null || cd /sys/kernel/security/tomoyo
for file in version profile manager exception_policy domain_policy stat; do
    sed "s/^/$file| /" $file
    echo
done
dmesg | grep -e 'CCS: ' -e 'Mandatory Access Control' | sed 's/^[^]]*] /kept| /'
echo '@@''end'
read nothing
"""
# What a loader without a check does.
BLIND = """\
#!/bin/sh
mount -t sysfs sysfs /sys
mount -t securityfs securityfs /sys/kernel/security
for name in exception_policy domain_policy profile; do
    cat /etc/ccs/policy/current/$name.conf >/sys/kernel/security/tomoyo/$name
done
"""


@pytest.fixture(scope="session")
def loader(tmp_path_factory: pytest.TempPathFactory) -> File:
    output = tmp_path_factory.mktemp("guest-programs")
    built = output / "ccs-init"
    command = ["make", "-s", "-C", str(SOURCES), "ARCH=x86_64", f"O={output}", str(built)]
    subprocess.run(command, check=True, timeout=120)
    return File(built.read_bytes(), 0o755)


@pytest.fixture
def tree(loader: File) -> dict[str, Entry]:
    """A guest with a good configuration, to be spoilt by a test."""
    policy = {"profile": PROFILE, "exception_policy": EXCEPTION, "domain_policy": DOMAIN}
    return {
        **busybox(init=INIT),
        **{f"etc/ccs/policy/initial/{name}.conf": text for name, text in policy.items()},
        "etc/ccs/policy/initial/manager.conf": "/bin/busybox\n",
        POLICY: Symlink("initial"),
        "etc/ccs/stat.conf": "Memory used by audit log: 1048576\n",
        "sbin/ccs-init": loader,
    }


def put(tree: dict[str, Entry], name: str, text: str) -> None:
    tree[f"etc/ccs/policy/initial/{name}.conf"] = text


class Guest:
    """A booting guest, its console looked at as a person would; all waits are the machine's."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.start()

    def expect(self, pattern: str) -> re.Match[str]:
        return self.machine.console.expect(pattern, LIMIT_S)[1]

    def type(self, text: str) -> None:
        self.machine.console.type(text)

    def end(self) -> str:
        """All the console said until the first program had nothing more to say; the kernel's messages last.

        The kernel writes to the console at once, also into the middle of the loader's lines.
        """
        self.expect("@@end")
        self.machine.stop()
        said = (self.machine.folder / "console.log").read_text(errors="replace").replace("\r", "")
        return splice(said).text + "".join(MESSAGE.findall(said))


Boot = Callable[..., Guest]


@pytest.fixture
def boot(kernel: Path, tree: dict[str, Entry], tmp_path: Path) -> Iterator[Boot]:
    """Boots the guest as the test has made it, with further words on its command line."""
    with ExitStack() as started:

        def start(*append: str) -> Guest:
            folder = tmp_path / f"guest{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            initramfs = folder / "initramfs"
            initramfs.write_bytes(pack(tree))
            words = ("rdinit=/sbin/init", "TOMOYO_loader=/sbin/ccs-init", *append)
            machine = Machine(
                kernel,
                None,
                folder,
                initrd=initramfs,
                append=words,
                forwards={},
                hardware=Hardware(cpus=1, memory_mib=256),
            )
            return Guest(started.enter_context(machine))

        yield start


def unprotected(said: str) -> None:
    """The kernel is up and active, and nothing but profile 0, disabled, is in it."""
    assert "Mandatory Access Control activated." in said
    assert "profile| 0-CONFIG={ mode=disabled" in said
    assert not re.search(r"domain_policy\| use_profile [^0]", said)
    assert "domain_policy| file" not in said
    assert "NOT PROTECTED: " in said
    assert re.search(r"kept\| .*CCS: NOT PROTECTED: ", said), "the journal must have it too"


def test_a_good_configuration_is_loaded(boot: Boot) -> None:
    said = boot().end()
    assert "Mandatory Access Control activated." in said
    loaded = re.search(
        r"CCS: /etc/ccs/policy/current: (\d+) domains, (\d+) rules, (\d+) profiles loaded", said
    )
    assert loaded is not None
    # The kernel prints bind/listen of one address as one rule.
    assert loaded.groups() == ("2", "4", "2")
    memory = re.search(r"CCS: memory used by policy: (\d+) bytes", said)
    in_kernel = re.search(r"stat\| Memory used by policy: +(\d+)", said)
    assert memory is not None
    assert in_kernel is not None
    # Domains are added after the loader looked: the kernel has used a little more, never less.
    assert 0 < int(memory[1]) <= int(in_kernel[1]) < int(memory[1]) + 4096
    assert "domain_policy| <kernel> /usr/sbin/apache2\ndomain_policy| use_profile 3" in said
    assert "domain_policy| file read/write /var/log/\\*.log" in said
    assert "exception_policy| path_group WEB /var/www/\\*" in said
    assert "manager| /bin/busybox" in said
    assert re.search(r"stat\| Memory used by audit log:.*\(Quota: +1048576\)", said)
    assert "CCS: warning" not in said
    assert "CCS: error" not in said


def test_what_was_mounted_to_load_is_unmounted(boot: Boot) -> None:
    said = boot().end()
    assert "left mounted: " not in said
    assert [line.split()[2] for line in said.splitlines() if line.startswith("mounted: ")] == ["/", "/proc"]


def test_called_by_a_person_it_changes_nothing(boot: Boot, tree: dict[str, Entry]) -> None:
    """Only managers may change an active policy; the loader is none, and does not cry wolf."""
    tree["sbin/init"] = File(
        f"#!/bin/sh\nmount -t proc proc /proc\nccs-init; echo was=$?\n{INIT}".encode(), 0o755
    )
    said = boot().end()
    assert "CCS: the policy is active already, nothing was changed - use ccs-loadpolicy" in said
    assert "was=1" in said
    assert "NOT PROTECTED" not in said
    assert "domain_policy| <kernel> /usr/sbin/apache2\ndomain_policy| use_profile 3" in said


def test_disabled_at_the_command_line(boot: Boot) -> None:
    said = boot("CCS=disabled").end()
    unprotected(said)
    assert "NOT PROTECTED: disabled was chosen" in said


def test_the_name_of_2_x_chooses_too_and_ours_wins(boot: Boot) -> None:
    unprotected(boot("TOMOYO=disabled").end())
    assert "2 domains, 4 rules" in boot("CCS=default", "TOMOYO=disabled").end()


def test_noload_leaves_a_kernel_that_runs(boot: Boot) -> None:
    said = boot("CCS_NOLOAD").end()
    unprotected(said)
    assert "CCS_NOLOAD: no policy was loaded" in said


def test_a_policy_chosen_by_name(boot: Boot, tree: dict[str, Entry]) -> None:
    for name in ("profile", "exception_policy", "manager"):
        tree[f"etc/ccs/policy/small/{name}.conf"] = tree[f"etc/ccs/policy/initial/{name}.conf"]
    tree["etc/ccs/policy/small/domain_policy.conf"] = "<kernel>\nuse_profile 0\n"
    assert "CCS: /etc/ccs/policy/small: 1 domains, 0 rules" in boot("CCS=small").end()


def test_an_unknown_name_is_said_and_the_default_taken(boot: Boot) -> None:
    said = boot("CCS=smal").end()
    assert "CCS: warning: CCS=smal names neither a policy nor a profile" in said
    assert "2 domains, 4 rules" in said


def test_a_person_answers(boot: Boot, tree: dict[str, Entry]) -> None:
    tree["etc/ccs/policy/initial/profile-strict.conf"] = PROFILE + "7-CONFIG={ mode=enforcing }\n"
    guest = boot("CCS=ask", "CCS_limit=50")
    listed = guest.expect(r"one of([^>]*)\[default in \d+ s\] > ")
    assert {"initial", "strict", "current"} == set(re.findall(r"CCS:     (\S+)", listed[1]))
    guest.type("stict")
    guest.expect("there is no 'stict'")
    guest.expect(r"\[default in \d+ s\] > ")
    guest.type("strict")
    said = guest.end()
    assert "CCS: strict was chosen at the console" in said
    assert "4 rules, 3 profiles loaded" in said


def test_a_person_chooses_disabled(boot: Boot) -> None:
    guest = boot("CCS=ask", "CCS_limit=50")
    guest.expect(r"\[default in \d+ s\] > ")
    guest.type("disabled")
    unprotected(guest.end())


def test_nobody_answers(boot: Boot) -> None:
    """The deadline is one for all answers: a wrong one does not start it anew."""
    guest = boot("CCS=ask", "CCS_limit=3")
    guest.expect(r"\[default in 3 s\] > ")
    guest.type("x")
    guest.expect(r"\[default in [123] s\] > ")
    said = guest.end()
    assert "CCS: no answer: taking the default" in said
    assert "2 domains, 4 rules" in said


DEFECTS = {
    "undefined profile": (
        "domain_policy",
        DOMAIN.replace("use_profile 3", "use_profile 5"),
        "domain_policy.conf:5: profile 5 of '<kernel> /usr/sbin/apache2' is not defined",
    ),
    "wrong version": (
        "profile",
        PROFILE.replace("20150505", "20090903"),
        "profile.conf:1: PROFILE_VERSION=20090903 is not this kernel's (20150505)",
    ),
    "the report's accident": (
        "exception_policy",
        "",
        "exception_policy.conf: is empty: the first configuration was never made",
    ),
    "rules of another version": (
        "domain_policy",
        DOMAIN + "allow_read /etc/passwd\n",
        "domain_policy.conf:10: written for another version: 'allow_read /etc/passwd'",
    ),
}


@pytest.mark.parametrize(("name", "text", "finding"), DEFECTS.values(), ids=list(DEFECTS))
def test_a_defect_loads_nothing_loudly(
    boot: Boot, tree: dict[str, Entry], name: str, text: str, finding: str
) -> None:
    put(tree, name, text)
    said = boot().end()
    assert f"CCS: error: /etc/ccs/policy/current/{finding}" in said
    unprotected(said)


@pytest.mark.parametrize("defect", ["undefined profile", "wrong version"])
def test_the_same_defect_behind_a_loader_without_a_check_panics(
    boot: Boot, tree: dict[str, Entry], defect: str
) -> None:
    """What the check is for."""
    name, text, _ = DEFECTS[defect]
    put(tree, name, text)
    tree["sbin/ccs-init"] = File(BLIND.encode(), 0o755)
    with pytest.raises(GuestDied, match=r"Kernel panic - not syncing: STOP!"):
        boot().end()


def test_no_policy_directory(boot: Boot, tree: dict[str, Entry]) -> None:
    for path in [path for path in tree if path.startswith("etc/ccs")]:
        del tree[path]
    said = boot().end()
    assert "CCS: error: /etc/ccs: does not exist" in said
    unprotected(said)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("", "manager.conf: names no program that exists: once active, nobody can change the policy"),
        ("/bin/busybox\n/usr/sbin/gone\n", "manager.conf:2: no such program: '/usr/sbin/gone'"),
    ],
    ids=["empty", "program not there"],
)
def test_a_manager_that_manages_nothing_is_said(
    boot: Boot, tree: dict[str, Entry], text: str, finding: str
) -> None:
    put(tree, "manager", text)
    said = boot().end()
    assert f"CCS: warning: /etc/ccs/policy/current/{finding}" in said
    assert "2 domains, 4 rules" in said


def test_what_the_kernel_drops_is_named(boot: Boot, tree: dict[str, Entry]) -> None:
    """Lines that only the kernel can judge: each is named once, and its neighbours are loaded."""
    put(tree, "domain_policy", DOMAIN + "file reed /etc/passwd\nfile read /etc/hosts\nfil read /x\n")
    put(tree, "exception_policy", EXCEPTION + "initialize_domain apache2 from any\npath_group B /b\n")
    put(tree, "profile", PROFILE + "3-CONFIG::file::levitate={ mode=learning }\n")
    said = boot().end()
    warned = re.findall(r"^CCS: warning: /etc/ccs/policy/current/(\S+): the kernel (\w+)", said, re.MULTILINE)
    assert warned == [
        ("domain_policy.conf:12", "dropped"),
        ("exception_policy.conf:3", "dropped"),
        ("domain_policy.conf:10", "dropped"),
        ("profile.conf:4", "dropped"),
    ]
    assert "domain_policy| file read /etc/hosts" in said
    assert "exception_policy| path_group B /b" in said
    assert "2 domains, 5 rules" in said
    # Each thing said is one record of the kernel's log, which takes ten in a row.
    assert not re.findall(STAMP + "$", said, re.MULTILINE)
    assert "output lines suppressed" not in said


def test_an_absent_loader_is_logged(boot: Boot, tree: dict[str, Entry]) -> None:
    del tree["sbin/ccs-init"]
    said = boot().end()
    assert "Not activating Mandatory Access Control as /sbin/ccs-init does not exist." in said
    assert "Mandatory Access Control activated." not in said
    assert "CCS: " not in said


def test_the_hook_runs_after_the_policy(boot: Boot, tree: dict[str, Entry]) -> None:
    hook = (
        "#!/bin/sh\ncd /proc/ccs 2>/dev/null || cd /sys/kernel/security/tomoyo\n"
        'echo "hook sees $(wc -l <manager) manager, PATH=$PATH"\nexit 3\n'
    )
    tree["etc/ccs/ccs-post-init"] = File(hook.encode(), 0o755)
    said = boot().end()
    assert re.search(r"hook sees 1 manager, PATH=/sbin:/bin:/usr/sbin:/usr/bin\n", said)
    assert "CCS: warning: /etc/ccs/ccs-post-init failed (status 3)" in said
    assert "@@end" in said


def test_a_hook_that_hangs_is_ended(boot: Boot, tree: dict[str, Entry]) -> None:
    tree["etc/ccs/ccs-post-init"] = File(b"#!/bin/sh\nsleep 1000\n", 0o755)
    said = boot("CCS_limit=2").end()
    assert "CCS: warning: /etc/ccs/ccs-post-init was ended after 2 s" in said


def test_a_hook_anybody_may_write_is_not_run(boot: Boot, tree: dict[str, Entry]) -> None:
    tree["etc/ccs/ccs-post-init"] = File(b"#!/bin/sh\necho owned\n", 0o777)
    said = boot().end()
    assert "CCS: warning: /etc/ccs/ccs-post-init was not run" in said
    assert "owned" not in said
