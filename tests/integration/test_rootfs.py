# SPDX-License-Identifier: GPL-2.0-only
"""The server's image: the bytes its manifest promises, owners and modes, no trace of its making."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from ccslab.rootfs import build, enclosure
from ccslab.rootfs import image as images
from ccslab.rootfs.recipe import Recipe, load_recipe
from ccslab.store import Store, hash_file

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("webserver", ROOT)


@pytest.fixture(scope="module")
def artifact(recipe: Recipe) -> Path:
    """From the store: built on an empty cache, found at once on a warm one."""
    return build.build(recipe, arch="x86_64", store=Store(), root=ROOT)


def debugfs(artifact: Path, command: str) -> str:
    argv = ["/usr/sbin/debugfs", "-R", command, str(artifact / build.IMAGE)]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


def stat(artifact: Path, path: str) -> tuple[str, int, int]:
    """Mode (octal, with setuid and the like), user and group of a path in the image."""
    said = debugfs(artifact, f"stat {path}")
    mode = re.search(r"Mode:\s+(\d+)", said)
    owner = re.search(r"User:\s+(\d+)\s+Group:\s+(\d+)", said)
    assert mode, said
    assert owner, said
    return mode[1], int(owner[1]), int(owner[2])


def test_the_image_is_the_one_its_manifest_names(artifact: Path) -> None:
    manifest = json.loads((artifact / build.MANIFEST).read_text())
    assert hash_file(artifact / build.IMAGE) == manifest["image_sha256"]
    assert manifest["image_bytes"] == (artifact / build.IMAGE).stat().st_size
    assert manifest["packages"]["apache2"].startswith("2.4.")
    assert set(manifest["suites"]) | set(manifest["suites_left_out"]) == {
        "bookworm",
        "bookworm-updates",
        "bookworm-security",
    }


def test_the_file_system_is_clean(artifact: Path) -> None:
    argv = ["/usr/sbin/e2fsck", "-fn", str(artifact / build.IMAGE)]
    assert subprocess.run(argv, capture_output=True, timeout=120, check=False).returncode == 0


def test_made_again_it_has_the_same_bytes(artifact: Path, recipe: Recipe, tmp_path: Path) -> None:
    """The quick layer anew, in a store that has only the base of the first."""
    store = Store()
    base = build.base.build(recipe, "x86_64", store)
    again = Store(tmp_path)
    content = images.Content(
        programs=images.compile_programs(recipe, "x86_64", again, ROOT),
        overlays=[ROOT / name for name in recipe.overlays],
        hooks=[ROOT / name for name in recipe.hooks],
    )
    wanted = images.inputs(recipe, "x86_64", base, content, ROOT)
    second = images.build(recipe, "x86_64", again, made=base, content=content, wanted=wanted)
    assert hash_file(second / build.IMAGE) == hash_file(artifact / build.IMAGE)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("tree-")]


@pytest.mark.parametrize(
    ("path", "mode", "user", "group"),
    [
        ("/etc/passwd", "0644", 0, 0),
        ("/etc/shadow", "0640", 0, 42),
        ("/root", "0700", 0, 0),
        ("/tmp", "01777", 0, 0),
        ("/usr/bin/su", "04755", 0, 0),
        ("/usr/sbin/ccs-init", "0755", 0, 0),
        ("/var/www/html", "0755", 33, 33),
    ],
)
def test_owners_and_modes(artifact: Path, path: str, mode: str, user: int, group: int) -> None:
    assert stat(artifact, path) == (mode, user, group)


def test_the_mail_spool_is_postfix_own(artifact: Path) -> None:
    mode, user, group = stat(artifact, "/var/spool/postfix/maildrop")
    passwd = debugfs(artifact, "cat /etc/passwd")
    groups = debugfs(artifact, "cat /etc/group")
    assert mode == "01730"
    assert f"postfix:x:{user}:" in passwd
    assert f"postdrop:x:{group}:" in groups


def test_no_secret_and_no_trace_of_the_build_is_in_it(artifact: Path) -> None:
    assert not re.search(r"ssh_host_\w+_key", debugfs(artifact, "ls -p /etc/ssh"))
    assert debugfs(artifact, "cat /etc/machine-id") == ""
    assert "://" not in debugfs(artifact, "cat /etc/apt/sources.list")
    assert not re.search(r"\.deb\b", debugfs(artifact, "ls -p /var/cache/apt"))
    dates = {line.split(":")[2] for line in debugfs(artifact, "cat /etc/shadow").splitlines()}
    assert dates == {"20454"}  # 2026-01-01, the recipe's epoch


def test_no_time_in_it_is_younger_than_the_recipe_says(artifact: Path, recipe: Recipe) -> None:
    for path in ("/", "/etc", "/etc/shadow", "/usr/sbin/ccs-init", "/var/www/html/index.html"):
        said = debugfs(artifact, f"stat {path}")
        times = [int(value, 16) for value in re.findall(r"(?:c|a|m|cr)time: 0x([0-9a-f]+):", said)]
        assert len(times) == 4
        assert max(times) <= recipe.source_date_epoch


def test_an_image_of_i386_has_programs_of_i386(artifact: Path, recipe: Recipe, tmp_path: Path) -> None:
    """Debian's and ours, and the same of them."""
    other = build.build(recipe, arch="i386", store=Store(), root=ROOT)
    for path in ("/usr/sbin/apache2", "/usr/sbin/ccs-init", "/usr/local/sbin/mediactl"):
        for image, elf_class in ((artifact, 2), (other, 1)):
            debugfs(image, f"dump {path} {tmp_path}/program")
            assert (tmp_path / "program").read_bytes()[:5] == b"\x7fELF" + bytes([elf_class]), path
    one, another = (json.loads((image / build.MANIFEST).read_text()) for image in (artifact, other))
    assert set(one["packages"]) == set(another["packages"])


def test_an_enclosure_is_not_seen_outside(tmp_path: Path) -> None:
    """What a step mounts, its owners and its host name end with it."""
    script, tree = tmp_path / "step.sh", tmp_path / "tree"
    tree.mkdir()
    script.write_text(
        'mount -t tmpfs tmpfs "$TREE"\ntouch "$TREE/file"\nchown 33:33 "$TREE/file"\nhostname enclosed\n'
        'stat -c "%u:%g $(hostname) $(id -u)" "$TREE/file"\n'
    )
    status, said = enclosure.run(
        script, [], env={"TREE": str(tree)}, network=False, timeout_s=30, log=tmp_path / "log"
    )
    assert (status, said) == (0, "33:33 enclosed 0")
    assert list(tree.iterdir()) == []
    assert str(tree) not in Path("/proc/mounts").read_text()
    assert Path("/proc/sys/kernel/hostname").read_text().strip() != "enclosed"
