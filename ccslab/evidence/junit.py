# SPDX-License-Identifier: GPL-2.0-only
"""``junit.xml``: the run as CI systems read it, with the files of pytest-testinfra merged in.

The form is what Jenkins' and GitLab's readers take in common: ``testsuites`` with counts that sum up, a
``testsuite`` a phase, a ``testcase`` a check or a row of a grid, with at most one ``failure``, ``error`` or
``skipped``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from ccslab.evidence.text import one_line, visible, write
from ccslab.results import Grid, Results, Row, reason

JUNIT = "junit.xml"
TESTINFRA = "testinfra"
_BAD = ("failure", "error", "skipped")


def write_junit(results: Results, folder: Path) -> Path:
    """Write ``junit.xml`` of a run, with ``testinfra/*.xml`` of its folder merged; returns its path.

    :raises InfrastructureError: the disk is full or the folder cannot be written.
    """
    tree = build(results, folder)
    ET.indent(tree)
    content = ET.tostring(tree, encoding="utf-8", xml_declaration=True)
    return write(folder / JUNIT, content + b"\n")


def build(results: Results, folder: Path) -> ET.Element:
    """The document's root element."""
    root = ET.Element("testsuites", name=visible(f"ccs-lab {results.lab}"))
    spent = {phase.name: phase.seconds for phase in results.phases}
    of_grids = [grid.phase for grid in results.grids]
    for phase in dict.fromkeys((*spent, *(check.phase for check in results.checks), *of_grids)):
        suite = _phase_suite(results, phase, folder)
        if phase in spent or len(suite):
            suite.set("time", f"{spent.get(phase, 0.0):.3f}")
            root.append(suite)
    if not results.finished:
        suite = ET.SubElement(root, "testsuite", name=visible(f"{results.lab}.run"))
        case = add_case(suite, "the run comes to its end", 0.0)
        mark(case, "error", results.error or "the run ended before its last phase")
    for path in sorted((folder / TESTINFRA).glob("*.xml")):
        root.extend(_merged(path))
    return count_all(root)


def count_all(root: ET.Element) -> ET.Element:
    """Give twins of one suite names of their own, and set counts and times that sum up; returns the root."""
    for suite in root:
        _number_twins(suite)
        _count(suite, [suite])
        if "time" not in suite.attrib:
            suite.set("time", f"{sum(float(case.get('time', 0)) for case in suite):.3f}")
    _count(root, list(root))
    root.set("time", f"{sum(float(suite.get('time', 0)) for suite in root):.3f}")
    return root


def _phase_suite(results: Results, phase: str, folder: Path) -> ET.Element:
    suite = ET.Element("testsuite", name=visible(f"{results.lab}.{phase}"))
    for check in results.checks:
        if check.phase == phase:
            case = add_case(suite, check.name, check.seconds)
            if not check.passed:
                message = check.detail or f"{check.name}: did not hold"
                mark(case, "failure", message, _evidence(folder, check.evidence))
    for grid in results.grids:
        if grid.phase == phase:
            for row in grid.rows:
                _row_case(suite, grid, row, finished=results.finished)
    return suite


def _evidence(folder: Path, name: str) -> str:
    """What the run kept of a failure, to be read where the failure is."""
    try:
        return (folder / name).read_text(errors="replace") if name else ""
    except OSError as error:
        return f"{name}: {error.strerror}"


def _row_case(suite: ET.Element, grid: Grid, row: Row, *, finished: bool) -> None:
    case = add_case(suite, row.name, 0.0)
    if grid.right(row):
        return
    message = f"{row.title}: {reason(grid, row)}"
    if not grid.judged or (not finished and all(cell.right for cell in row.cells.values())):
        # Nothing went wrong with it so far; the run's own error is what makes the file red.
        mark(case, "skipped", message)
        return
    records = [f"{column}: {record}" for column, cell in row.cells.items() for record in cell.records]
    mark(case, "failure", message, "\n".join(records or ["no audit records"]))


def add_case(suite: ET.Element, name: str, seconds: float) -> ET.Element:
    """A test case in a suite, passed so far."""
    return ET.SubElement(
        suite, "testcase", classname=suite.get("name", ""), name=one_line(name), time=f"{seconds:.3f}"
    )


def mark(case: ET.Element, kind: str, message: str, text: str = "") -> None:
    """Make a case a ``failure``, an ``error`` or ``skipped``."""
    ET.SubElement(case, kind, message=one_line(message)).text = visible(text or message)


def _merged(path: Path) -> Iterator[ET.Element]:
    """The suites of a file that pytest left, each by itself; a suite with one error if it is broken."""
    name = f"{TESTINFRA}.{visible(path.stem)}"
    try:
        root = ET.parse(path).getroot()  # noqa: S314 (our own pytest wrote it)
        suites = [suite for suite in root.iter("testsuite") if suite.find("testcase") is not None]
    except (ET.ParseError, OSError) as error:
        suite = ET.Element("testsuite", name=name)
        mark(add_case(suite, "pytest leaves its report", 0.0), "error", f"{path.name} is malformed: {error}")
        yield suite
        return
    if not suites:
        suite = ET.Element("testsuite", name=name)
        mark(add_case(suite, "pytest runs tests", 0.0), "error", f"{path.name} holds no test")
        yield suite
    for found in suites:
        kept = {key: visible(value) for key, value in found.attrib.items() if key == "timestamp"}
        suite = ET.Element("testsuite", {"name": name, **kept})
        for given in found.findall("testcase"):
            if given.get("name"):
                _copy_case(suite, given)
            else:  # pytest ended in the middle of it
                mark(add_case(suite, "the test comes to its end", 0.0), "error", "pytest ended before it")
        yield suite


def _copy_case(suite: ET.Element, given: ET.Element) -> None:
    """A case of pytest's; of several outcomes (failed, then an error in teardown) the first counts."""
    case = add_case(suite, given.get("name", ""), _seconds(given.get("time", "")))
    case.set("classname", visible(given.get("classname", "") or suite.get("name", "")))
    marks = [child for child in given if child.tag in _BAD]
    for first in marks[:1]:
        text = "\n".join(one.text or one.get("message") or one.tag for one in marks)
        mark(case, first.tag, first.get("message") or first.get("type") or first.tag, text)


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text.replace(",", "")))
    except ValueError:
        return 0.0


def _number_twins(suite: ET.Element) -> None:
    """Readers take cases of one class and name for one case; number the second and the later ones."""
    seen: dict[tuple[str, str], int] = {}
    for case in suite.iter("testcase"):
        key = case.get("classname", ""), case.get("name", "")
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            case.set("name", f"{key[1]} ({seen[key]})")


def _count(element: ET.Element, suites: list[ET.Element]) -> None:
    cases = [case for suite in suites for case in suite.findall("testcase")]
    element.set("tests", str(len(cases)))
    for kind, attribute in zip(_BAD, ("failures", "errors", "skipped"), strict=True):
        element.set(attribute, str(sum(case.find(kind) is not None for case in cases)))
