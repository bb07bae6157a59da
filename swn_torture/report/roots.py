"""One root is one finding: what cannot be tested because of a violation is not a second violation.

A case *relies on* a requirement that it is not about: it needs the interface list to register, for example.
Such a check is a precondition (``Check.precondition``). When it fails, the case ends, and by itself it counts
as failed. So does a check that fails because an ordinary call of the same method fails, too
(``Check.because``). Once all cases of a run have ended, ``without_knock_on`` decides which of them report the
violation and which of them were only not tested because of it.

A rule of the wire (``Check.invariant``) is checked in every case. When it fails, the case goes on. The
finding is in the cases about the requirement, or in the first case that found it. In the others the check is
a record.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from swn_torture.report.verdict import decide_outcome, failed_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from swn_torture.report.model import CaseResult, Check
    from swn_torture.spec import Catalogue

#: First part of the ids of results that the preflight made (`swn_torture.harness.preflight.findings`).
PREFLIGHT = "preflight.first-answers"

#: Outcomes of cases that have a finding.
_JUDGED = ("failed", "deviation")


def without_knock_on(cases: Sequence[CaseResult], catalogue: Catalogue) -> tuple[CaseResult, ...]:
    """The cases, in their order, with one finding for each violated requirement that other cases rely on.

    A failed check that an ordinary call explains is only recorded. Then a case whose only failed checks are
    preconditions is not tested because of the first of them. The finding is in the cases about that
    requirement, if they found it violated, too. If none did, the first case that relies on it (by id) keeps
    it, so that no violation is lost; a finding of the preflight counts as the first one. It is left out if a
    case about the requirement has found the violation, too. A case that keeps one of its findings stays as it
    ended.

    The result does not depend on the order of the cases. Applied again, it changes nothing.

    Args:
        cases: the results of the cases as they ended.
        catalogue: the requirements that their checks name.
    """
    kept = _without_repeated(cases, catalogue)
    judged = without_repeated_invariants([_without_explained(case, catalogue) for case in kept], catalogue)
    roots = {case.id: _roots(case, catalogue) for case in judged}
    found_by = _findings(judged, catalogue)
    for case in sorted(judged, key=lambda case: case.id):
        for requirement in roots[case.id] if case.outcome in _JUDGED else ():
            found_by.setdefault(requirement, case.id)
    return tuple(_decided(case, roots[case.id], found_by) for case in judged)


def _without_repeated(cases: Sequence[CaseResult], catalogue: Catalogue) -> list[CaseResult]:
    """The cases without those findings of the preflight that a case about the requirement makes, too."""
    others = [case for case in cases if not case.id.startswith(PREFLIGHT)]
    found = _findings(others, catalogue)
    early = [case for case in cases if case.id.startswith(PREFLIGHT)]
    repeated = {case.id for case in early if all(check.requirement in found for check in case.checks)}
    return [case for case in cases if case.id not in repeated]


def blocked_cases(cases: Iterable[CaseResult]) -> Mapping[tuple[str, str], int]:
    """How many cases were not tested because of a finding, by its case and its requirement."""
    return Counter((case.found_by, case.because) for case in cases if case.because and case.found_by)


def _without_explained(case: CaseResult, catalogue: Catalogue) -> CaseResult:
    """The case with its explained checks as records, and the outcome that follows from the others."""
    return _recorded(case, catalogue, _explained)


def without_repeated_invariants(cases: Sequence[CaseResult], catalogue: Catalogue) -> list[CaseResult]:
    """The cases with each failed rule of the wire in one case, or in the cases about its requirement.

    In every other case the check is a record, and the outcome follows from the other checks.

    Args:
        cases: the results of the cases as they ended.
        catalogue: the requirements that their checks name.
    """
    found_by = _findings(cases, catalogue)
    for case in sorted(cases, key=lambda case: case.id):
        for check in case.checks if case.outcome in _JUDGED else ():
            if check.invariant and failed_as(check, catalogue):
                found_by.setdefault(check.requirement, case.id)

    def repeated(case: CaseResult) -> CaseResult:
        return _recorded(
            case,
            catalogue,
            lambda check: (
                check.invariant and check.precondition and found_by.get(check.requirement, case.id) != case.id
            ),
        )

    return [repeated(case) for case in cases]


def _recorded(case: CaseResult, catalogue: Catalogue, which: Callable[[Check], bool]) -> CaseResult:
    """The case with some of its failed checks as records, and the outcome that follows from the others."""
    chosen = [check.passed is False and which(check) for check in case.checks]
    if case.outcome not in _JUDGED or not any(chosen):
        return case
    checks = tuple(
        replace(check, passed=None) if recorded else check
        for check, recorded in zip(case.checks, chosen, strict=True)
    )
    outcome, reason = decide_outcome(checks, catalogue)
    first = next((check for check in checks if failed_as(check, catalogue)), None)
    return replace(
        case,
        outcome=outcome,
        reason=reason,
        checks=checks,
        expected=first.expected if first else (),
        observed=first.observed if first else "",
    )


def _explained(check: Check) -> bool:
    return check.passed is False and bool(check.because)


def _roots(case: CaseResult, catalogue: Catalogue) -> tuple[str, ...]:
    """The requirements that ended this case by failed preconditions; none when the case has a finding.

    For a case that was not tested because earlier cases waited in vain, the requirement that these violate.
    """
    if case.outcome not in _JUDGED:
        return (case.because,) if case.because else ()
    failed = [check for check in case.checks if failed_as(check, catalogue)]
    if not all(check.precondition for check in failed):
        return ()
    return tuple(dict.fromkeys(check.requirement for check in failed))


def _findings(cases: Iterable[CaseResult], catalogue: Catalogue) -> dict[str, str]:
    """For each requirement the first case, by id, that is about it and found it violated."""
    found: dict[str, str] = {}
    for case in sorted(cases, key=lambda case: (not case.id.startswith(PREFLIGHT), case.id)):
        for check in case.checks if case.outcome in _JUDGED else ():
            if failed_as(check, catalogue) and not check.precondition:
                found.setdefault(check.requirement, case.id)
    return found


def _decided(case: CaseResult, roots: tuple[str, ...], found_by: Mapping[str, str]) -> CaseResult:
    """The case as it is, or not tested because other cases have the findings about its roots."""
    if not roots or case.id in {found_by.get(root, case.id) for root in roots}:
        return case
    root, finding = roots[0], found_by[roots[0]]
    reason = f"not tested because of {root} (see {finding})"
    return replace(case, outcome="not-tested", reason=reason, because=root, found_by=finding)
