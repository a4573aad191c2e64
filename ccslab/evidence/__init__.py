# SPDX-License-Identifier: GPL-2.0-only
"""What a run found out, made readable: for programs, for CI, for a terminal, for a browser."""

RESULTS = "results.json"
REPORT = "report.html"
