# SPDX-License-Identifier: GPL-2.0-only
"""Measuring in instructions, as a user starts it: twice the same, and dearer where the kernel does more."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path

import pytest
from launcher import inv, passed
from planted import patchset

from ccslab.bench import comparison, measurement
from ccslab.bench.measurement import Measurement
from ccslab.bench.plan import ABSENT, BESIDE, OPERATIONS
from ccslab.kernel import command
from ccslab.runs import folder as runs
from ccslab.settings import ROOT, Settings

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernels_built")]
BENCH_TIMEOUT_S = 600
FOLDER = ROOT / "runs/bench"


def bench(arch: str) -> Measurement:
    """What a run of bench.run left."""
    said = passed("bench.run", "--plan", "tiny", "--arch", arch, timeout_s=BENCH_TIMEOUT_S)
    folder = runs.listed(FOLDER, "bench")[-1].folder
    assert str((folder / measurement.FILE).relative_to(ROOT)) in said.splitlines()[-1]
    return measurement.read(folder)


@pytest.fixture(scope="module", params=["x86_64", "i386"])
def twice(request: pytest.FixtureRequest) -> tuple[Measurement, Measurement]:
    """The same measured by two guests, one after the other."""
    return bench(request.param), bench(request.param)


def cost(found: Measurement, configuration: str, operation: str) -> int:
    (one,) = [one for one in found.measured if one.configuration.name == configuration]
    return one.figures[operation].median


def test_two_runs_agree(twice: tuple[Measurement, Measurement]) -> None:
    one, other = twice
    assert one.subject == other.subject
    found = comparison.differences(one, other)
    assert len(found) == 7 * len(OPERATIONS)
    assert [str(told) for told in comparison.beyond(found, comparison.NOISE)] == []


@pytest.mark.parametrize("arch", ["x86_64", "i386"])
def test_the_figures_are_the_baselines(arch: str) -> None:
    """A baseline of another kernel, compiler or QEMU than this machine's is said, not compared."""
    done = inv("bench.run", "--plan", "tiny", "--check", "--arch", arch, timeout_s=BENCH_TIMEOUT_S)
    if done.returncode == 2 and "error: not comparable: " in done.stderr:
        warnings.warn(f"{arch}: {done.stderr.strip()}", stacklevel=1)
        return
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stdout.splitlines()[-1] == "91 of 91 figures are the baseline's to 3%"


@pytest.mark.nightly
def test_a_kernel_that_walks_the_list_once_more_is_beyond_its_baseline(tmp_path: Path) -> None:
    slowed = str(patchset("slow", tmp_path / "slow"))
    command.build(Settings(kernel="6.12", patchset=slowed))
    done = inv("bench.run", "--plan", "short", "--check", "--patchset", slowed, timeout_s=BENCH_TIMEOUT_S)
    # It goes by the name of the kernel that it is not.
    shutil.rmtree(runs.listed(FOLDER, "bench")[-1].folder)
    assert done.returncode == 1, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    beyond = [line for line in done.stdout.splitlines() if line.startswith("beyond 3%: ")]
    wanted = r"beyond 3%: open\+close in enforcing-exact-1000: expected \d+ instructions, found \d+ \(\+\d"
    assert any(re.match(wanted, line) for line in beyond), beyond
    assert not any("null in" in line or "-0 " in line for line in beyond)


def test_what_is_not_checked_costs_nothing(twice: tuple[Measurement, Measurement]) -> None:
    for operation in ("null", "read"):
        assert cost(twice[0], "enforcing", operation) == cost(twice[0], "disabled", operation)


@pytest.mark.parametrize(
    ("operation", "most", "beside"),
    # The hooks of the first two are not called then; beside others they are, one with four arguments.
    [("kill", 0, 110), ("setpriority", 0, 80), ("send+recv", 30, 90), ("netlink+close", 30, 60)],
)
def test_a_control_of_a_disabled_profile_costs_next_to_nothing(
    twice: tuple[Measurement, Measurement], operation: str, most: int, beside: int
) -> None:
    base = cost(twice[0], ABSENT, operation)
    assert cost(twice[0], "disabled", operation) - base <= most
    assert most < cost(twice[0], BESIDE, operation) - base <= beside


CHECKED = ["open+close", "stat", "create+unlink", "rename", "connect+accept"]
CONTROLS = ["send+recv", "kill", "setpriority", "netlink+close"]


@pytest.mark.parametrize("operation", CHECKED + CONTROLS)
def test_a_check_costs_instructions(twice: tuple[Measurement, Measurement], operation: str) -> None:
    assert cost(twice[0], "enforcing", operation) > cost(twice[0], "disabled", operation)


def test_rules_before_the_matching_one_cost_next_to_nothing(
    twice: tuple[Measurement, Measurement],
) -> None:
    plain = cost(twice[0], "enforcing", "open+close")
    for kind in ("exact", "wildcard", "path_group"):
        assert cost(twice[0], f"enforcing-{kind}-100", "open+close") < plain * 1.1, kind


def test_a_measurement_says_what_was_measured(twice: tuple[Measurement, Measurement]) -> None:
    subject = twice[0].subject
    assert subject.release.endswith("-ccs")
    assert subject.kernel == "6.12"
    assert "gcc" in subject.compiler
    assert json.dumps(subject.qemu).startswith('"QEMU emulator version')
