# SPDX-License-Identifier: GPL-2.0-only
"""The cache: content-addressed artifacts, folders of work, their locks, checks and removal.

:mod:`artifacts` is the way in; :mod:`cache` says which folder is a cache and what is in one, :mod:`record`
what an artifact's files were when it was published, :mod:`lock` who uses what, :mod:`cleaning` what may go.
"""

from __future__ import annotations

from ccslab.store.artifacts import INPUTS, Store, examine_used, forget_used
from ccslab.store.cache import default_root
from ccslab.store.disk import disk_errors, full, need_space, remove, sync, sync_tree
from ccslab.store.hashes import hash_file, hash_tree, key_of
from ccslab.store.record import Damaged, hash_used, id_of

__all__ = [
    "INPUTS",
    "Damaged",
    "Store",
    "default_root",
    "disk_errors",
    "examine_used",
    "forget_used",
    "full",
    "hash_file",
    "hash_tree",
    "hash_used",
    "id_of",
    "key_of",
    "need_space",
    "remove",
    "sync",
    "sync_tree",
]
