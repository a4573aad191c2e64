# SPDX-License-Identifier: GPL-2.0-only
"""A lab's files: what is malformed is named, whatever it is; never a traceback."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccslab.errors import UserError
from ccslab.labs import definition
from ccslab.labs.definition import Lab, Logwatch, MachineSpec

ROOT = Path(__file__).resolve().parents[2]
LABS = definition.names(ROOT)
LAB = {
    "title": '"A lab"',
    "phases": '["disabled", "attacked"]',
    "protected": '["<kernel> /usr/sbin/apache2"]',
    "exempt": '["<kernel> /usr/sbin/sshd"]',
    "services": '{ apache2 = "cat /run/pid" }',
}
MACHINE = {"recipe": '"webserver"', "cpus": "2", "memory_mib": "512", "backup_disk_mib": "8"}
LOGWATCH = {"mailbox": '"/var/mail/admin"', "hour": '"10:00"'}
STEP = {
    "name": '"page"',
    "http": '"POST /a"',
    "form": '{ x = "1" }',
    "headers": '{ X-A = "b" }',
    "status": "200",
}
ROOT_STEP = {"root": '"true"', "within_s": "5", "output": "true"}
ATTACK = {
    "name": '"shadow"',
    "title": '"Reads it"',
    "steps": '[{ http = "GET /x" }]',
    "gained": '{ body = "root:" }',
    "enforcing": '{ status = [403, 500], record = "file read /etc/shadow" }',
}
ODD = [
    "5",
    "-1",
    "1.5",
    "nan",
    "true",
    '""',
    '"x"',
    "[]",
    "[1]",
    '["x"]',
    "[{}]",
    "{}",
    "{ x = {} }",
    "{ x = [] }",
    "1979-05-27",
]
PARTS = {
    "lab": LAB, "machine": MACHINE, "logwatch": LOGWATCH, "step": STEP, "root": ROOT_STEP, "attack": ATTACK,
}  # fmt: skip


def table(entries: dict[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in entries.items())


def write(folder: Path, **changed: dict[str, str]) -> Path:
    parts = {**PARTS, **changed}
    folder.mkdir(parents=True, exist_ok=True)
    tables = {name: parts[name] for name in ("machine", "logwatch") if name not in parts["lab"]}
    below = "".join(f"[{name}]\n{table(entries)}" for name, entries in tables.items() if entries)
    (folder / "lab.toml").write_text(table(parts["lab"]) + below)
    (folder / "workload.toml").write_text(f"[[step]]\n{table(parts['step'])}[[step]]\n{table(parts['root'])}")
    (folder / "attacks.toml").write_text(f"[[attack]]\n{table(parts['attack'])}")
    return folder


def said(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        definition.load(folder)
    return str(caught.value)


def test_a_whole_lab_is_read(tmp_path: Path) -> None:
    lab = definition.load(write(tmp_path / "mine"))
    assert (lab.name, lab.phases) == ("mine", ("disabled", "attacked"))
    assert lab.machine == MachineSpec(recipe="webserver", cpus=2, memory_mib=512, backup_disk_mib=8)
    assert lab.logwatch == Logwatch("/var/mail/admin", "10:00")
    assert [step.name for step in lab.workload] == ["page", "true"]
    (attack,) = lab.attacks
    assert attack.enforcing.status == (403, 500)
    assert attack.gained_body is not None
    assert attack.gained_body.search("x\nroot:x")
    assert (lab.overlay, lab.rules) == (tmp_path / "mine/overlay", tmp_path / "mine/generalise.toml")


def test_what_may_be_left_out_has_defaults(tmp_path: Path) -> None:
    needed = {key: LAB[key] for key in ("title", "phases", "protected")}
    lab = definition.load(write(tmp_path, lab=needed, machine={"recipe": MACHINE["recipe"]}, logwatch={}))
    assert lab.machine == MachineSpec(recipe="webserver", cpus=2, memory_mib=1024, backup_disk_mib=0)
    assert (lab.services, lab.logwatch, lab.exempt, lab.options) == ({}, None, (), {})


@pytest.mark.parametrize("name", LABS)
def test_our_own_labs_are_well_formed(name: str) -> None:
    lab = definition.find(name, ROOT)
    assert lab.phases
    if "attacked" in lab.phases:
        assert lab.workload
        assert len(lab.attacks) >= 12
        assert lab.protected


@pytest.mark.parametrize("key", ["title", "phases"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    left = {name: value for name, value in LAB.items() if name != key}
    assert said(write(tmp_path, lab=left)).startswith(f"{tmp_path}/lab.toml: lacks the key '{key}' - ")


@pytest.mark.parametrize(
    ("part", "key", "lacking"),
    [
        ("machine", "recipe", "machine: needs recipe = "),
        ("logwatch", "mailbox", "logwatch: lacks the key 'mailbox'"),
        ("logwatch", "hour", "logwatch: lacks the key 'hour'"),
    ],
)
def test_a_missing_key_of_a_table_is_named(tmp_path: Path, part: str, key: str, lacking: str) -> None:
    left = {name: value for name, value in PARTS[part].items() if name != key}
    assert re.search(rf"/lab\.toml:\d+: {lacking}", said(write(tmp_path, **{part: left})))


def test_a_lab_without_a_machine(tmp_path: Path) -> None:
    assert said(write(tmp_path, machine={})).startswith(f"{tmp_path}/lab.toml: lacks the key 'machine' - ")


@pytest.mark.parametrize("key", ATTACK)
def test_a_missing_key_of_an_attack_is_named(tmp_path: Path, key: str) -> None:
    left = {name: value for name, value in ATTACK.items() if name != key}
    assert f"lacks the key '{key}'" in said(write(tmp_path, attack=left))


@pytest.mark.parametrize(
    ("part", "key", "near"),
    [
        ("lab", "phase", "phases"),
        ("machine", "cpu", "cpus"),
        ("logwatch", "hours", "hour"),
        ("attack", "gain", "gained"),
    ],
)
def test_an_unknown_key_gets_the_nearest(tmp_path: Path, part: str, key: str, near: str) -> None:
    text = said(write(tmp_path, **{part: {**PARTS[part], key: "1"}}))
    assert re.search(rf"unknown key '{key}' (- |\()did you mean {near}", text), text


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("part", "key"), [(part, key) for part, keys in PARTS.items() for key in keys])
def test_any_value_in_any_place_is_read_or_refused(tmp_path: Path, part: str, key: str, odd: str) -> None:
    folder = write(tmp_path, **{part: {**PARTS[part], key: odd}})
    with contextlib.suppress(UserError):
        assert isinstance(definition.load(folder), Lab)


@pytest.mark.parametrize(
    ("part", "key", "odd", "place"),
    [
        ("machine", "cpus", "-1", "machine: cpus"),
        ("machine", "cpus", "true", "machine: cpus"),
        ("machine", "cpus", "0", "machine: cpus"),
        ("machine", "memory_mib", "0", "machine: memory_mib"),
        ("machine", "recipe", "5", "machine: recipe"),
        ("machine", "boot", '"floppy"', "machine: boot"),
        ("machine", "boot", '"initramfs"', "machine"),
        ("lab", "protected", '[""]', "protected 1"),
        ("lab", "phases", "[]", "phases"),
        ("lab", "phases", '["disabeld"]', "phases 1: unknown phase 'disabeld' - did you mean disabled"),
        ("lab", "phases", '["disabled", "disabled"]', "phases 2: phase disabled comes twice - name it once"),
        (
            "lab",
            "phases",
            '["learning", "disabled"]',
            "phases 1: phase learning stands on what disabled found - name disabled before it",
        ),
        ("lab", "machine", "5", "machine"),
        ("lab", "logwatch", "5", "logwatch"),
        ("logwatch", "hour", "10", "logwatch: hour"),
        ("logwatch", "mailbox", '"mail"', "logwatch: mailbox"),
        ("lab", "title", "5", "title"),
        ("lab", "services", "5", "services"),
        ("lab", "services", "{ a = [] }", "services: a"),
        ("lab", "options", "{ n = { default = 5, least = 6, most = 7, help = 'x' } }", "options: n: default"),
        ("step", "http", '"GET a"', "step 1: http: 'GET a' is no request"),
        ("step", "http", '"FETCH /a"', "step 1: http"),
        ("step", "http", '"GET /a b"', "step 1: http"),
        ("step", "status", '"x"', "step 1: status"),
        ("step", "form", "[]", "step 1: form"),
        ("step", "headers", '{ "A B" = "x" }', "step 1: headers"),
        ("root", "within_s", "0", "step 2: within_s"),
        ("root", "output", "1", "step 2: output"),
        ("attack", "gained", "{}", "attack 1: gained"),
        ("attack", "gained", '{ body = "(" }', "attack 1: gained: body: is no regular expression"),
        ("attack", "gained", '{ body = ".*" }', "'.*' matches anything, so it proves nothing"),
        ("attack", "enforcing", "{}", "attack 1: enforcing: lacks the key 'record'"),
        ("attack", "enforcing", '{ record = "x", status = "no" }', "attack 1: enforcing: status"),
        ("attack", "enforcing", '{ record = "[" }', "attack 1: enforcing: record: is no regular expression"),
        ("attack", "enforcing", '{ record = "" }', "attack 1: enforcing: record"),
        ("attack", "enforcing", '{ record = " " }', "attack 1: enforcing: record"),
        ("attack", "steps", "5", "attack 1: steps"),
        ("attack", "steps", "[]", "attack 1: steps"),
        ("attack", "steps", "[{}]", "attack 1: steps 1"),
    ],
)
def test_a_malformed_value_is_named(tmp_path: Path, part: str, key: str, odd: str, place: str) -> None:
    file = {"step": "workload.toml", "root": "workload.toml", "attack": "attacks.toml"}.get(part, "lab.toml")
    text = said(write(tmp_path, **{part: {**PARTS[part], key: odd}}))
    assert re.match(rf"{re.escape(str(tmp_path))}/{file}(:\d+)?: ", text)
    assert f": {place}" in text
    assert " - " in text


@pytest.mark.parametrize("text", ["attack = 5", "[attack]\nname = 'x'", "attack = [5]"])
def test_attacks_that_are_no_tables(tmp_path: Path, text: str) -> None:
    write(tmp_path)
    (tmp_path / "attacks.toml").write_text(text)
    assert said(tmp_path).startswith(f"{tmp_path}/attacks.toml:1: attack")


def test_two_attacks_of_one_name(tmp_path: Path) -> None:
    path = write(tmp_path) / "attacks.toml"
    path.write_text(path.read_text() * 2)
    assert "two attacks are named 'shadow'" in said(tmp_path)


@pytest.mark.parametrize("text", ["", "attack = []"])
def test_a_lab_without_attacks(tmp_path: Path, text: str) -> None:
    (write(tmp_path) / "attacks.toml").write_text(text)
    assert said(tmp_path) == (
        f"{tmp_path}: phase attacked needs attacks, and lab {tmp_path.name} has none"
        " - write attacks.toml: each begun with [[attack]]"
    )


def test_a_lab_without_workload(tmp_path: Path) -> None:
    (write(tmp_path) / "workload.toml").write_text('[[repair]]\nhttp = "GET /"\n')
    assert said(tmp_path).startswith(
        f"{tmp_path}: phase disabled needs a workload, and lab {tmp_path.name} has none - write workload.toml"
    )


def test_a_lab_that_protects_nothing(tmp_path: Path) -> None:
    left = {name: value for name, value in LAB.items() if name != "protected"}
    assert "needs protected domains, and lab " in said(write(tmp_path, lab=left))


@pytest.mark.parametrize(
    "more",
    ['[[step]]\nname = "page"\nhttp = "GET /b"\n', '[[forgotten]]\nname = "page"\nhttp = "GET /b"\n'],
)
def test_two_steps_of_one_name(tmp_path: Path, more: str) -> None:
    path = write(tmp_path) / "workload.toml"
    path.write_text(path.read_text() + more)
    assert said(tmp_path) == f"{path}: two steps are named 'page' - give each a name of its own"


def test_a_command_without_output_may_come_twice(tmp_path: Path) -> None:
    path = write(tmp_path, root={"root": '"reset"'}) / "workload.toml"
    path.write_text(path.read_text() + '[[step]]\nroot = "reset"\n')
    assert len(definition.load(tmp_path).workload) == 3


@pytest.mark.parametrize("name", ["lab.toml", "workload.toml", "attacks.toml"])
@pytest.mark.parametrize("damage", ["missing", "text", "bytes"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, damage: str) -> None:
    path = write(tmp_path) / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"a = [" if damage == "text" else b"a = '\xff'")
    if damage == "missing" and name != "lab.toml":
        needed = {"workload.toml": "disabled needs a workload", "attacks.toml": "attacked needs attacks"}
        assert said(tmp_path).startswith(f"{tmp_path}: phase {needed[name]}, and lab ")
    else:
        expected = "is missing" if damage == "missing" else "is malformed"
        assert said(tmp_path).startswith(f"{path}: {expected}")


@pytest.mark.parametrize("name", ["lab.toml", "workload.toml", "attacks.toml"])
@given(content=st.binary())
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    folder = write(tmp_path_factory.mktemp("any"))
    (folder / name).write_bytes(content)
    with contextlib.suppress(UserError):
        definition.load(folder)


def test_an_unknown_lab_gets_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "labs" / "apache-cgi")
    shutil.copytree(tmp_path / "labs" / "apache-cgi", tmp_path / "labs" / "mail")
    assert definition.names(tmp_path) == ["apache-cgi", "mail"]
    with pytest.raises(UserError, match=r"unknown lab 'apache' - did you mean apache-cgi\?"):
        definition.find("apache", tmp_path)
    with pytest.raises(UserError, match=r"unknown lab '../labs/mail'"):
        definition.find("../labs/mail", tmp_path)


def test_a_domain_below_a_protected_one_is_guarded(tmp_path: Path) -> None:
    lab = definition.load(write(tmp_path))
    assert lab.guards("<kernel> /usr/sbin/apache2")
    assert lab.guards("<kernel> /usr/sbin/apache2 /bin/sh")
    assert not lab.guards("<kernel> /usr/sbin/apache2ctl")
    assert not lab.guards("<kernel>")


def test_labs_are_named_one_by_one_or_all() -> None:
    assert definition.several("all", ROOT) == LABS
    assert definition.several(" interface,controls , interface", ROOT) == ["interface", "controls"]
    with pytest.raises(UserError, match="unknown lab 'control' - did you mean controls"):
        definition.several("interface,control", ROOT)
    with pytest.raises(UserError, match="no lab was named"):
        definition.several(",", ROOT)
