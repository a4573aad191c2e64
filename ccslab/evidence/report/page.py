# SPDX-License-Identifier: GPL-2.0-only
"""Writes ``report.html``."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import markupsafe

from ccslab.evidence import REPORT
from ccslab.evidence.report import content
from ccslab.evidence.table import duration
from ccslab.evidence.text import visible, write
from ccslab.policy.drift import tell
from ccslab.results import Results

HERE = Path(__file__).parent
PLAYER = HERE / "player"
# Unicode's bidirectional controls.
_TURNS_TEXT = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Neighbour(NamedTuple):
    """What another command found out, and in which run."""

    run: str
    document: dict[str, Any]


def write_report(
    results: Results,
    manifest: Mapping[str, Any],
    folder: Path,
    *,
    guarded: Sequence[str],
    cost: Neighbour | None = None,
    mutation: Neighbour | None = None,
) -> Path:
    """Write the page of a run, however it ended; returns its path.

    :param manifest: the run's, as it is in its file.
    :param guarded: the domains whose policy the run is about.
    :param cost: what ``bench.lab`` measured of the same lab on the same kernel.
    :param mutation: what ``lab.mutate`` proved of them.
    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
    )
    casts = (folder / "console.cast", folder / "guest" / "console.cast")  # of a small guest the latter
    cast = next(filter(Path.is_file, casts), None)
    page = environment.get_template("page.html").render(
        results=results,
        folder=folder.name,
        started=manifest["started"],
        took=duration(manifest["seconds"] or 0.0),
        failed=list(results.failures()),
        drift=tell(results.drift or [], results.drift_since),
        timeline=content.timeline(results),
        grids=content.grids(results),
        measures=content.measures(results),
        cost=content.cost(cost.document) if cost else [],
        cost_of=cost.run if cost else "",
        mutation=content.mutation(mutation.document) if mutation else {},
        mutation_of=mutation.run if mutation else "",
        tree=content.tree(folder),
        walk=content.walk,
        changes=list(content.changes(folder, guarded)),
        environment=content.environment(manifest),
        style=_asset(HERE / "style.css") + _asset(PLAYER / "asciinema-player.css"),
        player=_asset(PLAYER / "asciinema-player.min.js"),
        cast=_json(_recording(cast.read_text(errors="replace"))) if cast else "",
    )
    return write(folder / REPORT, page.encode())


def _harmless(value: Any) -> Any:
    """What the page says: a guest may have written any of it, whatever field it came by."""
    return visible(value) if isinstance(value, str) and not isinstance(value, markupsafe.Markup) else value


def _recording(text: str) -> str:
    """The recording: the player keeps control characters to its own screen, but not what turns text."""
    return "\n".join(map(_event, text.split("\n")))


def _event(line: str) -> str:
    with contextlib.suppress(ValueError, RecursionError):  # a killed run's last line may be half of one
        line = json.dumps(json.loads(line), ensure_ascii=False)
    return _TURNS_TEXT.sub(lambda match: f"\\\\u{ord(match[0]):04x}", line)


def _asset(path: Path) -> markupsafe.Markup:
    """A file of ours that is part of the page as it is."""
    text = path.read_text()
    assert "</script" not in text
    assert "</style" not in text
    return markupsafe.Markup(text)  # noqa: S704 (no guest has written it)


def _json(value: Any) -> markupsafe.Markup:
    """Data in a script element: no text of a guest may end that."""
    told = json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return markupsafe.Markup(told)  # noqa: S704
