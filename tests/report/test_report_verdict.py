"""From checks to verdicts: violations, deviations, and cases that prove nothing."""

from __future__ import annotations

import dataclasses
import json

import pytest

from swn_torture.report.model import CaseOutcome, CaseResult, Check, Choice, Run, TargetInfo
from swn_torture.report.results import Results, ResultsError
from swn_torture.report.verdict import RequirementVerdict, decide_outcome, strictest
from swn_torture.spec import Catalogue, Requirement

ROWS = {
    "must": "MUST",
    "never": "MUST NOT",
    "implied": "implied",
    "should": "SHOULD",
    "may": "MAY",
    "note": "product",
}


def requirement(id_: str, level: str, **other: object) -> Requirement:
    row = Requirement(
        id=id_, section="3.1.4.2", level="MUST", role="server", source="MS-SWN", revision="both", text=id_,
        observable=True, how="", needs=(), notes="",
    )  # fmt: skip
    return dataclasses.replace(row, level=level, **other)  # type: ignore[arg-type]


CATALOGUE = Catalogue(
    revision="14.0",
    requirements={
        **{id_: requirement(id_, level) for id_, level in ROWS.items()},
        "record": requirement("record", "MUST", record_only=True),
        "client": requirement("client", "MUST", role="client"),
        "unseen": requirement("unseen", "MUST", observable=False),
    },
    ambiguities={},
)


def case(
    *checks: Check, outcome: CaseOutcome = "passed", names: tuple[str, ...] = (), id_: str = "c"
) -> CaseResult:
    return CaseResult(
        id_, "title", "rpc", names or tuple(c.requirement for c in checks), "MUST", outcome, checks=checks
    )


def results(*cases: CaseResult, complete: bool = True) -> Results:
    return Results(Run("2026-01-01T00:00:00+00:00", complete=complete), TargetInfo("t"), cases, CATALOGUE)


def verdict_of(id_: str, *cases: CaseResult) -> str:
    return next(row.verdict for row in results(*cases).requirements if row.id == id_)


@pytest.mark.parametrize(
    ("id_", "verdict", "outcome"),
    [
        ("must", "violated", "failed"),
        ("never", "violated", "failed"),
        ("implied", "violated", "failed"),
        ("should", "deviates", "deviation"),
        ("may", "conforms", "passed"),
        ("note", "conforms", "passed"),
        ("record", "conforms", "passed"),
    ],
)
def test_level_decides_what_a_failed_check_means(id_: str, verdict: str, outcome: CaseOutcome) -> None:
    check = Check(id_, passed=False)
    assert decide_outcome([check], CATALOGUE)[0] == outcome
    assert verdict_of(id_, case(check, outcome=outcome)) == verdict


def test_one_violation_outweighs_deviations_and_passes() -> None:
    checks = [Check("should", passed=False), Check("must", passed=True), Check("never", passed=False)]
    assert decide_outcome(checks, CATALOGUE) == ("failed", "never (MS-SWN 3.1.4.2)")


def test_failed_check_of_unknown_requirement_is_violation() -> None:
    assert decide_outcome([Check("renamed", passed=False)], CATALOGUE) == ("failed", "renamed")


def test_reason_names_each_violated_rule_once() -> None:
    checks = [Check("must", passed=False), Check("never", passed=False), Check("must", passed=False)]
    assert decide_outcome(checks, CATALOGUE)[1] == "must (MS-SWN 3.1.4.2); never (MS-SWN 3.1.4.2)"


def test_skipped_case_is_not_tested_and_an_error_is_an_error() -> None:
    checks = [Check("must", passed=False)]
    assert decide_outcome([], CATALOGUE, skip_reason="no share") == ("not-tested", "no share")
    assert decide_outcome(checks, CATALOGUE, skip_reason="no share") == ("not-tested", "no share")
    assert decide_outcome(checks, CATALOGUE, error="no answer") == ("error", "no answer")
    assert decide_outcome(checks, CATALOGUE, skip_reason="", error="") == ("error", "")
    assert decide_outcome([], CATALOGUE) == ("passed", "")


def test_one_failed_check_outweighs_passed_ones() -> None:
    good, bad = (
        case(Check("must", passed=True)),
        case(Check("must", passed=False), outcome="failed", id_="bad"),
    )
    row = next(r for r in results(good, bad, good).requirements if r.id == "must")
    assert (row.verdict, row.failing, row.cases) == ("violated", ("bad",), ("c", "bad", "c"))


def test_record_about_a_rule_that_can_fail_proves_nothing() -> None:
    assert verdict_of("must", case(Check("must", passed=None))) == "not-tested"
    assert verdict_of("should", case(Check("should", passed=None))) == "not-tested"
    assert verdict_of("must", case(Check("must", passed=None), Check("must", passed=True))) == "conforms"
    assert verdict_of("record", case(Check("record", passed=None))) == "conforms", "it cannot fail anyway"


def test_requirement_named_but_not_checked_is_not_tested() -> None:
    assert verdict_of("must", case(Check("should", passed=True), names=("must", "should"))) == "not-tested"
    assert verdict_of("must", case(outcome="not-tested", names=("must",))) == "not-tested"
    assert verdict_of("never", case(names=("must",))) == "not-covered"


def test_failure_without_check_counts_against_all_it_names() -> None:
    broken = case(Check("never", passed=True), outcome="failed", names=("must", "should", "may", "never"))
    assert verdict_of("must", broken) == "violated"
    assert verdict_of("never", broken) == "violated"
    assert verdict_of("should", broken) == "deviates"
    assert verdict_of("may", broken) == "not-tested"


