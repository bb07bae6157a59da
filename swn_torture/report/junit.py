"""Results as JUnit XML, in the dialect that pytest calls xunit2, for CI systems.

JUnit has four statuses for our five outcomes:

==============  ==========================================================================
failed          ``<failure type="violation">``
error           ``<error>``; never used for a violation
not-tested      ``<skipped>`` with the reason
deviation       passes; the property ``outcome`` and ``<system-out>`` show the deviation
passed          passes
==============  ==========================================================================
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from swn_torture.report.finding import case_lines
from swn_torture.report.model import SUITES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results
    from swn_torture.spec import Catalogue

# What XML 1.0 does not allow, not even as a character reference (production 2, Char).
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    r"""The text with every character that XML does not allow written as an escape: ``\x00``, ``\ud800``."""
    return _ILLEGAL.sub(lambda found: _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def render_junit(results: Results) -> str:
    """The results as one XML document with a ``testsuite`` for each part of the suite."""
    root = ET.Element("testsuites", {"name": "swn-torture", **_counts(results.cases)})
    root.set("time", f"{results.run.duration_s:.3f}")
    others = sorted({case.suite for case in results.cases} - set(SUITES))
    seen: Counter[str] = Counter()
    for suite in (*SUITES, *others):
        cases = [case for case in results.cases if case.suite == suite]
        if not cases:
            continue
        element = ET.SubElement(root, "testsuite", {"name": legal(f"swn_torture.{suite}"), **_counts(cases)})
        element.set("time", f"{sum(case.duration_s for case in cases):.3f}")
        element.set("timestamp", results.run.started)
        properties = ET.SubElement(element, "properties")
        for name, value in _environment(results):
            _property(properties, name, value)
        for case in cases:
            seen[case.id] += 1
            element.append(_case(case, seen[case.id], results.catalogue))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _counts(cases: Sequence[CaseResult]) -> dict[str, str]:
    outcomes = Counter(case.outcome for case in cases)
    return {
        "tests": str(len(cases)),
        "failures": str(outcomes["failed"]),
        "errors": str(outcomes["error"]),
        "skipped": str(outcomes["not-tested"]),
    }


def _environment(results: Results) -> Iterator[tuple[str, str]]:
    yield "target", results.target.name
    yield "controller", results.target.controller
    yield "specification", f"MS-SWN {results.catalogue.revision}"
    yield "swn-torture", results.version
    yield "complete", str(results.run.complete).lower()


def _case(case: CaseResult, occurrence: int, catalogue: Catalogue) -> ET.Element:
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
    detail = "\n".join([case.title, *case_lines(case, catalogue)])
    reason = legal(case.reason or case.observed or case.outcome)
    if case.outcome == "failed":
        ET.SubElement(element, "failure", type="violation", message=reason).text = legal(detail)
    elif case.outcome == "error":
        ET.SubElement(element, "error", type="error", message=reason).text = legal(detail)
    elif case.outcome == "not-tested":
        ET.SubElement(element, "skipped", type="not-tested", message=reason)
    elif case.outcome == "deviation":
        ET.SubElement(element, "system-out").text = legal(f"DEVIATION\n{detail}")
    return element


def _property(parent: ET.Element, name: str, value: str) -> None:
    ET.SubElement(parent, "property", name=name, value=legal(value))
