# SPDX-License-Identifier: GPL-2.0-only
"""report.html: one file that needs no network, shows what the run found, and lets no guest write into it."""

from __future__ import annotations

import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import evidence_sample as sample
import pytest
from matplotlib import image

from ccslab.errors import InfrastructureError
from ccslab.evidence.report import browser, content
from ccslab.evidence.report.page import PLAYER, write_report
from ccslab.labs.attacking import Outcome
from ccslab.results import Check, Measure, Results
from ccslab.runs import folder as runs
from ccslab.runs.neighbours import neighbours
from tests.waiting import until

APACHE = "<kernel> /usr/sbin/apache2"
EVIL = "</pre></script><script>document.title='guest'</script>\x1b[31m\x9b2J\u202etxt.exe"
CLEARLY = EVIL.replace("\x9b2J", "")  # which clears the player's screen, as it would a terminal's
MANIFEST: dict[str, Any] = {
    "command_line": "inv lab.scenario sample-lab",
    "started": "2026-11-22T05:30:00+00:00",
    "seconds": 52.5,
    "accel": {"name": "tcg", "why": "asked for"},
    "inputs": {"kernel": {"key": "abc", "manifest": {"release": "6.12.0", "patches": [{"name": "0001-x"}]}}},
    "host": {"cores": 2, "qemu": "QEMU 7.2"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder with policy and recording."""
    folder = tmp_path / "runs" / "sample"
    for stage, lines in (
        ("learned", "file read /var/www/a\nfile read /var/www/b\n"),
        ("tuned", "file read @WEB\n"),
        ("enforcing", "file read @WEB\nfile read /etc/mime.types\n"),
    ):
        there = folder / "policy" / stage
        there.mkdir(parents=True)
        profile = 3 if stage == "enforcing" else 1
        (there / "domain_policy.conf").write_text(
            "<kernel>\nuse_profile 2\nuse_group 0\n\n"
            f"{APACHE}\nuse_profile {profile}\nuse_group 0\n\n{lines}\n"
            f"{APACHE} /usr/lib/cgi-bin/x.cgi\nuse_profile {profile}\nuse_group 0\n\nfile read /etc/hosts\n"
        )
        (there / "exception_policy.conf").write_text("path_group WEB /var/www/\\*\n")
    head = {"version": 2, "width": 60, "height": 10}
    typed = [[0.1, "o", "root@server:~# "], [0.5, "o", f"ccs-pstree {CLEARLY}\r\n"]]
    said = [*typed, *([second, "o", "."] for second in (1.0, 2.0, 3.0, 4.0)), [9.0, "o", "the-end\r\n"]]
    (folder / "console.cast").write_text("\n".join(map(json.dumps, [head, *said])) + "\n")
    return folder


class Page(HTMLParser):
    """The texts of a page by the id of their section, and what it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.refers: list[tuple[str, str]] = []
        self.scripts = 0
        self._section = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "section":
            self._section = found.get("id") or ""
        self.scripts += tag == "script"
        wanted = ("src", "href", "data", "action", "srcset", "background")
        self.refers += [(tag, value) for name, value in attrs if name in wanted and value]

    def handle_data(self, data: str) -> None:
        if self._section:
            self.sections[self._section] = self.sections.get(self._section, "") + data


def made(results: Results, folder: Path) -> Page:
    return Page(write_report(results, MANIFEST, folder, guarded=[APACHE], **neighbours(folder, results)))


def test_what_the_run_found_is_there(folder: Path) -> None:
    page = made(sample.passed(), folder)
    assert set(page.sections) == {
        "phases", "attacks", "policy-memory", "changes", "domains", "console", "checks", "environment",
    }  # fmt: skip
    assert "A CGI reads /etc/shadow" in page.sections["attacks"]
    assert "file read /etc/shadow" in page.sections["attacks"]
    assert "98,304 bytes" in page.sections["policy-memory"]
    assert "learned to tuned: 2 lines less, 1 more" in page.sections["changes"]
    assert "tuned to enforcing: 0 lines less, 1 more" in page.sections["changes"]
    assert "+file read /etc/mime.types" in page.sections["changes"]
    assert "profile 3, 2 lines" in page.sections["domains"]
    assert "/usr/lib/cgi-bin/x.cgi" in page.sections["domains"]
    assert "key abc" in page.sections["environment"]


def test_the_grid_says_what_came_of_each_and_how_many_were_right(folder: Path) -> None:
    page = made(sample.failed(), folder)
    grid = " ".join(page.sections["attacks"].split())
    assert "undenied HTTP 403" in grid
    assert "An attack counts only if it succeeds disabled" in grid
    assert "Shown, not judged." not in grid
    text = (folder / "report.html").read_text()
    assert "<b>1 of 2</b> attacks went as wanted" in text
    assert 'class="bad" title="the attacker got it although the policy is enforced">undenied' in text


def test_what_is_not_judged_is_shown_as_such(folder: Path) -> None:
    results = sample.passed()
    sample.set_outcome(results, 1, "enforcing", Outcome.UNDENIED)
    results.grids[0].judged = False
    page = made(results, folder)
    assert "Shown, not judged." in page.sections["attacks"]
    assert "failed" not in page.sections
    assert 'class="bad" title=' not in (folder / "report.html").read_text()


def test_what_was_not_compared_has_no_drift(folder: Path) -> None:
    made(sample.passed(), folder)
    drift = "lines of drift from the golden policy"
    assert f"<b>0</b> {drift}" in (folder / "report.html").read_text()
    results = sample.passed()
    results.drift = None
    made(results, folder)
    assert drift not in (folder / "report.html").read_text()


def test_a_domain_six_hundred_executions_deep_is_shown(folder: Path) -> None:
    """A guest's program that runs itself again and again makes one."""
    deep = " ".join(["<kernel>", *(f"/bin/{number}" for number in range(600))])
    policy = folder / "policy/enforcing/domain_policy.conf"
    policy.write_text(policy.read_text() + f"\n{deep}\nuse_profile 1\nuse_group 0\n\nfile read /deepest\n")
    page = made(sample.passed(), folder)
    assert "file read /deepest" in page.sections["domains"]
    assert "/bin/599" in page.sections["domains"]


def test_nothing_is_fetched(folder: Path) -> None:
    page = made(sample.passed(), folder)
    assert page.refers == []
    text = (folder / "report.html").read_text()
    assert "default-src 'none'" in text
    assert "@import" not in text


def test_what_failed_comes_first(folder: Path) -> None:
    page = made(sample.failed(), folder)
    assert next(iter(page.sections)) == "failed"
    assert "[red]812[/red] became 901" in page.sections["failed"]
    assert "undenied" in page.sections["attacks"]
    assert "file execute /bin/dash" in page.sections["drift"]


def test_a_run_that_broke_off_has_a_page(tmp_path: Path) -> None:
    page = made(sample.broken(), tmp_path)
    assert {"changes", "domains", "console"}.isdisjoint(page.sections)
    assert "the guest panicked" in (tmp_path / "report.html").read_text()


def test_a_guest_writes_no_markup(folder: Path) -> None:
    results = sample.passed()
    plain = made(results, folder).scripts
    results.checks.append(Check("enforcing", EVIL, False, EVIL))
    results.drift, results.error = [EVIL], EVIL
    grid, row = results.grids[0], sample.rows(results)[0]
    row.cells["enforcing"].records = [EVIL]
    row.cells["disabled"].got = row.cells["disabled"].note = row.cells["disabled"].why = EVIL
    grid.name = grid.note = row.group = grid.columns[1] = results.phases[0].name = EVIL
    row.title = results.release = results.accel = EVIL
    results.measures.append(Measure(EVIL, EVIL, 1, EVIL))
    (folder / "policy/enforcing/domain_policy.conf").write_text(
        f"<kernel> /\u202e\x9b\nuse_profile 3\n{EVIL}\n"
    )
    with (folder / "policy/tuned/domain_policy.conf").open("ab") as policy:
        policy.write(b"file read /\xff\xfe\n")  # a kernel writes them in octal, a disk may lose that
    page = made(results, folder)
    assert page.scripts == plain == 3, "the player, the recording, and what starts it"
    text = (folder / "report.html").read_text().replace((PLAYER / "asciinema-player.min.js").read_text(), "")
    assert not set(text) & {"\x1b", "\x9b", "\u202e"}
    assert r"\u202etxt.exe" in page.sections["failed"]
    assert r"\\\\u202etxt.exe" in text, "the recording's is spelled out, too"
    assert "document.title='guest'" in page.sections["failed"]


def beside(folder: Path, kind: str, name: str, document: dict[str, Any]) -> None:
    """Leave what another command found out of the same lab and kernel."""
    with runs.create(folder.parent / kind, lab="sample-lab", arch="x86_64", kernel="6.12") as living:
        (living.folder / name).write_text(json.dumps(document))


def test_cost_and_mutation_of_the_same_kernel_are_shown(folder: Path) -> None:
    line = {"domain": APACHE, "line": "file read /x", "need": "never exercised", "explained": "for later"}
    needed = {"domain": APACHE, "line": "file read /y", "need": "needed", "explained": ""}
    whole = {"only": "", "needed": 0.5, "lines": [line, needed], "attacks": [{"through": True}]}
    beside(folder, "mutation", "mutation.json", whole)
    beside(folder, "mutation", "mutation.json", {**whole, "only": "x", "needed": 0.1})
    request = {"kind": "static page", "ratio": 1.0625, "disabled": {"median": 170355.0}}
    beside(folder, "cost", "cost.json", {"requests": [request]})
    page = made(sample.passed(), folder)
    assert "+6.2% of 170,355" in page.sections["cost"]
    assert "exercises 1 of 2 lines" in page.sections["mutation"]
    assert "50.0 %" in page.sections["mutation"], "a part of the lines proves nothing of the whole"
    assert "for later" in page.sections["mutation"]


def test_the_timeline_lies_as_the_phases_did() -> None:
    results = sample.passed()
    for number, phase in enumerate(results.phases):
        phase.began, phase.seconds = 10.0 * number, 10.0
    bars = content.timeline(results)
    assert [round(bar.start) for bar in bars] == [0, 11, 22, 33, 44, 56, 67, 78, 89]
    assert all(round(bar.length) == 11 for bar in bars)


def test_the_player_is_the_package_s() -> None:
    for line in (PLAYER / "ORIGIN").read_text().splitlines()[2:]:
        wanted, name = line.split()
        assert hashlib.sha256((PLAYER / name).read_bytes()).hexdigest() == wanted


def rgb(picture: Path) -> set[tuple[int, ...]]:
    """The colours of a picture."""
    pixels = (image.imread(picture)[:, :, :3] * 255).round().astype(int)
    return {tuple(one) for one in pixels.reshape(-1, 3).tolist()}


def test_a_browser_draws_plots_and_replay(folder: Path) -> None:
    made(sample.passed(), folder)
    page = folder / "report.html"
    with browser.shown(page) as driver:
        said = driver.find_element("css selector", "#replay .ap-term-text").text
        assert said.startswith("root@server:~# ccs-pstree"), "the player shows the recording"
        assert "the-end" not in said
        driver.find_element("css selector", "#replay .ap-overlay-start").click()
        until(lambda: "the-end" in driver.find_element("css selector", "#replay").text, "it is played")
        bars = driver.find_elements("css selector", "#policy-memory .bar")
        assert all(bar.size["width"] > 0 for bar in bars)
        assert len(bars) > 1


def test_a_page_that_is_not_drawn_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "TIMEOUT_S", 5.0)
    made(sample.passed(), folder)
    page = folder / "report.html"
    page.write_text(page.read_text().replace("AsciinemaPlayer.create", "void"))
    with pytest.raises(InfrastructureError, match="not drawn after 5 s"), browser.shown(page):
        pass


def test_a_browser_shows_light_dark_and_a_phone(folder: Path, tmp_path: Path) -> None:
    made(sample.passed(), folder)
    colours = {
        view.name: rgb(browser.screenshot(folder / "report.html", tmp_path / f"{view.name}.png", view))
        for view in browser.VIEWS
    }
    light, dark, bar = (0xFB, 0xFB, 0xFA), (0x14, 0x17, 0x1A), (0x44, 0x77, 0xAA)
    assert {light, bar} <= colours["light"]
    assert dark not in colours["light"]
    assert dark in colours["dark"]
    assert light not in colours["dark"]
    assert {light, bar} <= colours["phone"]
