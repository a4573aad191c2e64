# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmark's guest is given and says, and what is made of it. The console is a real one's."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from ccslab.bench import comparison, console, measurement, plan, plot
from ccslab.bench.measurement import Figure, Measured, Measurement, Subject
from ccslab.bench.plan import ABSENT, Configuration
from ccslab.errors import InfrastructureError, UserError

CONSOLE = Path(__file__).parent / "data/bench/present.console"
TEXT = CONSOLE.read_bytes().decode()
DISABLED, ENFORCING = Configuration("disabled"), Configuration("enforcing")
WALK = Configuration("enforcing", "exact", 1000)
SUBJECT = Subject("6.12", "6.12.1-ccs", "x86_64", "gcc 12", "0" * 64, "QEMU 7.2")


def measured(configuration: Configuration, **medians: int) -> Measured:
    return Measured(configuration, {name: Figure(it, it, float(it), 100) for name, it in medians.items()})


def a_measurement(*found: Measured, **changes: str) -> Measurement:
    return Measurement(structs.replace(SUBJECT, **changes), "tiny", found)


# -- plan ------------------------------------------------------------------------------------------------


def test_rules_stand_before_the_ones_that_are_needed() -> None:
    lines = Configuration("enforcing", "exact", 3).domain.splitlines()
    assert lines[:6] == [
        "<kernel> /bin/ccsbench",
        "use_profile 3",
        "use_group 0",
        "file read /bench/rules/00000",
        "file read /bench/rules/00001",
        "file read /bench/rules/00002",
    ]
    assert lines[6:] == plan.NEEDED


def test_rules_of_groups_have_their_groups() -> None:
    one = Configuration("learning", "path_group", 2)
    assert one.domain.splitlines()[3:5] == ["file read @RULE00000", "file read @RULE00001"]
    assert one.exceptions == (
        "path_group RULE00000 /bench/rules/00000\npath_group RULE00001 /bench/rules/00001\n"
    )
    assert Configuration("learning", "exact", 2).exceptions == ""


def test_members_have_one_rule() -> None:
    one = Configuration("learning", "member", 2)
    group = "learning-member-2"
    assert one.before == [f"file read @{group}"]
    assert one.exceptions == f"path_group {group} /bench/rules/00000\npath_group {group} /bench/rules/00001\n"


@pytest.mark.parametrize("name", ["tiny", "short", "long"])
def test_a_plan_measures_every_configuration_once(name: str) -> None:
    found = plan.find(name).configurations
    assert len({one.name for one in found}) == len(found)
    assert {ENFORCING, DISABLED} <= set(found)
    assert all(one.mode in {ABSENT, *plan.PROFILES} for one in found)


def test_an_unknown_plan_is_named_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"unknown plan 'shrt' - did you mean short\?"):
        plan.find("shrt")


# -- console ---------------------------------------------------------------------------------------------


