"""What the fault matrix concludes from trials."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swn_torture.faults.matrix.trials import Scope, Trial
from tests.faults.small_matrix import FAULT, NAMED, REFERENCE, matrix_of


def test_fault_caught_for_all_violated_requirements() -> None:
    matrix = matrix_of({"a": FAULT.violates})

    assert matrix.as_expected
    assert matrix.cases_without_fault() == ["b"]
    assert matrix.requirements_without_fault() == ["SWN-3.1.4.1-empty-list"]


def test_error_outcome_does_not_catch_a_fault() -> None:
    matrix = matrix_of({"a": ()}, outcome="error")

    assert [r.fault.name for r in matrix.not_caught] == ["wrong"]
    assert not matrix.as_expected


def test_fault_caught_for_another_requirement_only() -> None:
    matrix = matrix_of({"a": ("SWN-3.1.4.1-groupname",)})

    assert [r.fault.name for r in matrix.caught_otherwise] == ["wrong"]
    assert not matrix.not_caught
    assert not matrix.as_expected


def test_fault_caught_for_some_violated_requirements() -> None:
    matrix = matrix_of({"a": ("SWN-1.9-uuid",)})

    assert [r.not_found for r in matrix.caught_in_part] == [("SWN-2.1-if-version",)]
    assert matrix.requirements_without_fault() == ["SWN-3.1.4.1-empty-list"], (
        "a SHOULD or implied requirement needs no fault"
    )


def test_case_that_fails_on_the_reference_is_reported() -> None:
    broken = {"a": (), "b": ("SWN-1.9-uuid",)}
    reference = Trial("", {"a": "passed", "b": "failed"}, NAMED, NAMED, broken)

    matrix = matrix_of({"a": FAULT.violates}, reference=reference)

    assert matrix.reference_failures == ["b"]
    assert not matrix.as_expected


def test_reference_process_that_dies_is_not_as_expected() -> None:
    died = Trial("", cut_short="the process ended with exit code -9")

    assert not matrix_of({"a": FAULT.violates}, reference=died).as_expected


def test_recording_case_needs_no_fault() -> None:
    recording = Trial("", REFERENCE.outcomes, NAMED, {"a": FAULT.violates, "b": ()})

    matrix = matrix_of({"a": FAULT.violates}, reference=recording)

    assert matrix.cases_without_fault() == []
    assert matrix.recording_cases() == ["b"]


def test_figures_are_given_for_each_kind_and_both() -> None:
    realistic = matrix_of({"a": FAULT.violates})
    fault = replace(FAULT, name="narrow", kind="narrowed", violates=("SWN-1.9-uuid",), seen_in="")
    narrowed = matrix_of({"b": ("SWN-1.9-uuid",)}, fault=fault)

    matrix = replace(realistic, results=(*realistic.results, *narrowed.results))
    figures = {kind: part.figures() for kind, part in matrix.by_kind().items()}

    assert {kind: f.faults for kind, f in figures.items()} == {"realistic": 1, "narrowed": 1, "both": 2}
    assert {kind: f.caught for kind, f in figures.items()} == {"realistic": 1, "narrowed": 1, "both": 2}
    assert {kind: f.confirmed_requirements for kind, f in figures.items()} == {
        "realistic": 2,
        "narrowed": 1,
        "both": 2,
    }, "both kinds violate one requirement, which the sum counts once"
    assert {kind: f.cases_without_fault for kind, f in figures.items()} == {
        "realistic": 1,
        "narrowed": 1,
        "both": 0,
    }


@pytest.mark.parametrize("scope", [Scope.FIRST, Scope.OWN])
def test_case_that_no_fault_fails_is_no_gap_where_only_the_own_cases_ran(scope: Scope) -> None:
    """A fault of another requirement may fail it."""
    named = dict.fromkeys(("a", "b"), FAULT.violates)
    near = matrix_of({"a": FAULT.violates}, reference=replace(REFERENCE, named=named, judged=named))
    own = replace(near, scope=scope)

    assert near.cases_without_fault() == own.cases_without_fault() == ["b"]
    assert near.has_gaps
    assert not own.has_gaps
