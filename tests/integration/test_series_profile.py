# SPDX-License-Identifier: GPL-2.0-only
"""What is checked: by whichever line of a profile says most, its own, its category's, or CONFIG."""

from __future__ import annotations

import pytest
from series import SECURITYFS, say

from ccslab.rootfs.initramfs import Entry
from ccslab.vm.machine import Machine

pytestmark = pytest.mark.guest

PROGRAM = "/bin/busybox.stranger"
DOMAIN = f"<kernel> {PROGRAM}"
PROFILE = 7
CALLS = {
    "capability::SYS_NICE": f"{PROGRAM} renice 0 1",
    "ipc::signal": f"{PROGRAM} kill -WINCH 1",
    "network::inet_stream_bind": f"timeout 1 {PROGRAM} nc -l -p 4000 </dev/null",
}
DENIED = "Operation not permitted"


@pytest.fixture(scope="module")
def extra() -> dict[str, Entry]:
    return {}


@pytest.fixture(scope="module")
def guest(patched_guest: Machine) -> Machine:
    # What starts the program is no part of this, nor what it does behind its bind().
    for line in ("CONFIG", "CONFIG::file", "CONFIG::misc", "CONFIG::network::inet_stream_listen"):
        say(patched_guest, f"echo '{PROFILE}-{line}={{ mode=disabled }}' >{SECURITYFS}/profile")
    say(patched_guest, f"echo 'initialize_domain {PROGRAM} from any' >{SECURITYFS}/exception_policy")
    say(patched_guest, f"printf '{DOMAIN}\\nuse_profile {PROFILE}\\n' >{SECURITYFS}/domain_policy")
    return patched_guest


def denied(guest: Machine, call: str, *modes: tuple[str, str]) -> bool:
    """Whether a call is denied, when lines of the profile have these modes."""
    for line, mode in modes:
        say(guest, f"echo '{PROFILE}-{line}={{ mode={mode} }}' >{SECURITYFS}/profile")
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
