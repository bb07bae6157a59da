"""Findings: their parts and their text, and that every report shows the same text."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.report.finding import case_findings, case_lines, case_summary, findings
from swn_torture.report.html import render_html
from swn_torture.report.junit import render_junit
from swn_torture.report.model import CaseResult, Check
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from swn_torture.report.results import Results

MUST = "SWN-3.1.4.2-null-netname"
SHOULD = "RPC-STUB-extra-bytes"
CATALOGUE = load_catalogue()
CHECK = Check(MUST, passed=False, expected=("A (0x1)", "B (0x2)"), observed="C (0x3)", note="second call")


def case(*checks: Check, reason: str = "the reason", repro: str = "swn-torture run --case c") -> CaseResult:
    names = tuple(check.requirement for check in checks)
    return CaseResult("c", "title", "rpc", names, "MUST", "failed", reason, checks=checks, repro=repro)


def test_finding_has_the_rule_and_the_comparison() -> None:
    (found,) = case_findings(case(CHECK), CATALOGUE)
    row = CATALOGUE.requirements[MUST]
    assert (found.requirement, found.row) == (MUST, row)
    assert (found.text, found.level, found.cite) == (row.text, row.level, row.cite)
    assert (found.expected, found.observed, found.note) == (CHECK.expected, CHECK.observed, CHECK.note)
    assert (found.case, found.repro) == ("c", "swn-torture run --case c")
    assert found.lines() == [
        f"{row.cite} {row.level}: {row.text}",
        f"  requirement: {MUST}",
        "  expected: A (0x1) or B (0x2)",
        "  observed: C (0x3) (second call)",
    ]


def test_only_failed_checks_that_count_are_findings() -> None:
    checks = [
        Check(MUST, passed=True),
        Check(SHOULD, passed=False),
        Check("SWN-3.1.4.2-netname-case", passed=False),
        Check(MUST, passed=None),
        CHECK,
    ]
    assert [found.requirement for found in findings(checks, CATALOGUE)] == [SHOULD, MUST]


def test_finding_of_unknown_requirement_shows_its_id() -> None:
    (found,) = findings([Check("renamed", passed=False)], CATALOGUE)
    assert (found.row, found.text, found.level, found.cite) == (None, "", "", "")
    assert found.lines() == [
        "renamed",
        "  requirement: renamed",
        "  expected: not recorded",
        "  observed: not recorded",
    ]


def test_case_shows_all_findings_and_then_the_command() -> None:
    second = Check(SHOULD, passed=False, expected=("a fault",), observed="a response")
    lines = case_lines(case(CHECK, second), CATALOGUE)
    first, other = findings([CHECK, second], CATALOGUE)
    assert lines == [*first.lines(), *other.lines(), "  run again: swn-torture run --case c"]


def test_case_without_findings_shows_its_reason() -> None:
    lost = dataclasses.replace(case(reason="first line\nsecond line"), expected=("A", "B"), observed="C")
    assert case_lines(lost, CATALOGUE) == [
        "first line",
        "second line",
        "  expected: A or B",
        "  observed: C",
        "  run again: swn-torture run --case c",
    ]
    assert case_lines(case(reason="", repro=""), CATALOGUE) == ["failed"]


def test_summary_has_at_most_three_lines_of_limited_width() -> None:
    long = dataclasses.replace(CHECK, observed="x " * 500)
    rule, comparison, command = case_summary(case(long), CATALOGUE, 60)
    assert len(rule) <= 60
    assert len(comparison) <= 120
    assert command == "swn-torture run --case c"


@pytest.mark.parametrize("outcome", ["failed", "deviation"])
def test_junit_and_html_show_the_same_finding(many: Results, outcome: str) -> None:
    found = next(case for case in many.cases if case.outcome == outcome)
    run = many.with_cases([found])
    junit, html = render_junit(run), render_html(run)
    for line in case_lines(found, many.catalogue)[:-1]:
        assert line in junit
    (finding,) = case_findings(found, many.catalogue)
    for part in (finding.text, finding.requirement, finding.cite, *finding.expected, finding.observed):
        assert part.replace("'", "&#39;") in html
