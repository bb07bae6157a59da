"""How far a server has come: a verdict on each rung of the ladder, and the finding to mend next.

The rungs are those of `swn_torture.spec.rungs`. A finding counts on the rung of the violated requirement,
whatever case made it; one on a requirement for every method, on the lowest rung of the cases that made it. A
case that was not tested counts on its own rung.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from swn_torture.report.model import OUTCOMES, Plain
from swn_torture.report.roots import PREFLIGHT
from swn_torture.report.verdict import failed_as
from swn_torture.spec.rungs import (
    BY_ID,
    RUNGS,
    height,
    holds_for_every_method,
    rung_of_case,
    rung_of_requirement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from swn_torture.report.model import CaseOutcome, CaseResult
    from swn_torture.spec import Catalogue
    from swn_torture.spec.rungs import Rung

#: ``conforms``: cases were judged, and no requirement of the rung is violated; ``violated``: one is;
#: ``not-tested``: no case of the rung was judged; ``not-run``: no case of the rung was selected.
RungState = Literal["conforms", "violated", "not-tested", "not-run"]

#: Id of the one result about a target that cannot be used: it says on which rung the target stops, and why.
UNUSABLE = "preflight.target"

_JUDGED: tuple[CaseOutcome, ...] = ("passed", "failed", "deviation")


@dataclass(frozen=True, slots=True)
class RungVerdict(Plain):
    """What a run says about one rung.

    Attributes:
        rung: its id.
        title: its name in reports.
        verdict: see `RungState`.
        cases: number of its cases by outcome, with every outcome.
        violated: catalogue ids of its violated requirements, those that most cases depend on first.
        deviates: catalogue ids of its requirements at level SHOULD that are not followed.
        because: catalogue id of the violated requirement that is why most of its untested cases were not
            tested; empty when there is none.
        found_by: id of the case with this finding.
        reason: why most of its untested cases were not tested, in words; empty when all were.
        untested: how many cases have this reason.
    """

    rung: str
    title: str
    verdict: RungState
    cases: Mapping[str, int] = field(default_factory=dict)
    violated: tuple[str, ...] = ()
    deviates: tuple[str, ...] = ()
    because: str = ""
    found_by: str = ""
    reason: str = ""
    untested: int = 0


@dataclass(frozen=True, slots=True)
class NextStep(Plain):
    """The one finding to mend next: the one that most cases depend on, on the lowest rung of those.

    Attributes:
        requirement: catalogue id.
        rung: id of its rung.
        case: id of a case with the finding.
        unlocks: number of cases that were not tested because of it.
    """

    requirement: str
    rung: str
    case: str
    unlocks: int


@dataclass(frozen=True, slots=True)
class Ladder(Plain):
    """The verdicts on all rungs, lowest first.

    Attributes:
        rungs: one for each rung.
        next: what to mend next; None when no requirement is violated.
    """

    rungs: tuple[RungVerdict, ...]
    next: NextStep | None = None

    def __getitem__(self, rung: str) -> RungVerdict:
        """The verdict on the rung with this id."""
        return next(each for each in self.rungs if each.rung == rung)

    @property
    def reached(self) -> str:
        """Id of the highest rung below which, and on which, nothing is violated or untested; else empty.

        Rungs that were not run, and those without a violation that need something the target's profile does
        not have, do not stop the climb.
        """
        highest = ""
        for each in self.rungs:
            if each.verdict == "violated" or (each.verdict == "not-tested" and each.because):
                break
            highest = each.rung if each.verdict == "conforms" else highest
        return highest


def rung_of(case: CaseResult) -> Rung:
    """The rung of a case by its result: the one it names, or the one that its requirements give."""
    if case.rung in BY_ID:
        return BY_ID[case.rung]
    return rung_of_case(case.id, case.requirements)


def climb(cases: Sequence[CaseResult], catalogue: Catalogue) -> Ladder:
    """The verdicts on all rungs.

    Args:
        cases: the results of all cases, one finding for each root (`swn_torture.report.roots`).
        catalogue: the requirements that their checks name.
    """
    own: dict[str, list[CaseResult]] = {rung.id: [] for rung in RUNGS}
    for case in cases:
        own[rung_of(case).id].append(case)
    blocked = Counter(case.because for case in cases if case.because)
    violated = _findings(cases, catalogue, "violation")
    deviates = _findings(cases, catalogue, "deviation")
    verdicts = [
        _verdict(rung, own[rung.id], _of_rung(rung, violated, blocked), _of_rung(rung, deviates, blocked))
        for rung in RUNGS
    ]
    verdicts[0] = _reachable(RUNGS[0], cases)
    return Ladder(tuple(verdicts), _next(violated, blocked, cases))


def _findings(
    cases: Iterable[CaseResult], catalogue: Catalogue, weight: Literal["violation", "deviation"]
) -> dict[str, list[CaseResult]]:
    """The cases with a finding, by violated requirement.

    A failed case without a failed check counts for the first requirement that it names.
    """
    found: dict[str, list[CaseResult]] = {}
    for case in cases:
        if case.outcome not in {"failed", "deviation"}:
            continue
        names = [check.requirement for check in case.checks if failed_as(check, catalogue) == weight]
        if not names and case.outcome == "failed" and weight == "violation":
            names = list(case.requirements[:1])
        for name in dict.fromkeys(names):
            found.setdefault(name, []).append(case)
    return found


def _rung_of_finding(requirement: str, cases: Sequence[CaseResult]) -> str:
    if holds_for_every_method(requirement):
        return min((rung_of(case).id for case in cases), key=height)
    rung = rung_of_requirement(requirement)
    return rung.id if rung is not None else rung_of(cases[0]).id


def _of_rung(
    rung: Rung, found: Mapping[str, Sequence[CaseResult]], blocked: Mapping[str, int]
) -> tuple[str, ...]:
    names = [name for name, cases in found.items() if _rung_of_finding(name, cases) == rung.id]
    return tuple(sorted(names, key=lambda name: (-blocked.get(name, 0), -len(found[name]), name)))


def _verdict(
    rung: Rung, cases: Sequence[CaseResult], violated: tuple[str, ...], deviates: tuple[str, ...]
) -> RungVerdict:
    counts = Counter(case.outcome for case in cases)
    state: RungState = "not-run"
    if violated:
        state = "violated"
    elif any(counts[outcome] for outcome in _JUDGED):
        state = "conforms"
    elif cases:
        state = "not-tested"
    untested = Counter(_why(case) for case in cases if case.outcome in {"not-tested", "error"})
    (because, found_by, reason), number = untested.most_common(1)[0] if untested else (("", "", ""), 0)
    return RungVerdict(
        rung=rung.id,
        title=rung.title,
        verdict=state,
        cases={outcome: counts[outcome] for outcome in OUTCOMES},
        violated=violated,
        deviates=deviates,
        because=because,
        found_by=found_by,
        reason=reason,
        untested=number,
    )


def _why(case: CaseResult) -> tuple[str, str, str]:
    """Why a case was not tested: the finding, or the reason without one."""
    if case.because:
        return case.because, case.found_by, f"not tested because of {case.because}"
    return "", "", case.reason.rstrip(".")


def _reachable(rung: Rung, cases: Sequence[CaseResult]) -> RungVerdict:
    """The lowest rung has no case of its own: it is reached when any case got an answer to judge.

    A target that cannot be used has one result, which says on which rung it stops.
    """
    judged = sum(case.outcome in _JUDGED for case in cases)
    stopped = [case for case in cases if case.id == UNUSABLE]
    if stopped:
        if rung_of(stopped[0]).id != rung.id:
            return RungVerdict(rung.id, rung.title, "conforms", _no_cases())
        counts = {**_no_cases(), "error": 1}
        return RungVerdict(rung.id, rung.title, "not-tested", counts, reason=stopped[0].reason, untested=1)
    if judged or not cases:
        return RungVerdict(rung.id, rung.title, "conforms" if judged else "not-run", _no_cases())
    reason, number = Counter(case.reason.rstrip(".") for case in cases).most_common(1)[0]
    return RungVerdict(rung.id, rung.title, "not-tested", _no_cases(), reason=reason, untested=number)


def _no_cases() -> dict[str, int]:
    return dict.fromkeys(OUTCOMES, 0)


def _next(
    violated: Mapping[str, Sequence[CaseResult]], blocked: Mapping[str, int], cases: Sequence[CaseResult]
) -> NextStep | None:
    if not violated:
        return None
    found_by = {case.because: case.found_by for case in cases if case.because and case.found_by}
    rungs = {name: _rung_of_finding(name, found) for name, found in violated.items()}
    name = min(
        violated,
        key=lambda name: (-blocked.get(name, 0), height(rungs[name]), -len(violated[name]), name),
    )
    return NextStep(name, rungs[name], found_by.get(name, violated[name][0].id), blocked.get(name, 0))


# Lines for a terminal
# ----------------------------------------------------------------------------------------------------------


def ladder_lines(ladder: Ladder, catalogue: Catalogue, *, width: int = 110) -> list[str]:
    """A line for each rung, lowest first, then the line with the finding to mend next.

    Args:
        ladder: the verdicts.
        catalogue: has the texts of the requirements.
        width: characters of the longest line.
    """
    run = [each for each in ladder.rungs if each.verdict != "not-run"]
    wide = max((len(each.title) for each in run), default=0)
    lines = [_cut(f"  {each.title:{wide}}  {says(each, ladder)}", width) for each in run]
    left = [each.title for each in ladder.rungs if each.verdict == "not-run"]
    lines += [_cut(f"  Not run: {', '.join(left)}", width)] if left else []
    return [*lines, *([next_line(ladder.next, catalogue)] if ladder.next else [])]


def says(verdict: RungVerdict, ladder: Ladder) -> str:
    """The verdict on a rung in words.

    Args:
        verdict: the verdict.
        ladder: the other verdicts; a rung is named that is the reason of this one.
    """
    judged = sum(verdict.cases.get(outcome, 0) for outcome in _JUDGED)
    rest = f"{verdict.untested} not tested{_reason(verdict, ladder)}" if verdict.untested else ""
    match verdict.verdict:
        case "violated":
            more = f" and {len(verdict.violated) - 3} more" if len(verdict.violated) > 3 else ""
            text = f"violated: {', '.join(verdict.violated[:3])}{more}"
        case "conforms":
            number = f" in {judged} {'case' if judged == 1 else 'cases'}" if judged else ""
            text = f"no violation{number}" if judged else "yes"
            if verdict.deviates:
                text += f"; not followed: {', '.join(verdict.deviates[:3])}"
        case "not-tested" if verdict.rung == RUNGS[0].id and verdict.cases.get("error"):
            return f"no: {verdict.reason}"
        case "not-tested":
            return f"not tested{_reason(verdict, ladder)}"
        case _:
            return "not run"
    return f"{text}; {rest}" if rest else text


def _reason(verdict: RungVerdict, ladder: Ladder) -> str:
    if not verdict.because:
        return f": {verdict.reason}"
    rung = next((each.title for each in ladder.rungs if verdict.because in each.violated), "")
    return f" because of {verdict.because}" + (f" ({rung})" if rung and rung != verdict.title else "")


def next_line(step: NextStep, catalogue: Catalogue) -> str:
    """What to mend next, in one line."""
    row = catalogue.requirements.get(step.requirement)
    text = f" ({row.cite}): {row.text}" if row else ""
    unlocks = (
        f" {step.unlocks} {'case depends' if step.unlocks == 1 else 'cases depend'} on it."
        if step.unlocks
        else ""
    )
    one = f"--case '{step.case}'"
    again = f"--requirement {step.requirement}" if step.case.startswith(PREFLIGHT) else one
    return f"Next: {step.requirement}{text.rstrip('.')}.{unlocks} Run again: {again}"


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 2]} …"
