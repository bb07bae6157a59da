"""The law keeps every finding, and only what binds can be violated."""

from __future__ import annotations

import pytest

from swn_torture.harness import CLOSED, SILENCE, Law, Outcome, faults, returns
from swn_torture.harness.law import Stop, UnknownRequirement
from swn_torture.report.verdict import judge
from swn_torture.spec import load_catalogue
from swn_torture.witness.win32 import Win32

MUST = "SWN-3.1.4.2-null-netname"
SHOULD = "SWN-3.1.4.3-unknown-handle"
RECORD = "SWN-3.1.4.2-netname-case"


@pytest.fixture
def law() -> Law:
    return Law("rpc.example", [MUST, SHOULD, RECORD])


def verdict(law: Law) -> str:
    return judge(law.checks, load_catalogue())


def test_an_allowed_outcome_passes(law: Law) -> None:
    assert law(MUST).allows(returns(0x57), returns(Win32.ERROR_INVALID_PARAMETER))
    assert verdict(law) == "passed"


def test_a_must_that_is_not_met_is_a_violation_with_all_that_was_allowed(law: Law) -> None:
    assert not law(MUST).allows(returns(0), returns(0x57), faults(0x1C00001A))
    assert verdict(law) == "failed"
    assert law.failed[0].expected == (
        "ERROR_INVALID_PARAMETER (0x57)",
        "fault nca_s_fault_context_mismatch (0x1C00001A)",
    )
    assert law.failed[0].observed == "ERROR_SUCCESS (0x0)"


def test_a_should_that_is_not_followed_is_a_deviation(law: Law) -> None:
    law(SHOULD).allows(returns(0), returns(0x490))
    assert verdict(law) == "deviation"
    assert not law.violations


def test_a_row_that_is_only_recorded_cannot_fail(law: Law) -> None:
    law(RECORD).equal("anything", "something else")
    law(RECORD).record("accepted")
    assert verdict(law) == "passed"
    assert [check.passed for check in law.checks] == [None, None]


def test_a_failed_check_does_not_end_the_case(law: Law) -> None:
    law(MUST).equal(1, 2)
    law(SHOULD).equal(3, 3)
    assert [check.passed for check in law.checks] == [False, True]


def test_an_observation_may_decide_several_requirements(law: Law) -> None:
    law(MUST, SHOULD).holds(condition=False, expected="x", observed="y")
    assert [check.requirement for check in law.failed] == [MUST, SHOULD]


def test_only_ids_of_the_catalogue_and_of_the_mark_can_be_checked(law: Law) -> None:
    with pytest.raises(UnknownRequirement, match=r"SWN-3\.1\.4\.2-null-netname"):
        law("SWN-3.1.4.2-null-netnam")
    with pytest.raises(UnknownRequirement, match="mark does not list"):
        law("SWN-1.9-uuid")
    with pytest.raises(UnknownRequirement, match="AMB-99"):
        law.choice("AMB-99", "anything")


def test_a_choice_is_recorded_once(law: Law) -> None:
    law.choice("AMB-1", "ERROR_NOT_FOUND (0x490)")
    law.choice("AMB-1", "ERROR_NOT_FOUND (0x490)")
    assert [choice.observed for choice in law.choices] == ["ERROR_NOT_FOUND (0x490)"]


def test_a_case_stops_only_on_a_finding(law: Law) -> None:
    with pytest.raises(AssertionError, match="without a failed check"):
        law.stop()
    law(MUST).equal(1, 2)
    assert isinstance(law.stop(), Stop)


def test_a_stimulus_that_was_not_served_is_a_finding_about_the_stimulus(law: Law) -> None:
    stop = law.broken(
        "SWN-3.1.4.2-returns-success", expected="x", observed=returns(5), note="Register as a stimulus"
    )
    assert isinstance(stop, Stop)
    assert [check.requirement for check in law.violations] == ["SWN-3.1.4.2-returns-success"]


@pytest.mark.parametrize(
    ("expected", "observed", "match"),
    [
        (returns(0), returns(0), True),
        (returns(0), returns(5), False),
        (returns(), returns(5), True),
        (returns(5), faults(5), False),
        (faults(), faults(0x6F7), True),
        (CLOSED, Outcome("closed", detail="reset"), True),
        (SILENCE, CLOSED, False),
    ],
)
def test_outcomes_match_by_kind_and_code(expected: Outcome, observed: Outcome, match: bool) -> None:
    assert expected.matches(observed) is match


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (returns(0x139F), "ERROR_INVALID_STATE (0x139F)"),
        (returns(), "any return value"),
        (faults(0x1C010002), "fault nca_s_op_rng_error (0x1C010002)"),
        (faults(), "any fault"),
        (CLOSED, "connection closed"),
        (Outcome("silence", detail="waited 5 s"), "no answer (waited 5 s)"),
        (Outcome("bind-nak", 8), "bind_nak reason 8"),
        (Outcome("malformed", detail="Length at 12"), "octets that do not decode (Length at 12)"),
    ],
)
def test_outcomes_are_shown_by_symbol_and_value(outcome: Outcome, text: str) -> None:
    assert str(outcome) == text
