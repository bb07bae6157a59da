"""From checks to verdicts: what violates, what deviates, what proves nothing."""

from __future__ import annotations

import dataclasses
import json

import pytest

from swn_torture.report import (
    CaseOutcome,
    CaseResult,
    Check,
    Choice,
    Results,
    ResultsError,
    Run,
    TargetInfo,
    judge,
    strictest,
)
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
def test_a_failed_check_weighs_what_its_level_weighs(id_: str, verdict: str, outcome: CaseOutcome) -> None:
    check = Check(id_, passed=False)
    assert judge([check], CATALOGUE) == outcome
    assert verdict_of(id_, case(check, outcome=outcome)) == verdict


def test_one_violation_outweighs_deviations_and_passes() -> None:
    checks = [Check("should", passed=False), Check("must", passed=True), Check("never", passed=False)]
    assert judge(checks, CATALOGUE) == "failed"


def test_a_failed_check_of_an_unknown_requirement_is_not_lost() -> None:
    assert judge([Check("renamed", passed=False)], CATALOGUE) == "failed"


def test_one_failed_check_outweighs_any_number_of_passed_ones() -> None:
    good, bad = (
        case(Check("must", passed=True)),
        case(Check("must", passed=False), outcome="failed", id_="bad"),
    )
    row = next(r for r in results(good, bad, good).requirements if r.id == "must")
    assert (row.verdict, row.failing, row.cases) == ("violated", ("bad",), ("c", "bad", "c"))


def test_a_record_is_enough_to_conform() -> None:
    assert verdict_of("must", case(Check("must", passed=None))) == "conforms"


def test_a_case_that_names_a_requirement_without_checking_it_proves_nothing() -> None:
    assert verdict_of("must", case(Check("should", passed=True), names=("must", "should"))) == "not-tested"
    assert verdict_of("must", case(outcome="not-tested", names=("must",))) == "not-tested"
    assert verdict_of("never", case(names=("must",))) == "not-covered"


def test_a_failure_without_a_check_counts_against_all_it_names() -> None:
    broken = case(Check("never", passed=True), outcome="failed", names=("must", "should", "may", "never"))
    assert verdict_of("must", broken) == "violated"
    assert verdict_of("never", broken) == "violated"
    assert verdict_of("should", broken) == "deviates"
    assert verdict_of("may", broken) == "not-tested"


def test_a_failure_explained_by_one_check_leaves_the_others_alone() -> None:
    explained = case(Check("must", passed=True), Check("never", passed=False), outcome="failed")
    assert verdict_of("must", explained) == "conforms"


def test_client_rules_and_unobservable_ones_stand_apart_from_the_count() -> None:
    found = results(case(Check("must", passed=True)))
    apart = {row.id: (row.verdict, row.apart) for row in found.requirements if row.apart}
    assert apart == {"client": ("not-covered", "client"), "unseen": ("not-covered", "unobservable")}
    assert found.summary.apart == 2
    assert sum(found.summary.requirements.values()) == len(CATALOGUE.requirements) - 2


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


def test_results_come_back_from_json_as_they_were() -> None:
    check = Check(
        "must", passed=False, expected=("A (0x1)", "B (0x2)"), observed="C (0x3)", note="second call"
    )
    record = {"time": 1.5, "connection": 1, "kind": "sent", "data": "AAA="}
    full = dataclasses.replace(
        case(check, Check("may", passed=None), outcome="failed"),
        reason="why", expected=("A (0x1)",), observed="C (0x3)", choices=(Choice("AMB-1", "A", "c"),),
        duration_s=0.25, repro="swn-torture run -k c", transcript=(record,), capture="c.pcapng",
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
def test_what_is_not_results_is_refused(data: object) -> None:
    with pytest.raises(ResultsError, match=r"schema is|not well-formed"):
        Results.from_json(data, CATALOGUE)  # type: ignore[arg-type]


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="none of passed, failed"):
        case(outcome="maybe")  # type: ignore[arg-type]
