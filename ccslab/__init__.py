# SPDX-License-Identifier: GPL-2.0-only
"""The harness: each sub-package is one stage of the data's way (shared design, docs/)."""
