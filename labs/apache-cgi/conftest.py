# SPDX-License-Identifier: GPL-2.0-only
"""Names the tests of this lab share. They run while the guest is in the phase their file is named after."""

from __future__ import annotations

import pytest

APACHE = "<kernel> /usr/sbin/apache2"


@pytest.fixture(scope="session")
def apache() -> str:
    """The web server's domain."""
    return APACHE


@pytest.fixture(scope="module")
def policy(host):
    """The guest's domain policy, read once: a thousand lines cross an emulated SSH connection."""
    return host.tomoyo.policy
