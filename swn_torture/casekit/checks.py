"""The ``spec`` fixture: a case checks what it observes against requirements, and every check is kept.

A failed check does not end the case. The case goes on checking, so that a report shows everything that is
wrong with a response and not only the first thing. ``raise spec.stop()`` ends a case that cannot go on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from swn_torture.casekit.blame import concerns
from swn_torture.casekit.outcome import Outcome, returns
from swn_torture.casekit.shown import in_words, require_text, shown
from swn_torture.report.model import Check, Choice
from swn_torture.spec import load_catalogue
from swn_torture.stubdata.win32 import Win32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from swn_torture.spec import Requirement


class CaseStopped(Exception):  # noqa: N818 - not an error of the harness: a failed check is recorded already
    """The case cannot go on; a failed check in its ``Spec`` says why."""


class UnknownRequirement(LookupError):  # noqa: N818 - named after what it reports
    """A case uses an id that is not in the catalogue, or one that its mark does not list."""


#: How a call ends that gets no response.
_NO_RESPONSE = frozenset({"closed", "silence", "fault", "bind-nak"})


class Spec:
    """The checks and choices of one running case.

    Attributes:
        case: id of the case.
        requirements: ids of requirements that its mark lists.
        checks: every check so far, in order.
        choices: what the target does where the specification leaves a choice.
        survival_checked: whether the case checks by itself that the target still serves other connections.
    """

    def __init__(self, case: str, requirements: Iterable[str]) -> None:
        self.case = case
        self.requirements = tuple(requirements)
        self.checks: list[Check] = []
        self.choices: list[Choice] = []
        self._outcomes: dict[int, Outcome] = {}
        self._without_response: list[int] = []
        self.survival_checked = False

    def __call__(self, *ids: str) -> Rule:
        """A rule made of these requirements; each observation is one check for each of them.

        Raises:
            UnknownRequirement: an id is not in the catalogue or not in the mark of the case.
        """
        catalogue = load_catalogue()
        for name in ids:
            if name not in catalogue.requirements:
                raise self._unknown("requirement", name)
            if name not in self.requirements:
                raise UnknownRequirement(
                    f"{self.case} checks {name}, which its mark does not list. Add it to @case(...)."
                )
        return Rule(self, tuple(catalogue.requirements[name] for name in ids))

    def choice(self, ambiguity: str, observed: object) -> None:
        """Record what the target does where the specification leaves a choice or contradicts itself.

        Args:
            ambiguity: its id in the catalogue, ``AMB-<n>``.
            observed: what the target does; shown as text. The same choice is recorded once.

        Raises:
            UnknownRequirement: the ambiguity is not in the catalogue.
        """
        if ambiguity not in load_catalogue().ambiguities:
            raise self._unknown("ambiguity", ambiguity)
        choice = Choice(ambiguity, require_text(shown(observed)), self.case)
        if choice not in self.choices:
            self.choices.append(choice)

    def precondition_failed(
        self, requirement: str, *, expected: str, observed: object, note: str
    ) -> CaseStopped:
        """Record that a call which the case relies on failed; returns the exception to raise.

        The finding is about ``requirement``, or about another one if the octets of the answer violate that
        (``Outcome.blame``). If the mark of the case does not list it, the check is a precondition
        (``Check.precondition``): when another case is about the requirement, this one is only not tested.

        Args:
            requirement: the requirement that the call violates. It need not be in the mark of the case.
            expected: what was expected, in words.
            observed: what was observed; shown as text.
            note: which call this was.
        """
        blame = observed.blame if isinstance(observed, Outcome) else None
        if blame is not None:
            requirement, expected = blame.requirement, blame.expected
        self.add(requirement, passed=False, expected=(expected,), observed=observed, note=note)
        return CaseStopped(self.case)

    def add(
        self,
        requirement: str,
        *,
        passed: bool | None,
        expected: Iterable[str],
        observed: object,
        note: str,
        invariant: bool = False,
    ) -> None:
        """Append a check; it is a precondition if the mark of the case does not list its requirement.

        Args:
            requirement: id of the requirement.
            passed: whether the observation is allowed; None when it is only recorded.
            expected: everything that is allowed, in words.
            observed: what was observed; shown as text.
            note: where in the case this was.
            invariant: whether it is a rule of the wire that is checked in every case.

        Raises:
            ValueError: a text contains a value as Python writes it, and no finding is lost by this error.
        """
        row = load_catalogue().requirements[requirement]
        checked = in_words if passed is False else require_text
        if passed is False and isinstance(observed, Outcome):
            self._outcomes[len(self.checks)] = observed
        ended = getattr(observed, "refusal", observed)  # a bind has an outcome where it has no result
        if passed is False and isinstance(ended, Outcome) and ended.kind in _NO_RESPONSE:
            self._without_response.append(len(self.checks))
        self.checks.append(
            Check(
                row.id,
                passed,
                tuple(checked(text) for text in expected),
                checked(shown(observed)),
                checked(note),
                precondition=row.id not in self.requirements,
                invariant=invariant,
            )
        )

    @property
    def unexplained(self) -> tuple[Outcome, ...]:
        """The outcomes of calls that made a check fail, except for preconditions."""
        return tuple(
            outcome for index, outcome in self._outcomes.items() if not self.checks[index].precondition
        )

    def explain(
        self,
        requirement: str,
        ordinary: Outcome,
        note: str,
        *,
        about: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Record that an ordinary call of a method fails; it explains the checks that failed in the same way.

        Such a check says nothing about its own requirement: what the case sent did not make the difference.

        Args:
            requirement: the requirement that the ordinary call violates.
            ordinary: its outcome.
            note: which call this was.
            about: whether it can explain a failed check of a requirement.
        """
        explained = [
            index
            for index, outcome in self._outcomes.items()
            if outcome == ordinary
            and (outcome.opnum == ordinary.opnum or ordinary.ends_any_call)
            and self.checks[index].requirement != requirement
            and about(self.checks[index].requirement)
        ]
        for index in explained:
            self.checks[index] = replace(self.checks[index], because=requirement)
        if explained and requirement not in {check.requirement for check in self.failed}:
            expected = str(returns(Win32.ERROR_SUCCESS))
            self.precondition_failed(requirement, expected=expected, observed=ordinary, note=note)

    def excuse(self, requirement: str, *, expected: str, observed: str, note: str) -> bool:
        """Record why calls got no response; the checks that failed by that say nothing about their rules.

        A response with a wrong value is a finding all the same.

        Args:
            requirement: the requirement that the server violated before the first case.
            expected: what was expected then, in words.
            observed: what was observed.
            note: where this was.

        Returns:
            Whether a check is excused.
        """
        excused = [i for i in self._without_response if self.checks[i].requirement != requirement]
        for index in excused:
            self.checks[index] = replace(self.checks[index], because=requirement)
        if excused:
            self.add(requirement, passed=False, expected=(expected,), observed=observed, note=note)
        return bool(excused)

    def stop(self) -> CaseStopped:
        """The exception to raise when the case cannot go on.

        Raises:
            AssertionError: no check has failed yet, so that a report could not say why the case ended.
        """
        if not self.failed:
            raise AssertionError(f"{self.case} calls stop() without a failed check")
        return CaseStopped(self.case)

    def _unknown(self, what: str, name: str) -> UnknownRequirement:
        near = ", ".join(load_catalogue().closest(name)) or "none"
        return UnknownRequirement(f"Unknown {what} {name!r} in {self.case}. Close matches: {near}.")

    @property
    def failed(self) -> list[Check]:
        """The checks that failed: violations and deviations."""
        return [check for check in self.checks if check.passed is False]

    @property
    def violations(self) -> list[Check]:
        """The failed checks of binding requirements: the violations, without the deviations."""
        rows = load_catalogue().requirements
        return [check for check in self.failed if rows[check.requirement].binding]


