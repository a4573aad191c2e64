# SPDX-License-Identifier: GPL-2.0-only
"""A guest's clock that does not keep pace is found, and a busy host is not taken for one."""

from __future__ import annotations

import pytest

from ccslab.vm.clock import Reading, WrongClock, judge, pace


def test_the_pace_is_known_between_two_bounds():
    least, most = pace(Reading(100.0, 0.0, 0.5), Reading(103.0, 3.5, 4.0))
    assert (least, most) == (0.75, 1.0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(Reading(5, 0, 0.1), Reading(8.2, 3.2, 3.4), id="right"),
        pytest.param(
            Reading(5, 0, 4), Reading(8, 5, 9), id="right, on a host so busy that nothing is certain"
        ),
        pytest.param(Reading(5, 0, 4), Reading(8, 4, 4), id="no time between"),
    ],
)
def test_a_clock_that_may_be_right_passes(first: Reading, second: Reading):
    judge(pace(first, second), "here")


def test_a_fast_clock_is_refused():
    """As it was measured: 53.7 s in 10.7 s of the host, each reading within 0.8 s."""
    with pytest.raises(WrongClock, match=r"here: the guest's clock runs at least 4\.\d times as fast"):
        judge(pace(Reading(0, 0, 0.6), Reading(53.7, 10.7, 11.5)), "here")


def test_a_slow_clock_is_refused():
    with pytest.raises(WrongClock, match=r"at most 0\.2 times as fast"):
        judge(pace(Reading(0, 0, 0.5), Reading(3, 15, 15.5)), "here")
