# SPDX-License-Identifier: GPL-2.0-only
"""Tests that start programs of the host (compilers, git, a browser, the harness itself), but no guest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccslab.store import forget_used


@pytest.fixture(autouse=True)
def nothing_used() -> Iterator[None]:
    """Each test begins as a process does that used no artifact."""
    yield
    forget_used()
