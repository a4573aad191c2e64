# SPDX-License-Identifier: GPL-2.0-only
"""A run that is killed has its results on the disk."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from test_journal import WANTED

from ccslab.runs import folder as runs
from ccslab.runs.continuation import journaled


def test_a_killed_run_s_results_are_there(
    tmp_path: Path, other_run: Callable[[str], subprocess.Popen[str]]
) -> None:
    child = other_run(
        f"""
        import os, signal
        from pathlib import Path
        from ccslab.runs.continuation import Wanted, journaled
        wanted = Wanted("lab.try", "sample", "x86_64", "6.12", 3, {{"only": ""}}, {{"kernel": "k"}})
        with journaled(Path({str(tmp_path)!r}), wanted, resume=False) as found:
            found.add("trial 0", "á\\ud800")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert child.wait(20) == -signal.SIGKILL
    (run,) = runs.listed(tmp_path)
    assert run.told == "broken off, 1 of 3"
    with journaled(tmp_path, WANTED, resume=True) as found:
        assert found.results == {"trial 0": json.loads(json.dumps("á\ud800"))}
