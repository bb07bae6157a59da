"""What the trials say of the suite: which cases caught which fault, and what no case and no fault covers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swn_torture.faults.library import KINDS
from swn_torture.faults.matrix.subjects import FOUNDATIONS, related
from swn_torture.faults.matrix.trials import Scope
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.faults.library import Fault, Kind
    from swn_torture.faults.matrix.trials import Trial
    from swn_torture.spec import Requirement

#: Outcomes by which a case says that a server is wrong. An error does not: the case could not judge.
CAUGHT = frozenset({"failed", "deviation"})

MUST = ("MUST", "MUST NOT")


@dataclass(frozen=True, slots=True)
class FaultResult:
    """One fault, and what the suite found on a server that has it.

    Attributes:
        fault: the fault.
        trial: the run of the suite.
    """

    fault: Fault
    trial: Trial

    @property
    def catching_cases(self) -> tuple[str, ...]:
        """The cases that said that the server is wrong."""
        return tuple(case for case, outcome in self.trial.outcomes.items() if outcome in CAUGHT)

    def cases_for(self, requirement: str) -> tuple[str, ...]:
        """The cases that found this requirement broken."""
        return tuple(case for case in self.catching_cases if requirement in self.trial.broken[case])

    @property
    def not_found(self) -> tuple[str, ...]:
        """The requirements that the fault violates and that no case found broken."""
        return tuple(name for name in self.fault.violates if not self.cases_for(name))

    @property
    def not_caught(self) -> bool:
        """Whether cases ran and none of them said that the server is wrong."""
        return bool(self.trial.outcomes) and not self.catching_cases

    @property
    def caught_otherwise(self) -> bool:
        """Whether cases caught it, but found only requirements broken that it does not violate."""
        return bool(self.catching_cases) and len(self.not_found) == len(self.fault.violates)

    @property
    def caught_in_part(self) -> bool:
        """Whether cases found some, but not all, of the requirements broken that it violates."""
        return bool(self.catching_cases and self.not_found) and not self.caught_otherwise

    @property
    def unrelated_cases(self) -> tuple[str, ...]:
        """The cases that caught it although they name no requirement of a related subject."""
        near = related((*self.fault.violates, *self.fault.near))
        return tuple(case for case in self.catching_cases if not near & set(self.trial.named[case]))

    @property
    def as_expected(self) -> bool:
        """Whether every requirement that it violates was found broken, and the server did not crash."""
        return not (self.not_found or self.trial.crashes)


@dataclass(frozen=True, slots=True)
class Figures:
    """The counts for the faults of one kind, or of both.

    Attributes:
        faults: how many faults.
        caught: faults that a case caught.
        caught_for_violated: caught faults for which a case found a violated requirement broken.
        caught_in_part: caught faults for which cases found some violated requirements broken, but not all.
        not_caught: faults that no case caught.
        confirmed_requirements: requirements that a fault violates and a case found broken.
        cases_without_fault: cases that no fault fails.
        requirements_without_fault: MUST requirements that have cases and that no fault violates.
        requirements_without_specific_fault: MUST requirements with faults that unrelated cases caught,
            too, and no other faults; None where unrelated cases were not run.
    """

    faults: int
    caught: int
    caught_for_violated: int
    caught_in_part: int
    not_caught: int
    confirmed_requirements: int
    cases_without_fault: int
    requirements_without_fault: int
    requirements_without_specific_fault: int | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Faults by cases.

    Attributes:
        results: one for each fault.
        reference: the run on the server without a fault.
        scope: which cases were run on each fault.
        duration_s: the time it took, in seconds.
    """

    results: tuple[FaultResult, ...]
    reference: Trial
    scope: Scope
    duration_s: float = 0.0

    def of_kind(self, kind: Kind) -> Matrix:
        """Return the matrix with the faults of one kind only."""
        return dataclasses.replace(self, results=tuple(r for r in self.results if r.fault.kind == kind))

    def by_kind(self) -> dict[str, Matrix]:
        """Return the matrix of each kind, and the whole as ``both``."""
        return {**{kind: self.of_kind(kind) for kind in KINDS}, "both": self}

    def figures(self) -> Figures:
        """Return the counts."""
        caught = sum(1 for result in self.results if result.catching_cases)
        everything_ran = not self.scope.limited
        return Figures(
            faults=len(self.results),
            caught=caught,
            caught_for_violated=caught - len(self.caught_otherwise),
            caught_in_part=len(self.caught_in_part),
            not_caught=len(self.not_caught),
            confirmed_requirements=len(self._confirmed()),
            cases_without_fault=len(self.cases_without_fault()),
            requirements_without_fault=len(self.requirements_without_fault()),
            requirements_without_specific_fault=(
                len(self.requirements_without_specific_fault()) if everything_ran else None
            ),
        )

    @property
    def not_caught(self) -> list[FaultResult]:
        """The faults that no case caught."""
        return [result for result in self.results if result.not_caught]

    @property
    def caught_otherwise(self) -> list[FaultResult]:
        """The faults that were caught only for requirements that they do not violate."""
        return [result for result in self.results if result.caught_otherwise]

    @property
    def caught_in_part(self) -> list[FaultResult]:
        """The faults that were caught for some, but not all, of the requirements that they violate."""
        return [result for result in self.results if result.caught_in_part]

    @property
    def not_run(self) -> list[FaultResult]:
        """The faults on which no case ran."""
        return [result for result in self.results if not result.trial.outcomes]

    @property
    def crashed(self) -> list[FaultResult]:
        """The faults with exceptions in the server that nothing caught."""
        return [result for result in self.results if result.trial.crashes]

    @property
    def reference_failures(self) -> list[str]:
        """The cases that do not pass on the reference."""
        return [case for case, outcome in self.reference.outcomes.items() if outcome != "passed"]

    @property
    def as_expected(self) -> bool:
        """Whether every fault is caught for what it violates, and the reference passes all cases."""
        complete = bool(self.reference.outcomes) and not (self.reference.cut_short or self.reference.crashes)
        return complete and not self.reference_failures and all(r.as_expected for r in self.results)

    @property
    def has_gaps(self) -> bool:
        """Whether a case has no fault that fails it, or a MUST no fault that violates it.

        This is meaningful only if all faults were tried. With `Scope.FIRST` and `Scope.OWN` only the MUSTs
        count: some cases are failed by a fault of another requirement of their section only, on which they
        do not run.
        """
        cases = [] if self.scope in {Scope.FIRST, Scope.OWN} else self.cases_without_fault()
        return bool(cases or self.requirements_without_fault() or self.requirements_without_specific_fault())

    def cases_without_fault(self) -> list[str]:
        """The cases that no fault fails; where not every case was run, with their parameters ignored.

        With a limited scope the cases that only record are left out. A fault fails such a case only if
        the server stops answering, and it can be a fault of another section, on which the case is not run.
        """
        failing = {self._known_as(case) for result in self.results for case in result.catching_cases}
        every = not self.scope.limited
        known = dict.fromkeys(self._known_as(c) for c, ids in self.reference.judged.items() if ids or every)
        return [case for case in known if case not in failing]

    def recording_cases(self) -> list[str]:
        """The cases that judge nothing and only record what a server does where it has a choice."""
        judging = {self._known_as(case) for case, ids in self.reference.judged.items() if ids}
        every = dict.fromkeys(self._known_as(case) for case in self.reference.outcomes)
        return [case for case in every if case not in judging]

    def requirements_without_fault(self, levels: Sequence[str] = MUST) -> list[str]:
        """The requirements of these levels that a case checks and that no fault was found to violate."""
        confirmed = self._confirmed()
        named = {name for names in self.reference.named.values() for name in names}
        return [row.id for row in self._rows(levels) if row.id in named and row.id not in confirmed]

    def requirements_without_specific_fault(self, levels: Sequence[str] = MUST) -> list[str]:
        """The requirements of these levels for which unrelated cases catch each fault, too.

        With a limited scope the list is empty, since unrelated cases were not run. `FOUNDATIONS` are left
        out.
        """
        if self.scope.limited:
            return []
        specific = {name for r in self.results if not r.unrelated_cases for name in r.fault.violates}
        rows = self._confirmed() - specific - FOUNDATIONS.keys()
        return [row.id for row in self._rows(levels) if row.id in rows]

    def _confirmed(self) -> set[str]:
        """The requirements that a fault violates and a case found broken."""
        return {name for r in self.results for name in r.fault.violates if name not in r.not_found}

    def _known_as(self, case: str) -> str:
        return case if self.scope is Scope.ALL else case.partition("[")[0]

    def _rows(self, levels: Sequence[str]) -> list[Requirement]:
        rows = load_catalogue().requirements.values()
        return [row for row in rows if row.level in levels and row.judged]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "schema": "swn-torture-fault-matrix/1",
            "scope": self.scope.value,
            "duration_s": round(self.duration_s, 1),
            "figures": {kind: dataclasses.asdict(part.figures()) for kind, part in self.by_kind().items()},
            "reference": dataclasses.asdict(self.reference),
            "faults": [
                {
                    "name": r.fault.name,
                    "summary": r.fault.summary,
                    "area": r.fault.area,
                    "kind": r.fault.kind,
                    "seen_in": r.fault.seen_in,
                    "violates": {name: r.cases_for(name) for name in r.fault.violates},
                    "catching_cases": {case: r.trial.broken[case] for case in r.catching_cases},
                    "unrelated_cases": r.unrelated_cases,
                    "errors": [case for case, outcome in r.trial.outcomes.items() if outcome == "error"],
                    "cases_run": len(r.trial.outcomes),
                    "crashes": r.trial.crashes,
                    "cut_short": r.trial.cut_short,
                    "duration_s": r.trial.duration_s,
                }
                for r in self.results
            ],
            "recording_cases": self.recording_cases(),
            **{
                what: {kind: getattr(part, what)() for kind, part in self.by_kind().items()}
                for what in (
                    "cases_without_fault",
                    "requirements_without_fault",
                    "requirements_without_specific_fault",
                )
            },
        }
