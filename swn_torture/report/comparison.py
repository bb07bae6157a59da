"""What a comparison with a baseline says: the differences, and the causes that explain findings.

`swn_torture.baseline` makes it. The reports show it. It is part of the JSON results (member ``baseline``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from swn_torture.report.model import Plain, build, members

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: ``as-expected``: nothing differs. ``new-violation``: something is violated that no cause explains.
#: ``unusable``: the target could not be used, or the run is not complete. ``not-true``: the baseline lists
#: something that the run does not show, or the target behaves in another way than the baseline says.
Situation = Literal["as-expected", "new-violation", "unusable", "not-true"]

#: The exit code of each situation. 2 is a usage error.
EXIT_CODES: Mapping[Situation, int] = {
    "as-expected": 0,
    "new-violation": 1,
    "unusable": 3,
    "not-true": 4,
}

#: The class of a cause. ``known``: a violation or a deviation that the target has. ``flaky``: one that is not
#: seen in every run. ``impossible``: what this set-up cannot show. ``required``: it must be judged and pass.
CauseClass = Literal["known", "flaky", "impossible", "required"]

#: Kinds of differences, in the order in which reports show them.
#:
#: ==============  ==================================================================================
#: new             a violation that no cause lists
#: changed         a violation that a cause lists, with another observation
#: required        a case or a requirement that must pass, and does not
#: unfinished      a case that was started and did not end
#: error           a case that ended in an error: nothing is known about the target
#: lost            a case that was judged in the baseline, and is not judged now
#: fixed           a listed finding that is no longer seen, although its case was judged
#: judged          a case that was not tested in the baseline, and is judged now
#: deviation       a SHOULD that is not followed, and which no cause lists with this observation
#: choice          a choice of the target that differs
#: observation     another observation in a case that fails anyway
#: not-tested      a case that is not tested for another reason than in the baseline, or that is new
#: record          a record that differs; reported, and nothing else
#: ==============  ==================================================================================
Kind = Literal[
    "new",
    "changed",
    "required",
    "unfinished",
    "error",
    "lost",
    "fixed",
    "judged",
    "deviation",
    "choice",
    "observation",
    "not-tested",
    "record",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Difference(Plain):
    """One difference between a run and a baseline.

    Attributes:
        kind: see `KINDS`.
        case: id of the case; for a lost case that is not in the results, its id without parameters.
        requirement: catalogue id of the requirement or the ambiguity; may be empty.
        observed: what the run shows, in the normalised form of a baseline.
        pinned: what the baseline has instead.
        cause: id of the cause that lists it; empty when there is none.
        reason: why a case was not judged, or what a reader should know; one sentence or empty.
    """

    kind: Kind
    case: str = ""
    requirement: str = ""
    observed: str = ""
    pinned: tuple[str, ...] = ()
    cause: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of difference {self.kind!r}; known: {', '.join(KINDS)}")


@dataclass(frozen=True, slots=True)
class Explained(Plain):
    """A finding that a cause explains.

    Attributes:
        case: id of the case.
        requirement: catalogue id.
        observed: what was observed, in the normalised form of a baseline.
        cause: id of the cause.
    """

    case: str
    requirement: str
    observed: str
    cause: str


@dataclass(frozen=True, slots=True)
class CauseView(Plain):
    """A cause of the baseline, and what the run shows of it.

    Attributes:
        id: its id in the baseline.
        title: one line.
        kind: its class, see `CauseClass`.
        reason: why it is listed.
        bug: link to a report of it; may be empty.
        seen_with: versions of the target that have it.
        cases: ids of the cases of this run that show it.
        failed: how often a finding of it was seen, over all runs that were compared.
        passed: how often a case of it was judged and did not show it.
        since: date of the entry (ISO 8601); empty when it has none.
        age_days: days since then; None without a date.
        overdue: whether it is a flaky entry older than the given age.
    """

    id: str
    title: str
    kind: CauseClass
    reason: str = ""
    bug: str = ""
    seen_with: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    failed: int = 0
    passed: int = 0
    since: str = ""
    age_days: int | None = None
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Comparison(Plain):
    """The comparison of one run, or of several, with a baseline.

    Attributes:
        baseline: name or path of the baseline.
        situation: see `Situation`.
        runs: number of runs that were compared.
        differences: what differs, in the order of `KINDS`, then by case.
        causes: the causes of the baseline.
        explained: the findings that the causes explain.
        incomplete: why the run is not complete; empty when it is.
        partial: which part of the suite ran, when the user selected some cases; empty for all.
        notes: what a reader should know, one sentence each.
        allow_fixed: whether fixed findings are no reason to fail.
        strict: whether a new deviation counts as a violation.
    """

    baseline: str
    situation: Situation
    runs: int = 1
    differences: tuple[Difference, ...] = ()
    causes: tuple[CauseView, ...] = ()
    explained: tuple[Explained, ...] = ()
    incomplete: str = ""
    partial: str = ""
    notes: tuple[str, ...] = ()
    allow_fixed: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        if self.situation not in EXIT_CODES:
            raise ValueError(f"unknown situation {self.situation!r}; known: {', '.join(EXIT_CODES)}")

    @property
    def exit_code(self) -> int:
        """The exit code: 0 as expected, 1 new violation, 3 unusable or incomplete, 4 no longer true."""
        return EXIT_CODES[self.situation]

    def of_kind(self, *kinds: Kind) -> tuple[Difference, ...]:
        """The differences of these kinds."""
        return tuple(each for each in self.differences if each.kind in kinds)

    @property
    def violations(self) -> tuple[Difference, ...]:
        """The differences that are new violations; with ``strict`` deviations are among them."""
        deviations: tuple[Kind, ...] = ("deviation",) if self.strict else ()
        return self.of_kind("new", "changed", "required", *deviations)

    def causes_of(self, case_id: str) -> tuple[CauseView, ...]:
        """The causes that explain findings of a case, in the order of the baseline."""
        ids = {each.cause for each in self.explained if each.case == case_id}
        return tuple(cause for cause in self.causes if cause.id in ids)

    def explains(self, case_id: str) -> bool:
        """Whether causes explain every finding of a case, or the error in which it ended."""
        kinds = {"new", "changed", "required", "deviation", "error", "unfinished"}
        differs = any(each.kind in kinds and each.case == case_id for each in self.differences)
        return bool(self.causes_of(case_id)) and not differs

    def fails(self, difference: Difference) -> bool:
        """Whether a difference is a reason to fail: not a record, and not what `allow_fixed` allows."""
        allowed: tuple[Kind, ...] = ("fixed", "judged") if self.allow_fixed else ()
        return difference.kind not in {"record", *allowed}

    def is_new(self, case_id: str) -> bool:
        """Whether a case has a finding that no cause explains (violation or deviation)."""
        kinds = {"new", "changed", "required", "deviation"}
        return any(each.kind in kinds and each.case == case_id for each in self.differences)

    def to_json(self) -> dict[str, Any]:
        """The JSON form; ``exit_code`` is part of it, for programs that read it."""
        return {**super(Comparison, self).to_json(), "exit_code": self.exit_code}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The comparison from its JSON form."""
        data = members(cls, data)
        lists: Mapping[str, Iterable[Plain]] = {
            "differences": [Difference.from_json(each) for each in data.get("differences", ())],
            "causes": [CauseView.from_json(each) for each in data.get("causes", ())],
            "explained": [Explained.from_json(each) for each in data.get("explained", ())],
        }
        return build(cls, {**data, **lists})
