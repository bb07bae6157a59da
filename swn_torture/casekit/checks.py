"""The law of a running case: observations are held against requirements, one by one, and all are kept.

A failed check does not end the case: what else the exchange shows is looked at too, so that a report tells
all that was wrong with one reply and not just the first thing. ``Law.stop`` ends a case that cannot go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.report.model import Check, Choice
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from swn_torture.casekit.outcome import Outcome
    from swn_torture.spec import Requirement


class CaseStopped(Exception):  # noqa: N818 - it is no error of the harness: the finding is in the law already
    """The case cannot go on; why has been recorded with the law."""


class UnknownRequirement(LookupError):  # noqa: N818 - named for what it reports
    """A case names an id that the catalogue lacks, or one that its mark does not list."""


class Spec:
    """What one case found so far.

    Attributes:
        case: id of the case.
        requirements: ids that its mark lists.
        checks: every check reached, in order.
        choices: what the target chose where the text leaves a choice.
        survival: whether the case itself judged that the target survived its stimulus.
    """

    def __init__(self, case: str, requirements: Iterable[str]) -> None:
        self.case = case
        self.requirements = tuple(requirements)
        self.checks: list[Check] = []
        self.choices: list[Choice] = []
        self.survival_checked = False

    def __call__(self, *ids: str) -> Rule:
        """The rule made of these requirements; an observation counts for each of them.

        Raises:
            UnknownRequirement: an id is not in the catalogue or not in the mark of the case.
        """
        catalogue = load_catalogue()
        for name in ids:
            if name not in catalogue.requirements:
                near = ", ".join(catalogue.closest(name)) or "nothing like it"
                raise UnknownRequirement(f"{self.case} names {name}; the catalogue has {near}")
            if name not in self.requirements:
                raise UnknownRequirement(f"{self.case} checks {name}, which its mark does not list")
        return Rule(self, tuple(catalogue.requirements[name] for name in ids))

    def choice(self, ambiguity: str, observed: object) -> None:
        """Record what the target chose where the text leaves a choice or contradicts itself."""
        if ambiguity not in load_catalogue().ambiguities:
            raise UnknownRequirement(f"{self.case} records {ambiguity}, which the catalogue lacks")
        choice = Choice(ambiguity, str(observed), self.case)
        if choice not in self.choices:
            self.choices.append(choice)

    def precondition_failed(
        self, requirement: str, *, expected: str, observed: object, note: str
    ) -> CaseStopped:
        """What to raise when a stimulus that every case relies on was not served: a finding about that.

        The requirement need not be in the mark of the case: it is not what the case is about.
        """
        row = load_catalogue().requirements[requirement]
        self.checks.append(
            Check(row.id, passed=False, expected=(expected,), observed=str(observed), note=note)
        )
        return CaseStopped(self.case)

    def stop(self) -> CaseStopped:
        """What to raise when the case cannot go on; a failed check has to be there already."""
        if not self.failed:
            raise AssertionError(f"{self.case} stops without a failed check")
        return CaseStopped(self.case)

    @property
    def failed(self) -> list[Check]:
        """The checks that failed, deviations included."""
        return [check for check in self.checks if check.passed is False]

    @property
    def violations(self) -> list[Check]:
        """The checks of binding requirements that failed."""
        rows = load_catalogue().requirements
        return [check for check in self.failed if rows[check.requirement].binding]


class Rule:
    """One or more requirements that one observation decides."""

    def __init__(self, spec: Spec, requirements: tuple[Requirement, ...]) -> None:
        self._law = spec
        self._requirements = requirements

    def holds(
        self, condition: bool, *, expected: str | Iterable[str], observed: object, note: str = ""
    ) -> bool:
        """Hold an observation against the rule; returns whether it is allowed.

        Args:
            condition: whether what was observed is allowed.
            expected: all that is allowed, in words or values, one entry each.
            observed: what came; shown as text.
            note: where in the case this was.
        """
        allowed = (expected,) if isinstance(expected, str) else tuple(expected)
        for requirement in self._requirements:
            passed = bool(condition) if requirement.judged else None
            self._law.checks.append(Check(requirement.id, passed, allowed, str(observed), note))
        return bool(condition)

    def equal(
        self, observed: object, *allowed: object, show: Callable[[object], str] = repr, note: str = ""
    ) -> bool:
        """The observation is one of the allowed values; ``show`` turns a value into text."""
        return self.holds(
            observed in allowed,
            expected=[show(value) for value in allowed],
            observed=show(observed),
            note=note,
        )

    def allows(self, observed: Outcome, *allowed: Outcome, note: str = "") -> bool:
        """The outcome of a call is one of the allowed outcomes."""
        return self.holds(
            any(outcome.matches(observed) for outcome in allowed),
            expected=[str(outcome) for outcome in allowed],
            observed=observed,
            note=note,
        )

    def record(self, observed: object, note: str = "") -> None:
        """Reached, and nothing to judge: the target's behaviour goes into the report."""
        for requirement in self._requirements:
            self._law.checks.append(Check(requirement.id, None, (), str(observed), note))
