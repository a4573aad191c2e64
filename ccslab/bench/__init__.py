# SPDX-License-Identifier: GPL-2.0-only
"""What protection costs, counted in guest instructions: plan -> guest -> measurement -> comparison."""
