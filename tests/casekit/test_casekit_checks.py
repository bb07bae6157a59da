"""``Spec`` keeps every check, and only binding requirements can be violated."""

from __future__ import annotations

import pytest

from swn_torture.casekit import SILENCE, Outcome, Spec, faults, returns
from swn_torture.casekit.blame import Blame
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
    (check,) = spec.violations
    assert (check.requirement, check.precondition) == ("SWN-3.1.4.2-returns-success", True)


def test_a_case_about_a_rule_finds_it_violated_itself(spec: Spec) -> None:
    spec.precondition_failed(MUST, expected="x", observed=returns(5), note="Register before the case")
    spec(MUST).equal(1, 2)
    assert [check.precondition for check in spec.checks] == [False, False]


#: An answer that cannot be read.
UNREADABLE = Outcome("malformed", detail="cut", blame=Blame("SWN-2.2.1-handle-20-bytes", "20 octets"))


def test_an_unreadable_answer_does_not_judge_the_rule(spec: Spec) -> None:
    assert not spec(MUST, SHOULD).allows(UNREADABLE, returns(0x57), note="the call")
    (check,) = spec.checks
    assert (check.requirement, check.passed, check.precondition) == ("SWN-2.2.1-handle-20-bytes", False, True)
    assert (check.expected, check.observed) == (("20 octets",), "octets that do not decode (cut)")
    assert check.note == "the call"


def test_an_unreadable_answer_judges_the_rule_on_its_octets() -> None:
    spec = Spec("ndr.example", ["SWN-2.2.1.2-ref-pointer", "SWN-2.2.1-handle-20-bytes"])
    assert not spec("SWN-2.2.1.2-ref-pointer").allows(UNREADABLE, returns(0))
    assert not spec("SWN-2.2.1-handle-20-bytes").holds(False, expected="x", observed=UNREADABLE)  # noqa: FBT003
    assert [(check.requirement, check.precondition) for check in spec.violations] == [
        ("SWN-2.2.1.2-ref-pointer", False),
        ("SWN-2.2.1-handle-20-bytes", False),
        ("SWN-2.2.1-handle-20-bytes", False),
    ]


def test_an_unreadable_answer_may_be_allowed(spec: Spec) -> None:
    assert spec(MUST).allows(UNREADABLE, Outcome("malformed"))
    assert [check.passed for check in spec.checks] == [True]


def test_an_unreadable_precondition_is_about_its_octets(spec: Spec) -> None:
    spec.precondition_failed(
        "SWN-3.1.4.2-returns-success", expected="x", observed=UNREADABLE, note="Register"
    )
    assert [(check.requirement, check.expected) for check in spec.violations] == [
        ("SWN-2.2.1-handle-20-bytes", ("20 octets",))
    ]


LIST, REGISTER = "SWN-3.1.4.1-returns-success", "SWN-3.1.4.2-returns-success"
MORE_DATA = Outcome("result", 0xEA, opnum=0)


def test_an_ordinary_call_that_fails_alike_explains_a_check(spec: Spec) -> None:
    spec(MUST).allows(MORE_DATA, returns(0))
    spec(MUST).allows(returns(5), returns(0))
    spec(SHOULD).allows(returns(0), returns(0))
    assert len(spec.unexplained) == 2

    spec.explain(LIST, MORE_DATA, "GetInterfaceList")

    assert [(check.requirement, check.because, check.precondition) for check in spec.checks] == [
        (MUST, LIST, False),
        (MUST, "", False),
        (SHOULD, "", False),
        (LIST, "", True),
    ]
    assert spec.checks[-1].observed == "ERROR_MORE_DATA (0xEA)"


def test_an_ordinary_call_of_another_method_explains_nothing(spec: Spec) -> None:
    spec(MUST).allows(Outcome("result", 0xEA, opnum=1), returns(0))
    spec.explain(LIST, MORE_DATA, "GetInterfaceList")
    spec.explain(REGISTER, Outcome("result", 5, opnum=1), "Register")
    assert [check.because for check in spec.checks] == [""]


def test_a_server_that_closes_at_any_call_explains_every_close(spec: Spec) -> None:
    spec(MUST).allows(Outcome("closed", opnum=3), returns(0))
    spec(SHOULD).allows(SILENCE, returns(0))
    spec.explain(LIST, Outcome("closed", opnum=0), "GetInterfaceList")
    assert [check.because for check in spec.checks] == [LIST, "", ""]


def test_a_failed_check_of_the_same_rule_is_not_explained() -> None:
    spec = Spec("rpc.example", [LIST, MUST])
    spec(LIST, MUST).allows(MORE_DATA, returns(0))
    spec.explain(LIST, MORE_DATA, "GetInterfaceList")
    assert [(check.requirement, check.because) for check in spec.checks] == [(LIST, ""), (MUST, LIST)]


def test_values_are_shown_as_text(spec: Spec) -> None:
    spec(MUST).equal(b"\x04\x00", b"\x05", None)
    spec(SHOULD).record([1, 2])
    spec.choice("AMB-1", {"a"})
    assert (spec.checks[0].observed, spec.checks[0].expected) == ("04 00", ("05", "none"))
    assert (spec.checks[1].observed, spec.choices[0].observed) == ("1, 2", "a")


def test_no_text_of_a_check_is_as_python_writes_it(spec: Spec) -> None:
    for wrong in ({"observed": str([(1,)])}, {"expected": str(b"\x04")}, {"note": str([None])}):
        with pytest.raises(ValueError, match="as Python writes it"):
            spec(MUST).holds(condition=True, **{"expected": "x", "observed": "y", **wrong})
    with pytest.raises(ValueError, match="as Python writes it"):
        spec.choice("AMB-1", "None")


def test_no_finding_is_lost_because_of_its_text(spec: Spec) -> None:
    spec(MUST).holds(condition=False, expected=str(b"\x04"), observed=f"{None}; {[(1, 'a')]}")
    (check,) = spec.violations
    assert (check.expected, check.observed) == (("04",), "none; 1, a")
