# SPDX-License-Identifier: GPL-2.0-only
"""The tasks: a module for each namespace; what they do is in the stages."""
