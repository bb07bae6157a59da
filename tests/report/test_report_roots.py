"""One root is one finding: knock-on failures become not tested, and no violation vanishes."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest

from swn_torture.report.finding import case_findings, case_lines
from swn_torture.report.html import render_html
from swn_torture.report.journal import Journal, read_journal
from swn_torture.report.json_report import render_json, results_schema
from swn_torture.report.junit import render_junit
from swn_torture.report.model import CaseOutcome, CaseResult, Check, Run, TargetInfo
from swn_torture.report.results import Results
from swn_torture.report.roots import PREFLIGHT, without_knock_on
from swn_torture.report.text import summary_lines
from swn_torture.report.verdict import decide_outcome, strictest
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from pathlib import Path

CATALOGUE = load_catalogue()
LIST = "SWN-3.1.4.1-returns-success"
REGISTER = "SWN-3.1.4.2-returns-success"
NULL_NAME = "SWN-3.1.4.2-null-netname"
VERSION = "SWN-3.1.4.2-version-mismatch"
SHOULD = "SWN-3.1.6.1-queues-change"

RUN, TARGET = Run("2026-01-01T00:00:00+00:00"), TargetInfo("t")


def passed(requirement: str) -> Check:
    return Check(requirement, passed=True, expected=("x",), observed="x")


def failed(requirement: str) -> Check:
    return Check(requirement, passed=False, expected=("x",), observed="y")


def relied_on(requirement: str) -> Check:
    return Check(requirement, passed=False, expected=("x",), observed="z", precondition=True)


def case(id_: str, *checks: Check, names: tuple[str, ...] = (), error: str | None = None) -> CaseResult:
    """A case as it ended: its outcome follows from its checks."""
    outcome, reason = decide_outcome(checks, CATALOGUE, error=error)
    requirements = names or tuple(check.requirement for check in checks if not check.precondition)
    first = next((check for check in checks if check.passed is False), None)
    return CaseResult(
        f"rpc.register.{id_}", "title", "rpc", requirements, strictest(requirements, CATALOGUE),
        outcome, reason, first.expected if first else (), first.observed if first else "", checks,
        repro=f"swn-torture run --case {id_}",
    )  # fmt: skip


def decided(*cases: CaseResult) -> dict[str, CaseResult]:
    """The cases after the decision, by the last part of their id."""
    return {each.id.rpartition(".")[2]: each for each in without_knock_on(cases, CATALOGUE)}


def outcomes(*cases: CaseResult) -> dict[str, CaseOutcome]:
    return {name: each.outcome for name, each in decided(*cases).items()}


ABOUT = case("list", failed(LIST))
RELYING = [case(name, relied_on(LIST), names=(NULL_NAME,)) for name in ("a", "b", "z")]


def test_what_needs_the_missing_thing_is_not_tested() -> None:
    after = decided(RELYING[0], ABOUT, *RELYING[1:])

    assert after["list"] == ABOUT
    for name in ("a", "b", "z"):
        blocked = after[name]
        assert (blocked.outcome, blocked.because) == ("not-tested", LIST)
        assert blocked.reason == f"not tested because of {LIST} (see rpc.register.list)"
        assert blocked.found_by == "rpc.register.list"
        assert blocked.checks == (relied_on(LIST),), "the evidence is kept"


def test_without_a_case_about_it_the_first_one_keeps_the_finding() -> None:
    after = decided(*reversed(RELYING))

    assert after["a"] == RELYING[0]
    assert {after[name].found_by for name in ("b", "z")} == {"rpc.register.a"}
    assert {after[name].outcome for name in ("b", "z")} == {"not-tested"}


def test_a_case_with_a_finding_of_its_own_stays_failed() -> None:
    own = case("own", failed(NULL_NAME), relied_on(LIST))
    assert decided(ABOUT, own)["own"] == own


def test_a_case_about_it_that_passes_takes_no_finding() -> None:
    assert outcomes(case("list", passed(LIST)), *RELYING[:2]) == {
        "list": "passed",
        "a": "failed",
        "b": "not-tested",
    }


def test_each_root_is_a_finding() -> None:
    cases = [*RELYING[:2], *(case(name, relied_on(REGISTER), names=(VERSION,)) for name in ("c", "d"))]
    assert outcomes(*cases) == {"a": "failed", "b": "not-tested", "c": "failed", "d": "not-tested"}


def test_the_first_failed_precondition_is_the_root() -> None:
    both = case("both", passed(VERSION), relied_on(REGISTER), relied_on(LIST), names=(VERSION,))
    after = decided(ABOUT, case("register", failed(REGISTER)), both)
    assert after["both"].because == REGISTER


def test_a_second_failed_precondition_is_not_lost() -> None:
    both = case("both", relied_on(LIST), relied_on(REGISTER), names=(VERSION,))
    later = case("later", relied_on(REGISTER), names=(VERSION,))

    assert outcomes(ABOUT, both, later) == {"list": "failed", "both": "failed", "later": "not-tested"}
    assert outcomes(ABOUT, case("register", failed(REGISTER)), both)["both"] == "not-tested"


def test_a_should_that_others_rely_on_is_one_deviation() -> None:
    cases = [case(name, relied_on(SHOULD), names=(NULL_NAME,)) for name in ("a", "b")]
    assert outcomes(*cases) == {"a": "deviation", "b": "not-tested"}


def test_errors_and_other_reasons_stay() -> None:
    broken = case("error", relied_on(LIST), names=(NULL_NAME,), error="no answer")
    skipped = dataclasses.replace(
        case("skipped", names=(NULL_NAME,)), outcome="not-tested", reason="no share"
    )
    after = decided(ABOUT, broken, skipped)
    assert (after["error"], after["skipped"]) == (broken, skipped)


def test_a_case_that_did_not_wait_gets_the_finding_too() -> None:
    early = case("early", names=(NULL_NAME,))
    early = dataclasses.replace(early, outcome="not-tested", reason="no answer to a and b", because=LIST)
    assert decided(early)["early"] == early
    after = decided(early, *RELYING)["early"]
    assert (after.found_by, after.reason) == (
        "rpc.register.a",
        f"not tested because of {LIST} (see rpc.register.a)",
    )


def explained(requirement: str, because: str) -> Check:
    return dataclasses.replace(failed(requirement), because=because)


def test_a_check_that_an_ordinary_call_explains_is_recorded() -> None:
    like = case("like", passed(VERSION), explained(NULL_NAME, LIST), relied_on(LIST))
    after = decided(ABOUT, like)["like"]

    assert (after.outcome, after.because) == ("not-tested", LIST)
    assert [check.passed for check in after.checks] == [True, None, False]


def test_an_explained_check_does_not_hide_another_finding() -> None:
    mixed = case("mixed", explained(NULL_NAME, LIST), relied_on(LIST), failed(VERSION))
    after = decided(ABOUT, mixed)["mixed"]

    assert (after.outcome, after.because) == ("failed", "")
    assert (after.expected, after.observed) == (("x",), "z")
    assert CATALOGUE.requirements[VERSION].text in after.reason
    assert CATALOGUE.requirements[NULL_NAME].text not in after.reason


def test_the_first_explained_case_keeps_the_root_only() -> None:
    after = decided(*(case(name, explained(NULL_NAME, LIST), relied_on(LIST)) for name in ("a", "b")))
    assert after["a"].outcome == "failed"
    assert after["a"].reason.startswith(CATALOGUE.requirements[LIST].text)
    assert after["b"].outcome == "not-tested"


def mixed_cases() -> list[CaseResult]:
    return [
        ABOUT,
        *RELYING,
        case("own", failed(NULL_NAME), relied_on(LIST)),
        case("c", relied_on(REGISTER), names=(VERSION,)),
        case("like", explained(NULL_NAME, LIST), relied_on(LIST)),
        case("good", passed(NULL_NAME)),
    ]


def test_the_order_of_the_cases_does_not_matter() -> None:
    expected = decided(*mixed_cases())
    for cases in itertools.islice(itertools.permutations(mixed_cases()), 0, 40_320, 97):
        assert decided(*cases) == expected


def test_the_decision_is_final() -> None:
    once = without_knock_on(mixed_cases(), CATALOGUE)
    assert without_knock_on(once, CATALOGUE) == once


# Verdicts and reports
# ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def results() -> Results:
    return Results.of_run(RUN, TARGET, mixed_cases(), CATALOGUE)


def test_what_only_blocked_cases_would_judge_is_not_tested() -> None:
    cases = [ABOUT, case("b", passed(VERSION), relied_on(LIST), names=(VERSION, NULL_NAME))]
    rows = {row.id: row for row in Results.of_run(RUN, TARGET, cases, CATALOGUE).requirements}

    assert rows[NULL_NAME].verdict == "not-tested"
    assert rows[VERSION].verdict == "conforms"
    assert rows[LIST].verdict == "violated"
    assert (rows[LIST].cases, rows[LIST].failing) == (("rpc.register.list",), ("rpc.register.list",))
    assert rows[LIST].blocked == ("rpc.register.b",)


def test_what_an_ordinary_call_explains_is_not_tested() -> None:
    cases = [ABOUT, case("like", explained(NULL_NAME, LIST), relied_on(LIST))]
    rows = {row.id: row for row in Results.of_run(RUN, TARGET, cases, CATALOGUE).requirements}
    assert rows[NULL_NAME].verdict == "not-tested"


def test_the_exit_code_is_that_of_a_violation(results: Results) -> None:
    assert results.summary.exit_code == 1
    assert results.summary.cases == {"passed": 1, "failed": 3, "deviation": 0, "not-tested": 4, "error": 0}


def test_a_blocked_case_has_no_finding(results: Results) -> None:
    (blocked, *_) = [each for each in results.cases if each.because]
    assert case_findings(blocked, CATALOGUE) == []
    assert case_lines(blocked, CATALOGUE)[0] == f"not tested because of {LIST} (see rpc.register.list)"


def test_the_terminal_counts_them_under_the_finding(results: Results) -> None:
    lines = summary_lines(results)
    at = lines.index("FAILED rpc.register.list")
    assert lines[at + 3 : at + 5] == [
        "  4 cases were not tested because of this.",
        "  swn-torture run --case list",
    ]
    assert sum("not tested because of this" in line for line in lines) == 1


def test_the_terminal_counts_them_under_a_deviation() -> None:
    cases = [case(name, relied_on(SHOULD), names=(NULL_NAME,)) for name in ("a", "b")]
    lines = summary_lines(Results.of_run(RUN, TARGET, cases, CATALOGUE))
    at = lines.index("DEVIATION rpc.register.a")
    assert lines[at + 2] == "  1 case was not tested because of this."


def test_the_json_results_name_finding_and_blocked_cases(results: Results) -> None:
    document = json.loads(render_json(results))
    jsonschema_rs.validate(results_schema(), document)

    blocked = [each for each in document["cases"] if each["because"]]
    assert {(each["because"], each["found_by"]) for each in blocked} == {(LIST, "rpc.register.list")}
    row = next(row for row in document["requirements"] if row["id"] == LIST)
    assert row["blocked"] == [each["id"] for each in blocked]
    assert Results.from_json(document, CATALOGUE).cases == results.cases


def test_junit_counts_them_in_the_failure(results: Results) -> None:
    root = ET.fromstring(render_junit(results))
    cases = {element.get("name"): element for element in root.iter("testcase")}
    failure = cases["rpc.register.list"].find("failure")
    assert failure is not None
    assert "4 cases were not tested because of this." in str(failure.text)
    skipped = cases["rpc.register.a"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == f"not tested because of {LIST} (see rpc.register.list)"


def test_the_page_links_finding_and_blocked_cases(results: Results) -> None:
    page = render_html(results)
    assert page.count("4 cases were not tested because of this.") == 1
    assert "4 not tested because of this</small>" in page
    assert page.count("rpc.register.list</a> reports it.") == 1


def test_the_journal_keeps_what_the_cases_found_themselves(tmp_path: Path, results: Results) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, RUN, TARGET, CATALOGUE) as journal:
        for each in mixed_cases():
            journal.add(each)
        journal.finish(RUN)

    written = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["case"]["outcome"] for line in written if "case" in line].count("failed") == 7
    assert read_journal(path, CATALOGUE).cases == results.cases


# Rules of the wire
# ----------------------------------------------------------------------------------------------------------

WIRE, HINT = "RPC-PDU-version", "RPC-PDU-alloc-hint"


def of_the_wire(requirement: str, *, about: bool = False) -> Check:
    return dataclasses.replace(relied_on(requirement), precondition=not about, invariant=True)


def test_a_rule_of_the_wire_is_reported_by_the_case_about_it() -> None:
    before = [
        case("a", passed(REGISTER), of_the_wire(WIRE)),
        case("b", of_the_wire(WIRE, about=True)),
        case("c", passed(NULL_NAME), of_the_wire(WIRE), of_the_wire(HINT)),
    ]
    after = without_knock_on(before, CATALOGUE)

    assert [each.outcome for each in before] == ["failed", "failed", "failed"]
    assert [each.outcome for each in after] == ["passed", "failed", "deviation"]
    assert [check.passed for check in after[0].checks] == [True, None]
    assert without_knock_on(after, CATALOGUE) == after
    assert without_knock_on(before[::-1], CATALOGUE) == after[::-1]


def test_a_rule_of_the_wire_without_its_case_is_reported_by_the_first() -> None:
    before = [case(name, passed(REGISTER), of_the_wire(WIRE)) for name in ("b", "a", "c")]
    after = without_knock_on(before, CATALOGUE)

    assert [(each.id, each.outcome) for each in after] == [
        ("rpc.register.b", "passed"),
        ("rpc.register.a", "failed"),
        ("rpc.register.c", "passed"),
    ]
    assert [each.found_by for each in after] == ["", "", ""]


def test_other_findings_of_a_case_remain_without_its_rule_of_the_wire() -> None:
    after = without_knock_on(
        [
            case("a", failed(NULL_NAME), of_the_wire(WIRE)),
            case("b", of_the_wire(WIRE, about=True)),
            case("c", relied_on(LIST), of_the_wire(WIRE)),
            case("d", failed(LIST)),
        ],
        CATALOGUE,
    )

    assert [each.outcome for each in after] == ["failed", "failed", "not-tested", "failed"]
    assert [check.requirement for check in after[0].checks if check.passed is False] == [NULL_NAME]
    assert after[2].because == LIST


# Findings of the preflight
# ----------------------------------------------------------------------------------------------------------


def early(requirement: str) -> CaseResult:
    """What the preflight found."""
    found = case("early", failed(requirement))
    return dataclasses.replace(found, id=f"{PREFLIGHT}[{requirement}]")


def test_finding_of_the_preflight_blocks_the_cases_that_rely_on_it() -> None:
    found = without_knock_on([*RELYING, early(LIST)], CATALOGUE)

    assert [each.outcome for each in found] == ["not-tested", "not-tested", "not-tested", "failed"]
    assert {each.found_by for each in found[:3]} == {found[3].id}


def test_case_about_a_requirement_replaces_the_finding_of_the_preflight() -> None:
    found = without_knock_on([early(LIST), early(VERSION), ABOUT], CATALOGUE)

    assert [each.id for each in found] == [early(VERSION).id, ABOUT.id]
    assert without_knock_on(found, CATALOGUE) == found
