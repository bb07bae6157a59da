"""What the trials say of the suite: false alarms, and what is not tested on an unusual server."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swn_torture.trials import Trial
    from swn_torture.unusual.library import Unusual

#: Outcomes of a case that say that something is wrong.
_ALARMS = frozenset({"failed", "deviation", "error"})


@dataclass(frozen=True, slots=True)
class Alarm:
    """One case that says that a conforming server is wrong, or that could not judge it.

    Attributes:
        case: its id.
        outcome: ``failed``, ``deviation`` or ``error``.
        broken: the requirements that it found broken, without those that the server does not follow.
        reason: its reason.
    """

    case: str
    outcome: str
    broken: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class ServerResult:
    """One unusual server, and what the suite found.

    Attributes:
        server: the server; None for the reference itself.
        trial: the run of the suite.
        reference: the run on the reference.
    """

    server: Unusual | None
    trial: Trial
    reference: Trial

    @property
    def name(self) -> str:
        """The name of the server."""
        return self.server.name if self.server else "reference"

    @property
    def breaks(self) -> tuple[str, ...]:
        """The requirements that the server does not follow."""
        return self.server.breaks if self.server else ()

    @property
    def allowed(self) -> frozenset[str]:
        """The requirements that cases may find broken."""
        return frozenset((*self.breaks, *(self.server.consequences if self.server else ())))

    @cached_property
    def alarms(self) -> tuple[Alarm, ...]:
        """The false alarms: cases with a finding that the server does not deserve, or with an error."""
        found = []
        for case, outcome in self.trial.outcomes.items():
            broken = set(self.trial.broken[case])
            deserved = outcome != "error" and broken and broken <= self.allowed
            if outcome in _ALARMS and not deserved:
                undeserved = tuple(sorted(broken - self.allowed))
                found.append(Alarm(case, outcome, undeserved, self.trial.reasons.get(case, "")))
        return tuple(found)

    @property
    def not_found(self) -> tuple[str, ...]:
        """The requirements that the server does not follow and that no case found broken."""
        found = {name for names in self.trial.broken.values() for name in names}
        return tuple(name for name in self.breaks if name not in found)

    @property
    def innocent(self) -> bool:
        """Whether all cases ran, without a false alarm, and found what they had to find."""
        complete = bool(self.trial.outcomes) and not self.trial.cut_short
        return complete and not (self.alarms or self.not_found or self.trial.crashes)

    @property
    def outcomes(self) -> Counter[str]:
        """How many cases have each outcome."""
        return Counter(self.trial.outcomes.values())

    @property
    def not_judged(self) -> tuple[str, ...]:
        """The requirements that a case judges on the reference and none on this server."""
        here = {name for names in self.trial.judged.values() for name in names}
        there = {name for names in self.reference.judged.values() for name in names}
        return tuple(sorted(there - here))

    @property
    def why_not_tested(self) -> Counter[str]:
        """How many cases were not tested for each reason."""
        return Counter(
            self.trial.reasons.get(case, "")
            for case, outcome in self.trial.outcomes.items()
            if outcome == "not-tested"
        )


@dataclass(frozen=True)
class Innocence:
    """The innocence matrix.

    Attributes:
        results: the reference, then one result for each unusual server.
        one_per_function: whether one case of each test function ran, not all of them.
        duration_s: the time it took, in seconds.
        date: the day, as ISO 8601 writes it.
    """

    results: tuple[ServerResult, ...]
    one_per_function: bool = False
    duration_s: float = 0.0
    date: str = ""

    @classmethod
    def of(cls, servers: list[Unusual], reference: Trial, trials: list[Trial], **others: Any) -> Innocence:
        """Return the matrix of these servers and their trials.

        Args:
            servers: the unusual servers.
            reference: the trial of the reference.
            trials: one for each server.
            others: the other attributes.
        """
        results = [ServerResult(None, reference, reference)]
        results += [ServerResult(s, t, reference) for s, t in zip(servers, trials, strict=True)]
        return cls(tuple(results), **others)

    @property
    def false_alarms(self) -> list[ServerResult]:
        """The servers for which the suite does not do as it must."""
        return [result for result in self.results if not result.innocent]

    @property
    def as_expected(self) -> bool:
        """Whether no server is failed that conforms."""
        return not self.false_alarms

    def to_json(self) -> dict[str, Any]:
        """The matrix as plain values."""
        return {
            "schema": "swn-torture-innocence/1",
            "date": self.date,
            "duration_s": round(self.duration_s, 1),
            "one_per_function": self.one_per_function,
            "servers": [_row(result) for result in self.results],
        }


def _row(result: ServerResult) -> dict[str, Any]:
    server = result.server
    return {
        "name": result.name,
        "area": server.area if server else "",
        "summary": server.summary if server else "",
        "conforms": server.conforms if server else "",
        "breaks": list(result.breaks),
        "innocent": result.innocent,
        "outcomes": dict(result.outcomes),
        "alarms": [
            {"case": a.case, "outcome": a.outcome, "broken": list(a.broken), "reason": a.reason}
            for a in result.alarms
        ],
        "not_found": list(result.not_found),
        "not_judged": list(result.not_judged),
        "why_not_tested": dict(result.why_not_tested.most_common()),
        "crashes": list(result.trial.crashes),
        "cut_short": result.trial.cut_short,
        "duration_s": result.trial.duration_s,
    }
