"""JUnit XML as CI systems read it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.report.junit import legal, render_junit
from swn_torture.report.model import OUTCOMES, CaseResult, Choice

if TYPE_CHECKING:
    from swn_torture.report.results import Results


def parse(results: Results) -> ET.Element:
    return ET.fromstring(render_junit(results))


def by_outcome(results: Results, outcome: str) -> CaseResult:
    return next(case for case in results.cases if case.outcome == outcome)


def element_of(results: Results, case: CaseResult) -> ET.Element:
    return next(e for e in parse(results).iter("testcase") if e.get("name") == case.id)


@pytest.mark.parametrize(
    ("outcome", "children"),
    [
        ("passed", ["properties"]),
        ("failed", ["properties", "failure"]),
        ("error", ["properties", "error"]),
        ("not-tested", ["properties", "skipped"]),
        ("deviation", ["properties", "system-out"]),
    ],
)
def test_each_outcome_has_its_status(many: Results, outcome: str, children: list[str]) -> None:
    element = element_of(many, by_outcome(many, outcome))
    assert [child.tag for child in element] == children


def test_counts_match_the_elements(many: Results) -> None:
    root = parse(many)
    assert [suite.get("name") for suite in root] == [
        "swn_torture.ndr",
        "swn_torture.rpc",
        "swn_torture.cluster",
    ]
    for part in (root, *root):
        counts = {name: int(part.get(name, "")) for name in ("tests", "failures", "errors", "skipped")}
        assert counts == {
            "tests": len(list(part.iter("testcase"))),
            "failures": len(list(part.iter("failure"))),
            "errors": len(list(part.iter("error"))),
            "skipped": len(list(part.iter("skipped"))),
        }
    assert int(root.get("tests", "")) == len(many.cases)


def test_names_are_unique_even_when_a_case_ran_twice(few: Results) -> None:
    twice = few.with_cases([*few.cases, few.cases[0]])
    names = [element.get("name") for element in parse(twice).iter("testcase")]
    assert len(set(names)) == len(names) == len(few.cases) + 1


def test_requirements_level_and_choices_are_properties(few: Results) -> None:
    case = dataclasses.replace(
        few.cases[0], choices=(Choice("AMB-1", "ERROR_NOT_FOUND (0x490)", few.cases[0].id),)
    )
    element = element_of(few.with_cases([case]), case)
    properties = [(p.get("name"), p.get("value")) for p in element.iter("property")]
    assert ("outcome", case.outcome) in properties
    assert ("choice", "AMB-1: ERROR_NOT_FOUND (0x490)") in properties
    assert [value for name, value in properties if name == "requirement"] == list(case.requirements)


def test_failure_text_has_rule_comparison_and_command(many: Results) -> None:
    case = by_outcome(many, "failed")
    failure = element_of(many, case).find("failure")
    assert failure is not None
    text = failure.text or ""
    assert failure.get("message") == case.reason
    for part in (case.title, "MS-", "expected: ERROR_INVALID_STATE (0x139F) or ", case.observed, case.repro):
        assert part in text


def test_reason_for_not_testing_is_the_message(many: Results) -> None:
    case = by_outcome(many, "not-tested")
    skipped = element_of(many, case).find("skipped")
    assert skipped is not None
    assert skipped.get("message") == case.reason


@given(st.text(st.characters()))
def test_any_text_becomes_valid_xml(text: str) -> None:
    element = ET.Element("x", value=legal(text))
    element.text = legal(text)
    ET.fromstring(ET.tostring(element, encoding="unicode").encode())


def test_characters_illegal_in_xml_are_escaped(few: Results) -> None:
    assert legal("a\x00b\x1b\ud800\uffff ü \U0001f600") == "a\\x00b\\x1b\\ud800\\uffff ü \U0001f600"
    case = dataclasses.replace(
        by_outcome(few, "failed"), reason="name \x00\ud800", id="x\x07[\x0c]", title="\x01"
    )
    parse(few.with_cases([case]))


def test_a_run_without_cases_is_well_formed(few: Results) -> None:
    root = parse(few.with_cases([]))
    assert (root.get("tests"), len(root)) == ("0", 0)


def test_the_sample_has_every_outcome(many: Results, few: Results) -> None:
    for results in (many, few):
        assert {case.outcome for case in results.cases} == set(OUTCOMES)