class Rule:
    """One or more requirements that one observation is checked against."""

    def __init__(self, spec: Spec, requirements: tuple[Requirement, ...]) -> None:
        self._spec = spec
        self._requirements = requirements

    def holds(
        self, condition: bool, *, expected: str | Iterable[str], observed: object, note: str = ""
    ) -> bool:
        """Record a check that the case has decided; returns ``condition``.

        A requirement that is only recorded (``Requirement.judged`` is False) gets a check that neither
        passes nor fails.

        An answer that cannot be read violates the requirement on its octets (``Outcome.blame``). It says
        nothing about a rule on something else, so that this rule is then not checked.

        Args:
            condition: whether what was observed is allowed.
            expected: everything that is allowed, in words or values, one entry each.
            observed: what was observed; shown as text.
            note: where in the case this was.
        """
        allowed = (expected,) if isinstance(expected, str) else tuple(expected)
        blame = observed.blame if isinstance(observed, Outcome) and not condition else None
        for requirement in self._requirements:
            if blame is None or concerns(requirement.id, blame.requirement):
                passed = bool(condition) if requirement.judged else None
                self._spec.add(requirement.id, passed=passed, expected=allowed, observed=observed, note=note)
        if blame is not None and blame.requirement not in {row.id for row in self._requirements}:
            wanted = (blame.expected,)
            self._spec.add(blame.requirement, passed=False, expected=wanted, observed=observed, note=note)
        return bool(condition)

    def equal(
        self, observed: object, *allowed: object, show: Callable[[object], str] = shown, note: str = ""
    ) -> bool:
        """Check that a value is one of the allowed values; returns whether it is.

        Args:
            observed: the value.
            allowed: every allowed value.
            show: turns a value into text.
            note: where in the case this was.
        """
        return self.holds(
            observed in allowed,
            expected=[show(value) for value in allowed],
            observed=show(observed),
            note=note,
        )

    def allows(self, observed: Outcome, *allowed: Outcome, note: str = "") -> bool:
        """Check that the outcome of a call is one of the allowed outcomes; returns whether it is."""
        return self.holds(
            any(outcome.matches(observed) for outcome in allowed),
            expected=[str(outcome) for outcome in allowed],
            observed=observed,
            note=note,
        )

    def record(self, observed: object, note: str = "") -> None:
        """Record what the target does, without a judgement."""
        for requirement in self._requirements:
            self._spec.add(requirement.id, passed=None, expected=(), observed=observed, note=note)
