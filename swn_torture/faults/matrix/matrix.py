"""What the hunts say of the suite: which fault was caught by what, and what nothing catches."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swn_torture.faults.matrix.subjects import FOUNDATIONS, related
from swn_torture.faults.matrix.trials import Scope
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.faults.library import Fault
    from swn_torture.faults.matrix.trials import Trial
    from swn_torture.spec import Requirement

#: Outcomes by which a case tells that a server is wrong. An error does not: it says that nobody could tell.
CAUGHT = frozenset({"failed", "deviation"})


@dataclass(frozen=True, slots=True)
class FaultResult:
    """What the suite made of one fault.

    Attributes:
        fault: the fault.
        hunt: the run.
    """

    fault: Fault
    trial: Trial

    @property
    def catching_cases(self) -> tuple[str, ...]:
        """The cases that said the server is wrong."""
        return tuple(case for case, outcome in self.trial.outcomes.items() if outcome in CAUGHT)

    def cases_for(self, requirement: str) -> tuple[str, ...]:
        """Those that found this requirement broken."""
        return tuple(case for case in self.catching_cases if requirement in self.trial.broken[case])

    @property
    def unproven(self) -> tuple[str, ...]:
        """The requirements it violates that no case found broken."""
        return tuple(name for name in self.fault.violates if not self.cases_for(name))

    @property
    def survived(self) -> bool:
        """Whether no case said anything, of those that ran."""
        return bool(self.trial.outcomes) and not self.catching_cases

    @property
    def missed(self) -> bool:
        """Whether it was caught, but by cases that found other requirements broken than those it violates."""
        return bool(self.catching_cases) and len(self.unproven) == len(self.fault.violates)

    @property
    def unrelated_cases(self) -> tuple[str, ...]:
        """The cases that caught it though they name nothing akin to what it violates."""
        near = related((*self.fault.violates, *self.fault.near))
        return tuple(case for case in self.catching_cases if not near & set(self.trial.named[case]))

    @property
    def in_order(self) -> bool:
        """Whether the suite does with this fault what it should."""
        return not (self.unproven or self.trial.crashes)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Fault by case.

    Attributes:
        catches: one for each fault.
        reference: the run on the server without a fault.
        scope: which cases were run on each fault.
        duration_s: seconds that it took.
    """

    results: tuple[FaultResult, ...]
    reference: Trial
    scope: Scope
    duration_s: float = 0.0

    @property
    def survivors(self) -> list[FaultResult]:
        """The faults that nothing caught."""
        return [catch for catch in self.results if catch.survived]

    @property
    def missed(self) -> list[FaultResult]:
        """The faults that were caught for another reason than the one they give."""
        return [catch for catch in self.results if catch.missed]

    @property
    def not_run(self) -> list[FaultResult]:
        """The faults on which no case could be run."""
        return [catch for catch in self.results if not catch.trial.outcomes]

    @property
    def half_proven(self) -> list[FaultResult]:
        """The faults that were caught, but not in everything that they violate."""
        return [c for c in self.results if c.unproven and c.catching_cases and not c.missed]

    @property
    def crashed(self) -> list[FaultResult]:
        """The faults whose servers did not only misbehave but break."""
        return [catch for catch in self.results if catch.trial.crashes]

    @property
    def false_alarms(self) -> list[str]:
        """The cases that fail the reference."""
        return [case for case, outcome in self.reference.outcomes.items() if outcome != "passed"]

    @property
    def in_order(self) -> bool:
        """Whether every fault is caught for what it is, and the reference, run to the end, is not."""
        sound = bool(self.reference.outcomes) and not (self.reference.cut or self.reference.crashes)
        return sound and not self.false_alarms and all(c.in_order for c in self.results)

    @property
    def has_gaps(self) -> bool:
        """Whether a case is failed by no fault, or a MUST broken by none. Makes sense of all faults only."""
        return bool(self.blunt_cases() or self.unguarded() or self.blurred())

    def blunt_cases(self) -> list[str]:
        """The cases that no fault fails; with other parameters either, where not every case was run.

        Where only neighbours were run, without those that only record: what fails these is that the server
        dies of them, or of something else before.
        """
        sharp = {self._known_as(case) for catch in self.results for case in catch.catching_cases}
        every = self.scope is not Scope.NEAR
        known = dict.fromkeys(self._known_as(c) for c, ids in self.reference.judged.items() if ids or every)
        return [case for case in known if case not in sharp]

    def recording_cases(self) -> list[str]:
        """The cases that judge nothing: they put down what a server does where it may do as it likes."""
        judging = {self._known_as(case) for case, ids in self.reference.judged.items() if ids}
        every = dict.fromkeys(self._known_as(case) for case in self.reference.outcomes)
        return [case for case in every if case not in judging]

    def _known_as(self, case: str) -> str:
        return case if self.scope is Scope.ALL else case.partition("[")[0]

    def unguarded(self, levels: Sequence[str] = ("MUST", "MUST NOT")) -> list[str]:
        """The requirements of these levels that a case checks and no fault violates provably."""
        proven = {name for c in self.results for name in c.fault.violates if name not in c.unproven}
        named = {name for names in self.reference.named.values() for name in names}
        return [row.id for row in self._rows(levels) if row.id in named and row.id not in proven]

    def blurred(self, levels: Sequence[str] = ("MUST", "MUST NOT")) -> list[str]:
        """The requirements of these levels whose faults are all caught by strangers, too.

        None where only the neighbours were run, for then nobody knows; and none of the foundations.
        """
        if self.scope is Scope.NEAR:
            return []
        clear = {name for c in self.results if not c.unrelated_cases for name in c.fault.violates}
        proven = {name for c in self.results for name in c.fault.violates if name not in c.unproven}
        return [row.id for row in self._rows(levels) if row.id in proven - clear - FOUNDATIONS.keys()]

    def _rows(self, levels: Sequence[str]) -> list[Requirement]:
        rows = load_catalogue().requirements.values()
        return [row for row in rows if row.level in levels and row.judged]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "schema": "swn-torture-mutants/1",
            "scope": self.scope.value,
            "duration_s": round(self.duration_s, 1),
            "reference": dataclasses.asdict(self.reference),
            "faults": [
                {
                    "name": c.fault.name,
                    "summary": c.fault.summary,
                    "area": c.fault.area,
                    "violates": {name: c.cases_for(name) for name in c.fault.violates},
                    "strangers": c.unrelated_cases,
                    "killers": {case: c.trial.broken[case] for case in c.catching_cases},
                    "errors": [k for k, outcome in c.trial.outcomes.items() if outcome == "error"],
                    "ran": len(c.trial.outcomes),
                    "crashes": c.trial.crashes,
                    "cut": c.trial.cut,
                    "duration_s": c.trial.duration_s,
                }
                for c in self.results
            ],
            "blunt_cases": self.blunt_cases(),
            "recording_cases": self.recording_cases(),
            "unguarded": self.unguarded(),
            "blurred": self.blurred(),
        }
