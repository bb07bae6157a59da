"""``Spec`` keeps every check, and only binding requirements can be violated."""

from __future__ import annotations

import pytest

from swn_torture.casekit import Spec, faults, returns
from swn_torture.casekit.checks import CaseStopped, UnknownRequirement
from swn_torture.stubdata.win32 import Win32

MUST = "SWN-3.1.4.2-null-netname"
SHOULD = "SWN-3.1.4.3-unknown-handle"
RECORD = "SWN-3.1.4.2-netname-case"


@pytest.fixture
def spec() -> Spec:
    return Spec("rpc.example", [MUST, SHOULD, RECORD])


def test_an_allowed_outcome_passes(spec: Spec) -> None:
    assert spec(MUST).allows(returns(0x57), returns(Win32.ERROR_INVALID_PARAMETER))
    assert [check.passed for check in spec.checks] == [True]


def test_a_violated_must_fails_and_shows_all_allowed(spec: Spec) -> None:
    assert not spec(MUST).allows(returns(0), returns(0x57), faults(0x1C00001A))
    assert [check.requirement for check in spec.violations] == [MUST]
    assert spec.failed[0].expected == (
        "ERROR_INVALID_PARAMETER (0x57)",
        "fault nca_s_fault_context_mismatch (0x1C00001A)",
    )
    assert spec.failed[0].observed == "ERROR_SUCCESS (0x0)"


def test_a_should_not_followed_is_a_deviation(spec: Spec) -> None:
    spec(SHOULD).allows(returns(0), returns(0x490))
    assert [check.requirement for check in spec.failed] == [SHOULD]
    assert not spec.violations


def test_a_recorded_requirement_cannot_fail(spec: Spec) -> None:
    spec(RECORD).equal("anything", "something else")
    spec(RECORD).record("accepted")
    assert [check.passed for check in spec.checks] == [None, None]
    assert not spec.failed


def test_a_failed_check_does_not_end_the_case(spec: Spec) -> None:
    spec(MUST).equal(1, 2)
    spec(SHOULD).equal(3, 3)
    assert [check.passed for check in spec.checks] == [False, True]


def test_one_observation_can_check_several_requirements(spec: Spec) -> None:
    spec(MUST, SHOULD).holds(condition=False, expected="x", observed="y")
    assert [check.requirement for check in spec.failed] == [MUST, SHOULD]


def test_an_unknown_requirement_is_an_error(spec: Spec) -> None:
    with pytest.raises(
        UnknownRequirement, match=r"'SWN-3\.1\.4\.2-null-netnam'.*SWN-3\.1\.4\.2-null-netname"
    ):
        spec("SWN-3.1.4.2-null-netnam")


def test_a_requirement_not_in_the_mark_is_an_error(spec: Spec) -> None:
    with pytest.raises(UnknownRequirement, match="mark does not list"):
        spec("SWN-1.9-uuid")


def test_an_unknown_ambiguity_is_an_error(spec: Spec) -> None:
    with pytest.raises(
        UnknownRequirement, match=r"Unknown ambiguity 'AMB-99' in rpc\.example\. Close matches: AMB"
    ):
        spec.choice("AMB-99", "anything")


def test_the_same_choice_is_recorded_once(spec: Spec) -> None:
    spec.choice("AMB-1", "ERROR_NOT_FOUND (0x490)")
    spec.choice("AMB-1", "ERROR_NOT_FOUND (0x490)")
    assert [choice.observed for choice in spec.choices] == ["ERROR_NOT_FOUND (0x490)"]


def test_stop_needs_a_failed_check(spec: Spec) -> None:
    with pytest.raises(AssertionError, match="without a failed check"):
        spec.stop()
    spec(MUST).equal(1, 2)
    assert isinstance(spec.stop(), CaseStopped)


def test_a_failed_precondition_is_a_violation(spec: Spec) -> None:
    stop = spec.precondition_failed(
        "SWN-3.1.4.2-returns-success", expected="x", observed=returns(5), note="Register before the case"
    )
    assert isinstance(stop, CaseStopped)
    assert [check.requirement for check in spec.violations] == ["SWN-3.1.4.2-returns-success"]
