# SPDX-License-Identifier: GPL-2.0-only
"""What is checked: by whichever line of a profile says most, its own, its category's, or CONFIG."""

from __future__ import annotations

import pytest
from series import DENIED, STRANGER, write

from ccslab.vm.machine import Machine

pytestmark = pytest.mark.guest

DOMAIN = f"<kernel> {STRANGER}"
PROFILE = 7
CALLS = {
    "capability::SYS_NICE": f"{STRANGER} renice 0 1",
    "ipc::signal": f"{STRANGER} kill -WINCH 1",
    "network::inet_stream_bind": f"timeout 1 {STRANGER} nc -l -p 4000 </dev/null",
}


@pytest.fixture(scope="module")
def guest(patched_guest: Machine) -> Machine:
    # What starts the program is no part of this, nor what it does behind its bind().
    for line in ("CONFIG", "CONFIG::file", "CONFIG::misc", "CONFIG::network::inet_stream_listen"):
        write(patched_guest, "profile", f"{PROFILE}-{line}={{ mode=disabled }}")
    write(patched_guest, "exception_policy", f"initialize_domain {STRANGER} from any")
    write(patched_guest, "domain_policy", DOMAIN, f"use_profile {PROFILE}")
    return patched_guest


def denied(guest: Machine, call: str, *modes: tuple[str, str]) -> bool:
    """Whether a call is denied, when lines of the profile have these modes."""
    for line, mode in modes:
        write(guest, "profile", f"{PROFILE}-{line}={{ mode={mode} }}")
    return DENIED in guest.console.run(CALLS[call]).output


@pytest.mark.parametrize("call", CALLS)
def test_the_line_that_says_most_decides(guest: Machine, call: str) -> None:
    own, category = f"CONFIG::{call}", f"CONFIG::{call.split('::')[0]}"
    default = ((own, "use_default"), (category, "use_default"))
    assert not denied(guest, call, *default, ("CONFIG", "disabled"))
    assert denied(guest, call, ("CONFIG", "enforcing"))
    assert not denied(guest, call, (category, "disabled"))
    assert denied(guest, call, (own, "enforcing"))
    assert denied(guest, call, *default, ("CONFIG", "disabled"), (category, "enforcing"))
    assert not denied(guest, call, (own, "disabled"))
    assert not denied(guest, call, *default)
