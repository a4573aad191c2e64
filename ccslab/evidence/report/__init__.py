# SPDX-License-Identifier: GPL-2.0-only
"""``report.html``: a run as a page that one shows a colleague, in one file that needs no network."""
