# SPDX-License-Identifier: GPL-2.0-only
"""A series of one kernel, tried patch by patch on another's tree: docs/porting.md."""