def test_a_real_console() -> None:
    found = console.read(WALK, TEXT, CONSOLE)
    assert tuple(found.figures) == plan.OPERATIONS
    assert found.figures["open+close"].median == 4697
    assert console.read(ENFORCING, TEXT, CONSOLE).figures["open+close"].median == 4686


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("configuration enforcing\r", "configuration other\r", "nothing was measured of enforcing"),
        ("use_profile 3\r\nrules 11\r", "use_profile 2\r\nrules 11\r", "does not say 'use_profile 3'"),
        ("use_profile 3\r\nrules 11\r", "use_profile 3\r\nrules 10\r", "does not say 'rules 11'"),
        ("denied Operation not permitted", "denied no", "the guest says 'denied no', not 'denied Oper"),
        ("op stat minimum 3803", "op stat failed 1\r\nx", r"stat failed with error 1 \(errno"),
        ("status 0\r\nuse_profile 3", "status 127\r\nuse_profile 3", "enforcing: the benchmark failed"),
        ("op rename minimum 19365", "op rena", "enforcing: nothing is said of rename"),
    ],
)
def test_a_guest_that_was_in_another_state_is_not_believed(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(InfrastructureError, match=said):
        console.read(ENFORCING, TEXT.replace(old, new), CONSOLE)


def test_a_disabled_profile_denies_nothing() -> None:
    text = TEXT.replace("denied no", "denied Operation not permitted")
    with pytest.raises(
        InfrastructureError, match="disabled: of what no rule allows the guest says 'denied Oper"
    ):
        console.read(DISABLED, text, CONSOLE)


def test_a_kernel_without_tomoyo_has_no_interface() -> None:
    text = TEXT.replace("configuration disabled\r", f"configuration {ABSENT}\r")
    with pytest.raises(InfrastructureError, match="not-in-lsm: the kernel has TOMOYO's interface"):
        console.read(Configuration(ABSENT), text, CONSOLE)
    text = text.replace("use_profile 0\r\nrules 11\r\n", "")
    assert console.read(Configuration(ABSENT), text, CONSOLE).figures["stat"].median == 2796


# -- measurement and comparison --------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = a_measurement(measured(DISABLED, stat=1), measured(WALK, stat=3))
    found.write(tmp_path / measurement.FILE)
    assert measurement.read(tmp_path) == measurement.read(tmp_path / measurement.FILE) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is malformed: .* - measure again"),
        ("[]", "must be a table, not \\[\\] - measure again"),
        ('{"schema": 1}', "lacks the key 'subject' - measure again"),
        ('{"schema": 9}', "is of schema 9, not 1"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(UserError, match=said):
        measurement.read(tmp_path)


def test_no_file_is_told_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no measurement - \./inv bench\.run makes one"):
        measurement.read(tmp_path)


def test_a_difference_is_named_with_operation_mode_expected_and_found() -> None:
    before = a_measurement(measured(ENFORCING, stat=1000, null=216), measured(WALK, stat=5000))
    after = a_measurement(measured(ENFORCING, stat=1031, null=216), measured(DISABLED, stat=9))
    found = comparison.differences(before, after)
    assert [(one.operation, one.before, one.after) for one in found] == [
        ("stat", 1000, 1031),
        ("null", 216, 216),
    ]
    (one,) = comparison.beyond(found, 0.03)
    assert str(one) == "stat in enforcing: expected 1000 instructions, found 1031 (+3.1%)"
    assert comparison.beyond(found, 0.032) == []
    (cheaper,) = comparison.beyond(comparison.differences(after, before), 0.03)
    assert str(cheaper) == "stat in enforcing: expected 1031 instructions, found 1000 (-3.0%)"


def test_measurements_of_different_things_are_not_compared() -> None:
    other = structs.replace(SUBJECT, compiler="gcc 14")
    with pytest.raises(
        UserError, match="not comparable: compiler is 'gcc 12' of one and 'gcc 14' of the other"
    ):
        comparison.check(SUBJECT, other, "arch", "compiler")
    comparison.check(SUBJECT, other, "arch", "program")


def test_measurements_with_nothing_in_common_are_refused() -> None:
    with pytest.raises(UserError, match="no configuration in common"):
        comparison.differences(
            a_measurement(measured(WALK, stat=1)), a_measurement(measured(DISABLED, stat=1))
        )


# -- plots -----------------------------------------------------------------------------------------------


def test_plots_show_what_was_measured_and_are_the_same_each_time(tmp_path: Path) -> None:
    full = Configuration("enforcing", "wildcard", 100)
    operations = {"stat": 10, "open+close": 20}
    found = a_measurement(*(measured(one, **operations) for one in (DISABLED, ENFORCING, WALK, full)))
    pictures = plot.draw(found, tmp_path)
    assert [path.name for path in pictures] == ["modes.svg", "rules.svg"]
    first = [path.read_bytes() for path in pictures]
    assert all(b"6.12.1-ccs (x86_64)" in picture for picture in first)
    assert b"a multiple of disabled" in first[0]
    for told in (b"open+close, exact", b"open+close, wildcard", b"stat, exact", b"no further rule: 20"):
        assert told in first[1]
    assert b"stat, wildcard" not in first[1]
    assert [path.read_bytes() for path in plot.draw(found, tmp_path)] == first


def test_two_measurements_are_drawn_in_one_picture(tmp_path: Path) -> None:
    full = Configuration("enforcing", "wildcard", 100)
    one, other = (
        a_measurement(*(measured(it, **{"open+close": cost}) for it in (WALK, full)), release=name)
        for name, cost in (("stock", 90), ("ours", 10))
    )
    path = tmp_path / "both.svg"
    assert plot.compare((one, other), path)
    for told in (b"stock: exact", b"ours: exact", b"stock: wildcard", b"ours: wildcard", b"open+close"):
        assert told in path.read_bytes()
    assert not plot.compare((one, a_measurement(measured(ENFORCING, stat=1))), tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    assert plot.draw(a_measurement(measured(ENFORCING, stat=1)), tmp_path) == []