def test_failed_check_counts_only_for_its_requirement() -> None:
    explained = case(Check("must", passed=True), Check("never", passed=False), outcome="failed")
    assert verdict_of("must", explained) == "conforms"


def test_client_and_unobservable_rules_and_notes_about_products_are_not_counted() -> None:
    found = results(case(Check("must", passed=True)))
    apart = {row.id: (row.verdict, row.apart) for row in found.requirements if row.apart}
    assert apart == {
        "client": ("not-covered", "client"),
        "unseen": ("not-covered", "unobservable"),
        "note": ("not-covered", "product"),
    }
    assert found.summary.apart == 3
    assert sum(found.summary.requirements.values()) == len(CATALOGUE.requirements) - 3


@pytest.mark.parametrize(
    ("outcomes", "complete", "verdict", "exit_code"),
    [
        (["passed", "deviation", "not-tested"], True, "conforming", 0),
        (["passed", "failed", "error"], False, "violations", 1),
        (["passed", "error"], True, "undecided", 3),
        (["passed"], False, "undecided", 3),
        (["not-tested"], True, "undecided", 3),
        ([], True, "undecided", 3),
    ],
)
def test_the_overall_verdict(
    outcomes: list[CaseOutcome], complete: bool, verdict: str, exit_code: int
) -> None:
    summary = results(*(case(outcome=o, names=("may",)) for o in outcomes), complete=complete).summary
    assert (summary.verdict, summary.exit_code) == (verdict, exit_code)


def test_strictest_level() -> None:
    assert strictest(["should", "may", "must"], CATALOGUE) == "MUST"
    assert strictest(["note", "may"], CATALOGUE) == "MAY"
    assert strictest([], CATALOGUE) == "MAY"


def test_results_are_read_back_from_json_unchanged() -> None:
    check = Check(
        "must", passed=False, expected=("A (0x1)", "B (0x2)"), observed="C (0x3)", note="second call"
    )
    record = {"time": 1.5, "connection": 1, "kind": "sent", "data": "AAA="}
    full = dataclasses.replace(
        case(check, Check("may", passed=None), outcome="failed"),
        reason="why", expected=("A (0x1)",), observed="C (0x3)", choices=(Choice("AMB-1", "A", "c"),),
        duration_s=0.25, repro="swn-torture run --case c", transcript=(record,), capture="c.pcapng",
        node_id="m.py::c",
    )  # fmt: skip
    target = TargetInfo("t", "ctdb", ("list-nodes",), "192.0.2.1", "SWNCLUSTER", {"nodes": "3"})
    before = dataclasses.replace(results(full), target=target)
    after = Results.from_json(json.loads(json.dumps(before.to_json())), CATALOGUE)
    assert after == before
    assert after.to_json() == before.to_json()


@pytest.mark.parametrize(
    "data", [{}, [], {"schema": "other/1"}, {"schema": "swn-torture-results/1", "tool": {}}], ids=repr
)
def test_json_that_is_not_results_is_rejected(data: object) -> None:
    with pytest.raises(
        ResultsError, match=r"the schema is|the results are malformed: the member run is missing"
    ):
        Results.from_json(data, CATALOGUE)  # type: ignore[arg-type]


def test_unknown_outcome_is_rejected() -> None:
    with pytest.raises(ValueError, match="known: passed, failed"):
        case(outcome="maybe")  # type: ignore[arg-type]


# Why a requirement is not tested


def row_of(id_: str, *cases: CaseResult) -> RequirementVerdict:
    return next(row for row in results(*cases).requirements if row.id == id_)


def test_requirement_of_a_case_that_ended_at_a_violation_was_not_reached_because_of_it() -> None:
    ended = case(Check("must", passed=False), outcome="failed", names=("must", "never"))
    row = row_of("never", ended)
    assert (row.verdict, row.because, row.reasons) == ("not-tested", ("must",), ())


def test_requirement_of_a_case_that_was_not_tested_because_of_a_violation() -> None:
    skipped = case(outcome="not-tested", names=("never",))
    skipped = dataclasses.replace(skipped, because="must", reason="not tested because of must")
    assert row_of("never", skipped).because == ("must",)


def test_requirement_that_cannot_be_tested_has_the_reasons_of_its_cases() -> None:
    cases = [
        dataclasses.replace(case(outcome="not-tested", names=("never",), id_=name), reason=reason)
        for name, reason in (("a", "no opnum 5"), ("b", "no opnum 5"), ("c", "no second node"))
    ]
    row = row_of("never", *cases)
    assert (row.because, row.reasons) == ((), ("no opnum 5", "no second node"))


def test_requirement_of_cases_that_passed_without_a_check_of_it_has_a_reason() -> None:
    assert "nothing that they can check" in row_of("never", case(names=("never",))).reasons[0]


def test_requirement_that_was_checked_has_no_reason() -> None:
    ended = case(Check("must", passed=False), outcome="failed", names=("must", "never"))
    row = row_of("never", ended, case(Check("never", passed=True), id_="d"))
    assert (row.verdict, row.because, row.reasons) == ("conforms", (), ())


def test_summary_counts_what_was_not_tested_because_of_a_violation() -> None:
    ended = case(Check("must", passed=False), outcome="failed", names=("must", "never", "unseen"))
    found = results(ended, case(outcome="not-tested", names=("implied",), id_="d"))
    assert found.summary.requirements["not-tested"] == 2
    assert found.summary.because == 1
    assert found.to_json()["summary"]["because"] == 1
