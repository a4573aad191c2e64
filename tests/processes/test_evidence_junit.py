# SPDX-License-Identifier: GPL-2.0-only
"""junit.xml is what CI systems take: legal XML, counts that sum up, a message a person understands."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import evidence_sample as sample
from hypothesis import given
from hypothesis import strategies as st

from ccslab.evidence.junit import build, write_junit
from ccslab.evidence.text import visible
from ccslab.labs.attacking import Outcome
from ccslab.results import Check, Results, reason

KINDS = {"failures": "failure", "errors": "error", "skipped": "skipped"}
BROKEN_TEST = """\
import pytest
def test_good(): assert True
def test_bad(): assert "seen" == "wanted\\x1b[31m", "profile is not 3"
@pytest.fixture
def gone():
    yield
    raise OSError("teardown")
def test_bad_twice(gone): assert 1 == 2
@pytest.mark.skip(reason="needs a patch")
def test_skipped(): pass
"""


def read(results: Results, folder: Path) -> ET.Element:
    """The file as a reader finds it, its sums checked."""
    root = ET.parse(write_junit(results, folder)).getroot()
    assert root.tag == "testsuites"
    suites = root.findall("testsuite")
    assert len(suites) == len(root)
    for element in (root, *suites):
        cases = list(element.iter("testcase"))
        assert int(element.get("tests", "")) == len(cases)
        for attribute, tag in KINDS.items():
            assert int(element.get(attribute, "")) == sum(case.find(tag) is not None for case in cases)
        assert float(element.get("time", "")) >= 0
    for case in root.iter("testcase"):
        assert case.get("name")
        assert case.get("classname")
        assert float(case.get("time", "")) >= 0
        assert len(case) <= 1
        assert all(child.tag in KINDS.values() and child.get("message") for child in case)
    assert abs(sum(float(suite.get("time", "")) for suite in suites) - float(root.get("time", ""))) < 0.01
    return root


def case_of(root: ET.Element, name: str) -> ET.Element:
    """The one case of that name."""
    (found,) = [case for case in root.iter("testcase") if case.get("name") == name]
    return found


def test_a_suite_a_phase_and_a_case_a_check_and_attack(tmp_path: Path) -> None:
    root = read(sample.passed(), tmp_path)
    assert [suite.get("name") for suite in root] == [f"sample-lab.{phase}" for phase in sample.PHASES]
    attacked = root.find("testsuite[@name='sample-lab.attacked']")
    assert attacked is not None
    assert [case.get("name") for case in attacked] == ["shadow", "injection"]
    assert case_of(root, "the kernel is protected").get("time") == "0.250"
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "0", "0")


def test_failures_say_what_a_person_needs(tmp_path: Path) -> None:
    root = read(sample.failed(), tmp_path)
    assert root.get("failures") == "2"
    failure = case_of(root, "injection").find("failure")
    assert failure is not None
    message = failure.get("message", "")
    assert message.endswith("the attacker got it although the policy is enforced, HTTP 403 (wanted: denied)")
    assert "file read /etc/shadow" in (failure.text or "")
    failure = case_of(root, "the PIDs are unchanged").find("failure")
    assert failure is not None
    assert failure.get("message") == "[red]812[/red] became 901"


def test_a_broken_run_is_an_error_and_untried_attacks_are_no_failures(tmp_path: Path) -> None:
    root = read(sample.broken(), tmp_path)
    error = case_of(root, "the run comes to its end").find("error")
    assert error is not None
    assert "the guest panicked" in error.get("message", "")
    assert (root.get("errors"), root.get("failures"), root.get("skipped")) == ("1", "0", "2")


def test_an_attack_that_went_wrong_is_a_failure_also_in_a_broken_run(tmp_path: Path) -> None:
    results = sample.broken()
    sample.set_outcome(results, 0, "disabled", Outcome.FAILED)
    root = read(results, tmp_path)
    assert case_of(root, "shadow").find("failure") is not None


def test_an_untried_attack_fails_a_finished_run(tmp_path: Path) -> None:
    results = sample.passed()
    del sample.rows(results)[0].cells["permissive"]
    failure = case_of(read(results, tmp_path), "shadow").find("failure")
    assert failure is not None
    assert "permissive: it was not tried" in failure.get("message", "")


def test_a_row_that_is_right_has_no_reason() -> None:
    assert reason(sample.attacks(), sample.attack("a", "b")) == ""
    wrong = sample.attack("a", "b", permissive=Outcome.UNLOGGED)
    assert reason(sample.attacks(), wrong) == (
        "permissive: it succeeded and nothing was logged (wanted: logged)"
    )


def test_what_is_not_judged_is_shown_and_no_failure(tmp_path: Path) -> None:
    results = sample.passed()
    results.grids[0].judged = False
    sample.set_outcome(results, 1, "enforcing", Outcome.UNDENIED)
    root = read(results, tmp_path)
    skipped = case_of(root, "injection").find("skipped")
    assert skipped is not None
    assert "although the policy is enforced" in skipped.get("message", "")
    assert (root.get("failures"), root.get("skipped")) == ("0", "1")
    assert results.verdict == "passed"


def test_a_grid_of_a_phase_that_was_not_reached_has_its_suite(tmp_path: Path) -> None:
    results = sample.broken()
    assert "attacked" not in [phase.name for phase in results.phases]
    suite = read(results, tmp_path).find("testsuite[@name='sample-lab.attacked']")
    assert suite is not None
    assert [case.get("name") for case in suite] == ["shadow", "injection"]


def test_checks_of_one_name_stay_two(tmp_path: Path) -> None:
    results = sample.passed()
    results.checks += [Check("tuned", "read back", True), Check("tuned", "read back", False)]
    root = read(results, tmp_path)
    assert case_of(root, "read back").find("failure") is None
    failure = case_of(root, "read back (2)").find("failure")
    assert failure is not None
    assert failure.get("message") == "read back: did not hold"


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_makes_legal_xml(name: str, detail: str) -> None:
    results = sample.passed()
    results.lab = name
    results.checks.append(Check("boot", f"check {name}", False, detail))
    text = ET.tostring(build(results, Path("none")), encoding="utf-8")
    found = [case.get("name", "") for case in ET.fromstring(text).iter("testcase")]
    assert any(one.startswith("check") for one in found)


def test_control_characters_are_spelled_out() -> None:
    assert visible("a\x1b[31m\x00\x9b\ud800\tb\nc\r") == "a\\x1b[31m\\x00\\x9b\\ud800\tb\nc\\r"


def test_what_pytest_leaves_is_merged(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(BROKEN_TEST)
    report = tmp_path / "testinfra" / "enforcing.xml"
    report.parent.mkdir()
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    ended = subprocess.run(
        [*argv, "--rootdir", tmp_path, f"--junitxml={report}", tmp_path / "test_it.py"],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout
    root = read(sample.passed(), tmp_path)
    suite = root.find("testsuite[@name='testinfra.enforcing']")
    assert suite is not None
    # pytest counts the error in teardown as a fifth test; it is told with its case here.
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        ("4", "2", "0", "1") if len(suite) == 4 else ("5", "2", "1", "1")
    )
    failure = case_of(root, "test_bad").find("failure")
    assert failure is not None
    assert "profile is not 3" in failure.get("message", "")
    assert case_of(root, "test_good").find("failure") is None
    assert root.get("tests") == str(5 + len(suite))


def test_a_report_that_pytest_did_not_finish_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "testinfra").mkdir()
    (tmp_path / "testinfra" / "broken.xml").write_text("<testsuites><testsuite name='a'>")
    (tmp_path / "testinfra" / "empty.xml").write_text(
        "<testsuites><testsuite name='a' tests='0'/></testsuites>"
    )
    (tmp_path / "testinfra" / "ended.xml").write_text(
        "<testsuites><testsuite><testcase time='0.1' name='test_it'/><testcase/></testsuite></testsuites>"
    )
    root = read(sample.passed(), tmp_path)
    assert root.get("errors") == "3"
    errors = [error.get("message", "") for error in root.iter("error")]
    assert errors[0].startswith("broken.xml is malformed")
    assert errors[1] == "empty.xml holds no test"
    assert errors[2] == "pytest ended before it"
