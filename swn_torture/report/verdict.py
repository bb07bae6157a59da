"""From checks to verdicts: the one place that decides what a failed check means.

The rules:

1. A failed check of a binding requirement (MUST, MUST NOT, and what the text implies) is a violation.
2. A failed check of a SHOULD is a deviation.
3. MAY rows, notes on products and rows that are only recorded cannot fail; a check of them is a record.
4. A requirement conforms when at least one check of it was reached and none failed. A case that merely names
   a requirement proves nothing about it.
5. A case that failed without a check to show for it counts against everything it names: a loss of detail must
   not become a loss of a violation.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from swn_torture.report.model import CaseOutcome, CaseResult, Check
    from swn_torture.spec import Catalogue, Requirement

#: What the cases of a run say about a requirement.
Verdict = Literal["violated", "deviates", "not-tested", "conforms", "not-covered"]

#: Verdicts, worst first.
VERDICTS: tuple[Verdict, ...] = ("violated", "deviates", "not-tested", "conforms", "not-covered")

#: Levels, strictest first.
LEVELS = ("MUST", "MUST NOT", "implied", "SHOULD", "MAY", "product")

Overall = Literal["conforming", "violations", "undecided"]


@dataclass(frozen=True, slots=True)
class RequirementVerdict:
    """What a run says about one requirement.

    Attributes:
        id: catalogue id.
        verdict: see the rules above.
        cases: ids of every case that names it.
        failing: those of them in which a check of it failed.
        apart: why it is not counted (``client`` rules bind the other end, ``unobservable`` ones cannot be
            seen); empty when it is.
    """

    id: str
    verdict: Verdict
    cases: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    apart: str = ""

    def to_json(self) -> dict[str, Any]:
        """As in ``swn-torture-results/1``."""
        return {
            "id": self.id,
            "verdict": self.verdict,
            "cases": list(self.cases),
            "failing": list(self.failing),
            "apart": self.apart,
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """The verdict on a target and the counts behind it.

    Attributes:
        verdict: ``violations``: at least one MUST is violated. ``undecided``: none is, but errors or an
            interruption left questions open, or nothing was judged. ``conforming``: otherwise.
        cases: number of cases by outcome, all outcomes present.
        requirements: number of counted requirements by verdict, all verdicts present.
        apart: number of requirements that are not counted (client role, not observable).
    """

    verdict: Overall
    cases: Mapping[str, int]
    requirements: Mapping[str, int]
    apart: int

    @property
    def exit_code(self) -> int:
        """0 conforming, 1 violations, 3 when the target could not be judged to the end."""
        return {"conforming": 0, "violations": 1, "undecided": 3}[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """As in ``swn-torture-results/1``."""
        return {
            "verdict": self.verdict,
            "cases": dict(self.cases),
            "requirements": dict(self.requirements),
            "apart": self.apart,
        }


def failed_as(check: Check, catalogue: Catalogue) -> Literal["violation", "deviation"] | None:
    """What this check says against the target, if anything (rules 1 to 3).

    An id that the catalogue does not know binds: a violation must not vanish with a renamed row.
    """
    if check.passed is not False:
        return None
    requirement = catalogue.requirements.get(check.requirement)
    if requirement is None or requirement.binding:
        return "violation"
    return "deviation" if requirement.judged else None


def judge(checks: Iterable[Check], catalogue: Catalogue) -> Literal["passed", "failed", "deviation"]:
    """The outcome of a case that ran to its end, from its checks alone."""
    found = {failed_as(check, catalogue) for check in checks}
    if "violation" in found:
        return "failed"
    return "deviation" if "deviation" in found else "passed"


def strictest(requirements: Iterable[str], catalogue: Catalogue) -> str:
    """The strictest level among these requirements; ``MAY`` without any."""
    known = (catalogue.requirements[id_].level for id_ in requirements if id_ in catalogue.requirements)
    return min(known, key=LEVELS.index, default="MAY")


def verdicts(cases: Sequence[CaseResult], catalogue: Catalogue) -> tuple[RequirementVerdict, ...]:
    """What these cases say about every requirement, in the order of the catalogue."""
    named: dict[str, list[CaseResult]] = {}
    for case in cases:
        for id_ in dict.fromkeys([*case.requirements, *(check.requirement for check in case.checks)]):
            named.setdefault(id_, []).append(case)
    return tuple(_verdict(row, named.get(row.id, ()), catalogue) for row in catalogue.requirements.values())


def _verdict(row: Requirement, cases: Sequence[CaseResult], catalogue: Catalogue) -> RequirementVerdict:
    failing: list[str] = []
    reached = False
    for case in cases:
        checks = [check for check in case.checks if check.requirement == row.id]
        reached = reached or bool(checks)
        unexplained = case.outcome == "failed" and judge(case.checks, catalogue) != "failed"
        if row.judged and (unexplained or any(failed_as(check, catalogue) for check in checks)):
            failing.append(case.id)
    verdict: Verdict
    if failing:
        verdict = "violated" if row.binding else "deviates"
    elif reached:
        verdict = "conforms"
    else:
        verdict = "not-tested" if cases else "not-covered"
    apart = "client" if row.role == "client" else "" if row.observable else "unobservable"
    return RequirementVerdict(row.id, verdict, tuple(case.id for case in cases), tuple(failing), apart)


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
    )
