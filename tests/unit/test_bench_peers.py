# SPDX-License-Identifier: GPL-2.0-only
"""Who is put beside whom, AppArmor's profile of the benchmark, and the table of all."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.console import Console

from ccslab.bench import peers, plot, table
from ccslab.bench.measurement import Figure, Measured, Subject
from ccslab.bench.plan import ABSENT, CONFINED, NEEDED, OPERATIONS, PROFILES, Configuration

ABOUT = Subject("6.12", "6.12.117-test", "x86_64", "gcc 12", "0" * 64, "7.2")
COSTS = {ABSENT: 1000, "disabled": 1100, "enforcing": 1500, CONFINED: 1700}


def measured(configuration: Configuration) -> Measured:
    cost = COSTS[configuration.mode] + configuration.count
    return Measured(configuration, dict.fromkeys(OPERATIONS, Figure(cost, cost, float(cost), 1)))


def rows() -> list[tuple[str, Measured]]:
    _, wanted = peers.peers()
    return [(peer.title, measured(one)) for peer in wanted for one in peer.configurations]


def test_what_is_compared_begins_without_any_module() -> None:
    calls, wanted = peers.peers()
    assert calls > 50
    assert [peer.lsm for peer in wanted] == ["", "tomoyo", "apparmor", "selinux", "smack"]
    assert wanted[0].configurations == (Configuration(ABSENT),)


def test_tomoyo_and_apparmor_meet_the_same_numbers_of_rules() -> None:
    _, wanted = peers.peers()
    by_lsm = {peer.lsm: peer.configurations for peer in wanted}
    told = {
        lsm: {(one.kind, one.count) for one in by_lsm[lsm] if one.mode not in (ABSENT, "disabled")}
        for lsm in ("tomoyo", "apparmor")
    }
    assert told["tomoyo"] == told["apparmor"]
    assert {count for _, count in told["tomoyo"]} == {0, 100, 1000, 10000}


@pytest.mark.parametrize(("most", "counts"), [(0, {0}), (100, {0, 100}), (99999, {0, 100, 1000, 10000})])
def test_fewer_rules_may_be_asked_for(most: int, counts: set[int]) -> None:
    _, wanted = peers.peers(most)
    assert {one.count for peer in wanted for one in peer.configurations} == counts


def test_a_profile_allows_what_the_domain_allows() -> None:
    profile = Configuration(CONFINED, "wildcard", 2).confinement
    assert "  /bench/rules/*.00000 r,\n  /bench/rules/*.00001 r,\n" in profile
    paths = {word for rule in NEEDED for word in rule.split() if word.startswith("/")}
    pattern = profile.replace("{new,here,there}", "new /bench/data/here /bench/data/there")
    assert paths <= set(re.findall(r"/\S+", pattern)), "each path of the domain's rules has one here"
    assert "forbidden" not in profile
    # Of what has no path, the kind: a word here for each word of TOMOYO's.
    kinds = {"network": "network", "ipc signal": "signal", "capability": "capability"}
    for words, kind in kinds.items():
        assert any(rule.startswith(f"{words} ") for rule in NEEDED)
        assert f"  {kind},\n" in profile


def test_modes_that_are_not_tomoyos_have_no_domain() -> None:
    assert Configuration(CONFINED, "exact", 3).domain == ""
    assert all(Configuration(mode).domain for mode in PROFILES)


def test_the_table_says_how_much_more_than_without() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table.peers(rows()))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "none - 1,000 +0 1,000 +0" in lines
    assert "TOMOYO, enforcing - 1,500 +500 1,500 +500" in lines
    assert "AppArmor, confined 1,000 exact 2,700 +1,700 2,700 +1,700" in lines


def test_the_picture_has_a_line_for_each_module_kind_and_operation(tmp_path: Path) -> None:
    path = plot.peers(rows(), ABOUT, tmp_path)
    texts = {node.text for node in ET.fromstring(path.read_text()).iter() if node.tag.endswith("text")}
    for module in ("TOMOYO", "AppArmor"):
        for kind in ("exact", "wildcard"):
            assert {f"open+close: {module}, {kind}", f"stat: {module}, {kind}"} <= texts
