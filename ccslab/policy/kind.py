# SPDX-License-Identifier: GPL-2.0-only
"""Which kind of policy file a name or a text is."""

from __future__ import annotations

import re
from pathlib import PurePath

from ccslab.policy import language
from ccslab.policy.source import lines

#: File names without ``.conf``, as on disk and in the interface.
NAMES = {
    "domain_policy": "domain",
    "exception_policy": "exception",
    "profile": "profile",
    "manager": "manager",
    "stat": "stat",
    "audit": "audit",
}
_OLD = re.compile(r"[1-7] [/@]|allow_|deny_rewrite |[0-9]+-(?:MAC_FOR_|TOMOYO_VERBOSE|MAX_ACCEPT_ENTRY)")
_EXCEPTION = (*language.TRANSITION_CONTROLS, *language.GROUPS, "aggregator", "acl_group", "deny_autobind")


def _kind_of_line(line: str) -> str:
    words = line.split(" ")
    if _OLD.match(line):
        return "old"
    if re.match(r"(?:<\S+> )?(?:PROFILE_VERSION=|[0-9]+-[A-Z])", line):
        return "profile"
    if line.startswith(("Policy ", "Memory used by ", "Total memory used")):
        return "stat"
    if words[0] in _EXCEPTION or (words[0].startswith("<") and words[1:2] and words[1] in _EXCEPTION):
        return "exception"
    domain = ("file", "network", "misc", "task", "capability", "ipc", "use_profile", "use_group")
    if words[0] in (*domain, *language.DOMAIN_FLAGS):
        return "domain"
    return ""


def kind_of(text: str, name: str = "") -> str:
    """``domain``, ``exception``, ``profile``, ``manager``, ``stat``, ``audit``, ``old`` (1.x syntax) or "".

    :param name: file name; it decides if it is one of the known ones and the text is not of the old syntax.
    """
    said = [kind for _, line in lines(text) if (kind := _kind_of_line(line))]
    if "old" in said:
        return "old"
    stem = PurePath(name).name.removesuffix(".conf")
    if stem in NAMES:
        return NAMES[stem]
    if re.match(r"#\d{4}/\d\d/\d\d \d\d:\d\d:\d\d# profile=", text.lstrip("\0\n")):
        return "audit"
    if said:
        return said[0]
    texts = [line for _, line in lines(text)]
    if texts and all(line.startswith("<") for line in texts):
        return "domain"
    return "manager" if texts and all(line.startswith(("/", "<", "manage_by")) for line in texts) else ""
