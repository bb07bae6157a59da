"""From checks to verdicts: the only module that decides what a failed check means.

The rules:

1. A failed check of a binding requirement (MUST, MUST NOT, and what the text implies) is a violation.
2. A failed check of a SHOULD is a deviation.
3. MAY rows, product notes and record-only rows cannot fail; a check of one is a record.
4. A case that was skipped is not tested; one that ended in an error is an error, whatever its checks say.
   Otherwise its outcome follows from its checks: one violation makes it failed, else one deviation makes it a
   deviation, else it passed.
5. A requirement conforms when at least one check of it was reached and none failed. A case that names a
   requirement without checking it proves nothing about it. Neither does a failed check that an ordinary call
   explains (`Check.because`), nor a record about a requirement that is judged: such a check cannot fail.
6. A failed case without a failed check counts against every requirement that it names: a loss of detail must
   not become a loss of a violation.
7. A case that was not tested because of a violation (`swn_torture.report.roots`) does not count against the
   requirement that is violated: the case that reports the violation does.
8. A requirement that is not tested was not reached because of a violation if a case that names it found one,
   or was not tested because of one. Otherwise it cannot be tested on the target as its profile describes it.
9. A note about a product is not counted: it is no requirement on another product, and a check of it only
   records what the target does. Rules that bind the client or cannot be observed are not counted, either.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from swn_torture.report.model import CaseOutcome, CaseResult, Check
    from swn_torture.spec import Catalogue, Requirement

#: The verdict of a run on one requirement.
Verdict = Literal["violated", "deviates", "not-tested", "conforms", "not-covered"]

#: Verdicts, worst first.
VERDICTS: tuple[Verdict, ...] = ("violated", "deviates", "not-tested", "conforms", "not-covered")

#: Levels, strictest first.
LEVELS = ("MUST", "MUST NOT", "implied", "SHOULD", "MAY", "product")

#: Why a requirement is not tested if its cases were.
_NOTHING_TO_CHECK = "its cases ran, but the target showed nothing that they can check"

Overall = Literal["conforming", "violations", "undecided"]


@dataclass(frozen=True, slots=True)
class RequirementVerdict:
    """What a run says about one requirement.

    Attributes:
        id: catalogue id.
        verdict: see the rules above.
        cases: ids of all cases that name it.
        failing: ids of the cases in which a check of it failed.
        blocked: ids of the cases that were not tested because it is violated.
        apart: why it is not counted: ``client`` rules bind the client, ``unobservable`` ones cannot be seen
            from outside, ``product`` ones are notes about a product; empty when it is counted (rule 9).
        because: for a requirement that is not tested, those whose violation is the reason (rule 8).
        reasons: for a requirement that is not tested for another reason, why its cases were not.
    """

    id: str
    verdict: Verdict
    cases: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    apart: str = ""
    blocked: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As in ``swn-torture-results/1``."""
        return {
            "id": self.id,
            "verdict": self.verdict,
            "cases": list(self.cases),
            "failing": list(self.failing),
            "blocked": list(self.blocked),
            "apart": self.apart,
            "because": list(self.because),
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """The verdict on a target and the counts behind it.

    Attributes:
        verdict: ``violations``: at least one case failed. ``undecided``: no case failed, but there were
            errors, the run is not complete, or no case was judged. ``conforming``: otherwise.
        cases: number of cases by outcome, with every outcome.
        requirements: number of counted requirements by verdict, with every verdict.
        apart: number of requirements that are not counted (rule 9).
        because: number of counted requirements that are not tested because of a violation (rule 8).
    """

    verdict: Overall
    cases: Mapping[str, int]
    requirements: Mapping[str, int]
    apart: int
    because: int = 0

    @property
    def exit_code(self) -> int:
        """The exit code of a run: 0 conforming, 1 violations, 3 undecided."""
        return {"conforming": 0, "violations": 1, "undecided": 3}[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """As in ``swn-torture-results/1``."""
        return {
            "verdict": self.verdict,
            "cases": dict(self.cases),
            "requirements": dict(self.requirements),
            "apart": self.apart,
            "because": self.because,
        }


def failed_as(check: Check, catalogue: Catalogue) -> Literal["violation", "deviation"] | None:
    """What this check says against the target; None when it says nothing (rules 1 to 3).

    An id that the catalogue does not know binds: a violation must not disappear when a row is renamed.
    """
    if check.passed is not False:
        return None
    requirement = catalogue.requirements.get(check.requirement)
    if requirement is None or requirement.binding:
        return "violation"
    return "deviation" if requirement.judged else None


def decide_outcome(
    checks: Sequence[Check],
    catalogue: Catalogue,
    *,
    skip_reason: str | None = None,
    error: str | None = None,
) -> tuple[CaseOutcome, str]:
    """The outcome of a case and the reason for it, from what happened (rule 4).

    Args:
        checks: every check that the case reached.
        catalogue: the requirements that the checks name.
        skip_reason: why the case cannot be run on this target; None when it was run.
        error: why the harness or the target could not be used; None when both could.

    Returns:
        The outcome, and one sentence: the rules that are broken, ``skip_reason`` or ``error``. The sentence
        is empty for a case that passed.
    """
    if error is not None:
        return "error", error
    if skip_reason is not None:
        return "not-tested", skip_reason
    outcomes: tuple[tuple[str, CaseOutcome], ...] = (("violation", "failed"), ("deviation", "deviation"))
    for weight, outcome in outcomes:
        broken = [check.requirement for check in checks if failed_as(check, catalogue) == weight]
        if broken:
            return outcome, "; ".join(dict.fromkeys(_statement(name, catalogue) for name in broken))
    return "passed", ""


def _statement(requirement: str, catalogue: Catalogue) -> str:
    row = catalogue.requirements.get(requirement)
    return f"{row.text} ({row.cite})" if row else requirement


def strictest(requirements: Iterable[str], catalogue: Catalogue) -> str:
    """The strictest level among these requirements; ``MAY`` when there are none."""
    known = (catalogue.requirements[id_].level for id_ in requirements if id_ in catalogue.requirements)
    return min(known, key=LEVELS.index, default="MAY")


def verdicts(cases: Sequence[CaseResult], catalogue: Catalogue) -> tuple[RequirementVerdict, ...]:
    """The verdict on every requirement from these cases, in the order of the catalogue."""
    named: dict[str, list[CaseResult]] = {}
    blocked: dict[str, list[str]] = {}
    for case in cases:
        for id_ in dict.fromkeys([*case.requirements, *(check.requirement for check in _own_checks(case))]):
            named.setdefault(id_, []).append(case)
        if case.because:
            blocked.setdefault(case.because, []).append(case.id)
    return tuple(
        _verdict(row, named.get(row.id, ()), tuple(blocked.get(row.id, ())), catalogue)
        for row in catalogue.requirements.values()
    )


def _own_checks(case: CaseResult) -> tuple[Check, ...]:
    """The checks of a case that count.

    Not those that an ordinary call explains, nor the failed preconditions of a case that was not tested.
    """
    return tuple(
        check
        for check in case.checks
        if not check.because and not (case.because and check.precondition and check.passed is False)
    )


def _has_violation(checks: Iterable[Check], catalogue: Catalogue) -> bool:
    return any(failed_as(check, catalogue) == "violation" for check in checks)


def _verdict(
    row: Requirement, cases: Sequence[CaseResult], blocked: tuple[str, ...], catalogue: Catalogue
) -> RequirementVerdict:
    failing: list[str] = []
    reached = False
    for case in cases:
        checks = [check for check in _own_checks(case) if check.requirement == row.id]
        reached = reached or any(check.passed is not None or not row.judged for check in checks)
        unexplained = case.outcome == "failed" and not _has_violation(case.checks, catalogue)
        if row.judged and (unexplained or any(failed_as(check, catalogue) for check in checks)):
            failing.append(case.id)
    verdict: Verdict
    if failing:
        verdict = "violated" if row.binding else "deviates"
    elif reached:
        verdict = "conforms"
    else:
        verdict = "not-tested" if cases else "not-covered"
    names = tuple(case.id for case in cases)
    because = _violations_before(cases, catalogue) if verdict == "not-tested" else ()
    reasons = dict.fromkeys(case.reason for case in cases if case.outcome == "not-tested")
    return RequirementVerdict(
        row.id,
        verdict,
        names,
        tuple(failing),
        row.apart,
        blocked,
        because,
        (tuple(reasons) or (_NOTHING_TO_CHECK,)) if verdict == "not-tested" and not because else (),
    )


def _violations_before(cases: Iterable[CaseResult], catalogue: Catalogue) -> tuple[str, ...]:
    """The requirements whose violation ended these cases, or is why they were not tested (rule 8)."""
    found: dict[str, None] = {}
    for case in cases:
        if case.because:
            found[case.because] = None
        elif case.outcome == "failed":
            violated = (check for check in case.checks if failed_as(check, catalogue) == "violation")
            found.update(dict.fromkeys(check.requirement for check in violated))
    return tuple(found)


def summarise(
    cases: Sequence[CaseResult], requirements: Sequence[RequirementVerdict], *, complete: bool
) -> Summary:
    """The verdict on the target and the counts behind it."""
    outcomes = Counter(case.outcome for case in cases)
    counted = [row for row in requirements if not row.apart]
    judged = Counter(row.verdict for row in counted)
    overall: Overall = "conforming"
    if outcomes["failed"]:
        overall = "violations"
    elif outcomes["error"] or not complete or not outcomes["passed"] + outcomes["deviation"]:
        overall = "undecided"
    order: tuple[CaseOutcome, ...] = ("passed", "failed", "deviation", "not-tested", "error")
    return Summary(
        verdict=overall,
        cases={outcome: outcomes[outcome] for outcome in order},
        requirements={verdict: judged[verdict] for verdict in VERDICTS},
        apart=len(requirements) - len(counted),
        because=sum(bool(row.because) for row in counted),
    )
