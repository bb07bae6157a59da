"""The law keeps every finding, and only what binds can be violated."""

from __future__ import annotations

import pytest

from swn_torture.casekit import CLOSED, SILENCE, Outcome, Spec, faults, returns
from swn_torture.casekit.checks import CaseStopped, UnknownRequirement
from swn_torture.report.verdict import judge
from swn_torture.spec import load_catalogue
from swn_torture.stubdata.win32 import Win32

MUST = "SWN-3.1.4.2-null-netname"
SHOULD = "SWN-3.1.4.3-unknown-handle"
RECORD = "SWN-3.1.4.2-netname-case"


@pytest.fixture
def spec() -> Spec:
    return Spec("rpc.example", [MUST, SHOULD, RECORD])


def verdict(spec: Spec) -> str:
    return judge(spec.checks, load_catalogue())


def test_an_allowed_outcome_passes(spec: Spec) -> None:
    assert spec(MUST).allows(returns(0x57), returns(Win32.ERROR_INVALID_PARAMETER))
    assert verdict(spec) == "passed"


def test_a_must_that_is_not_met_is_a_violation_with_all_that_was_allowed(spec: Spec) -> None:
    assert not spec(MUST).allows(returns(0), returns(0x57), faults(0x1C00001A))
    assert verdict(spec) == "failed"
    assert spec.failed[0].expected == (
        "ERROR_INVALID_PARAMETER (0x57)",
        "fault nca_s_fault_context_mismatch (0x1C00001A)",
    )
    assert spec.failed[0].observed == "ERROR_SUCCESS (0x0)"


def test_a_should_that_is_not_followed_is_a_deviation(spec: Spec) -> None:
    spec(SHOULD).allows(returns(0), returns(0x490))
    assert verdict(spec) == "deviation"
    assert not spec.violations


def test_a_row_that_is_only_recorded_cannot_fail(spec: Spec) -> None:
    spec(RECORD).equal("anything", "something else")
    spec(RECORD).record("accepted")
    assert verdict(spec) == "passed"
    assert [check.passed for check in spec.checks] == [None, None]


def test_a_failed_check_does_not_end_the_case(spec: Spec) -> None:
    spec(MUST).equal(1, 2)
    spec(SHOULD).equal(3, 3)
    assert [check.passed for check in spec.checks] == [False, True]


def test_an_observation_may_decide_several_requirements(spec: Spec) -> None:
    spec(MUST, SHOULD).holds(condition=False, expected="x", observed="y")
    assert [check.requirement for check in spec.failed] == [MUST, SHOULD]


def test_only_ids_of_the_catalogue_and_of_the_mark_can_be_checked(spec: Spec) -> None:
    with pytest.raises(UnknownRequirement, match=r"SWN-3\.1\.4\.2-null-netname"):
        spec("SWN-3.1.4.2-null-netnam")
    with pytest.raises(UnknownRequirement, match="mark does not list"):
        spec("SWN-1.9-uuid")
    with pytest.raises(UnknownRequirement, match="AMB-99"):
        spec.choice("AMB-99", "anything")


def test_a_choice_is_recorded_once(spec: Spec) -> None:
    spec.choice("AMB-1", "ERROR_NOT_FOUND (0x490)")
    spec.choice("AMB-1", "ERROR_NOT_FOUND (0x490)")
    assert [choice.observed for choice in spec.choices] == ["ERROR_NOT_FOUND (0x490)"]


def test_a_case_stops_only_on_a_finding(spec: Spec) -> None:
    with pytest.raises(AssertionError, match="without a failed check"):
        spec.stop()
    spec(MUST).equal(1, 2)
    assert isinstance(spec.stop(), CaseStopped)


def test_a_stimulus_that_was_not_served_is_a_finding_about_the_stimulus(spec: Spec) -> None:
    stop = spec.precondition_failed(
        "SWN-3.1.4.2-returns-success", expected="x", observed=returns(5), note="Register as a stimulus"
    )
    assert isinstance(stop, CaseStopped)
    assert [check.requirement for check in spec.violations] == ["SWN-3.1.4.2-returns-success"]


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
