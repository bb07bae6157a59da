"""Results as JUnit XML, in the dialect that pytest calls xunit2, for CI systems.

JUnit has four statuses for our five outcomes:

==============  ==========================================================================
failed          ``<failure type="violation">``
error           ``<error>``; never used for a violation
not-tested      ``<skipped>`` with the reason
deviation       passes; the property ``outcome`` and ``<system-out>`` show the deviation
passed          passes
==============  ==========================================================================

With a baseline, a case whose findings it explains is ``<skipped>`` with their causes. What differs from the
baseline in another way (a finding is fixed, a case is lost, a choice differs) is a ``<failure>`` in a suite
of its own, ``swn_torture.baseline``.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from swn_torture.report.finding import case_lines
from swn_torture.report.model import SUITES
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.report.comparison import Comparison
    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results


def legal(text: str) -> str:
    r"""The text with every character that XML does not allow, or that a reader cannot see, as an escape."""
    return visible(text, keep="\t\n\r")


def render_junit(results: Results) -> str:
    """The results as one XML document with a ``testsuite`` for each part of the suite."""
    root = ET.Element("testsuites", {"name": "swn-torture"})
    others = sorted({case.suite for case in results.cases} - set(SUITES))
    seen: Counter[str] = Counter()
    for suite in (*SUITES, *others):
        cases = [case for case in results.cases if case.suite == suite]
        if not cases:
            continue
        element = ET.SubElement(root, "testsuite", {"name": legal(f"swn_torture.{suite}")})
        element.set("time", f"{sum(case.duration_s for case in cases):.3f}")
        element.set("timestamp", results.run.started)
        properties = ET.SubElement(element, "properties")
        for name, value in _environment(results):
            _property(properties, name, value)
        for case in cases:
            seen[case.id] += 1
            element.append(_case(case, seen[case.id], results))
    if results.comparison is not None:
        root.append(_baseline(results.comparison))
    for element in (*root, root):
        _count(element)
    root.set("time", f"{results.run.duration_s:.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _count(element: ET.Element) -> None:
    """Set the numbers of tests, failures, errors and skipped tests of a suite or of all suites."""
    element.set("tests", str(len(list(element.iter("testcase")))))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(len(list(element.iter(tag)))))


def _environment(results: Results) -> Iterator[tuple[str, str]]:
    yield "target", results.target.name
    yield "controller", results.target.controller
    yield "specification", f"MS-SWN {results.catalogue.revision}"
    yield "swn-torture", results.version
    yield "complete", str(results.run.complete).lower()


def _case(case: CaseResult, occurrence: int, results: Results) -> ET.Element:
    # Readers drop the second of two equal names, so a case that ran twice gets a number at its second name.
    name = case.id if occurrence == 1 else f"{case.id} #{occurrence}"
    group = case.id.split("[", 1)[0].rpartition(".")[0] or case.suite
    element = ET.Element("testcase", classname=legal(f"swn_torture.{group}"), name=legal(name))
    element.set("time", f"{case.duration_s:.3f}")
    properties = ET.SubElement(element, "properties")
    _property(properties, "outcome", case.outcome)
    _property(properties, "level", case.level)
    for requirement in case.requirements:
        _property(properties, "requirement", requirement)
    for choice in case.choices:
        _property(properties, "choice", f"{choice.ambiguity}: {choice.observed}")
    detail = "\n".join([case.title, *case_lines(case, results.catalogue, results.blocked)])
    reason = legal(case.reason or case.observed or case.outcome)
    comparison = results.comparison
    causes = comparison.causes_of(case.id) if comparison else ()
    for cause in causes:
        _property(properties, "cause", cause.id)
    if comparison and comparison.explains(case.id):
        known = "; ".join(
            f"{cause.kind}: {cause.title} ({cause.id}) {cause.bug}".rstrip() for cause in causes
        )
        ET.SubElement(element, "skipped", type=causes[0].kind, message=legal(known))
        ET.SubElement(element, "system-out").text = legal(detail)
    elif case.outcome == "failed":
        ET.SubElement(element, "failure", type="violation", message=reason).text = legal(detail)
    elif case.outcome == "error":
        ET.SubElement(element, "error", type="error", message=reason).text = legal(detail)
    elif case.outcome == "not-tested":
        ET.SubElement(element, "skipped", type="not-tested", message=reason)
    elif case.outcome == "deviation":
        ET.SubElement(element, "system-out").text = legal(f"DEVIATION\n{detail}")
    return element


def _baseline(comparison: Comparison) -> ET.Element:
    """The suite of what differs from the baseline and is not the failure of a case."""
    suite = ET.Element("testsuite", name="swn_torture.baseline")
    shown = {"new", "changed", "required", "error"}
    others = [each for each in comparison.differences if comparison.fails(each) and each.kind not in shown]
    for number, each in enumerate(others, 1):
        name = f"{each.kind} {number}: {' '.join(filter(None, (each.case, each.requirement)))}"
        element = ET.SubElement(suite, "testcase", classname="swn_torture.baseline", name=legal(name))
        element.set("time", "0")
        lines = [f"the baseline {comparison.baseline} has: {text}" for text in each.pinned]
        lines += [f"this run shows: {each.observed}"] if each.observed else []
        lines += [each.reason] if each.reason else []
        ET.SubElement(element, "failure", type=each.kind, message=legal(name)).text = legal("\n".join(lines))
    return suite


def _property(parent: ET.Element, name: str, value: str) -> None:
    ET.SubElement(parent, "property", name=name, value=legal(value))
