"""Results of two targets that differ in one case, one requirement and one choice."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.report.comparison import CauseView, Comparison, Explained
from swn_torture.report.model import CaseResult, Check, Choice, Run, TargetInfo
from swn_torture.report.results import Results
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

#: The rule that the target "bad" violates, and one that both follow.
VIOLATED = "SWN-3.1.4.2-null-netname"
KEPT = "SWN-3.1.4.5-version-mismatch"

CASES = ("rpc.register.null-name[ndr32]", "rpc.register-ex.wrong-version", "cluster.move.answer")


def case(id_: str, requirement: str, *, passed: bool = True, observed: str = "") -> CaseResult:
    """A case with one check."""
    check = Check(requirement, passed=passed, expected=("ERROR_INVALID_PARAMETER (0x57)",), observed=observed)
    return CaseResult(
        id_, f"Title of {id_}", "rpc", (requirement,), "MUST", "passed" if passed else "failed",
        reason="" if passed else "It is violated.", checks=(check,), repro=f"swn-torture run --case '{id_}'",
    )  # fmt: skip


def target(name: str, *cases: CaseResult, started: str = "2026-11-28T10:00:00+00:00") -> Results:
    """The results of a target."""
    return Results(Run(started=started), TargetInfo(name), cases, load_catalogue())


@pytest.fixture
def good() -> Results:
    first, second, third = CASES
    chosen = dataclasses.replace(
        case(third, KEPT, observed="ERROR_INVALID_PARAMETER (0x57)"),
        choices=(Choice("AMB-1", "ERROR_NOT_FOUND (0x490)", third),),
    )
    return target("good", case(first, VIOLATED, observed="0x57 of good"), case(second, KEPT), chosen)


@pytest.fixture
def bad() -> Results:
    first, second, third = CASES
    chosen = dataclasses.replace(
        case(third, KEPT, observed="ERROR_INVALID_PARAMETER (0x57)"),
        choices=(Choice("AMB-1", "ERROR_SUCCESS (0x0)", third),),
    )
    wrong = case(first, VIOLATED, passed=False, observed="ERROR_SUCCESS (0x0)")
    return target("bad", wrong, case(second, KEPT), chosen)


@pytest.fixture
def explained(bad: Results) -> Results:
    """The results of "bad", compared with a baseline that knows the cause."""
    cause = CauseView("null-name", "A null name is taken", "known", "It is listed.", cases=(CASES[0],))
    found = Explained(CASES[0], VIOLATED, "ERROR_SUCCESS (0x0)", "null-name")
    return bad.compared(Comparison("base", "as-expected", causes=(cause,), explained=(found,)))


@pytest.fixture
def make_case() -> Callable[..., CaseResult]:
    """`case`, for tests that need cases of their own."""
    return case
