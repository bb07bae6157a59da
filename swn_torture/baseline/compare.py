"""The comparison of one run, or of several runs of one target, with a baseline."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

from swn_torture.baseline.causes import CauseComparison, views
from swn_torture.baseline.facts import facts_of
from swn_torture.baseline.whole import compare_picture
from swn_torture.report.comparison import KINDS, Comparison, Difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.baseline.facts import RunFacts
    from swn_torture.baseline.model import Baseline
    from swn_torture.report.comparison import CauseView, Situation
    from swn_torture.report.results import Results


def compare(
    results: Results | Sequence[Results],
    baseline: Baseline,
    *,
    allow_fixed: bool = False,
    strict: bool = False,
    draws: int | None = None,
    max_age: int | None = None,
    today: dt.date | None = None,
) -> Comparison:
    """Compare runs of one target with a baseline.

    The runs are compared one by one. What differs in any of them is a difference.

    Args:
        results: one run, or several.
        baseline: the baseline.
        allow_fixed: a listed finding that is no longer seen, and a case that is judged now, do not fail.
        strict: a SHOULD that is not followed and that no cause lists is a violation.
        draws: number of runs that must agree before a flaky entry that none of them shows counts as fixed;
            None for never.
        max_age: days after which a flaky entry is reported; None for never.
        today: the date; None for the present one.
    """
    given = [results] if not isinstance(results, (list, tuple)) else list(results)
    runs = [_of_part(facts_of(each), baseline) for each in given]  # type: ignore[arg-type]
    agreed = draws is not None and len(runs) >= draws
    by_run = [CauseComparison(run, baseline) for run in runs]
    if agreed:
        by_run = [CauseComparison(run, baseline, agreed=True) for run in runs]
    differences = [
        [
            *compared.differences,
            *_unfinished(run),
            *compare_picture(run, baseline, {case for case, _ in compared.changed}),
        ]
        for run, compared in zip(runs, by_run, strict=True)
    ]
    causes = views(baseline, by_run, today or dt.datetime.now(dt.UTC).date(), max_age)
    merged = _without_flaky(_merged(differences), causes)
    incomplete = next((f"The run is not complete: {run.stopped}" for run in runs if run.stopped), "")
    if not incomplete and not any(case.judged for run in runs for case in run.cases.values()):
        incomplete = "No case was judged."
    comparison = Comparison(
        baseline=baseline.name,
        situation="as-expected",
        runs=len(runs),
        differences=merged,
        causes=causes,
        explained=tuple(dict.fromkeys(each for compared in by_run for each in compared.explained)),
        incomplete=incomplete,
        partial=next((run.partial for run in runs if run.partial), ""),
        notes=tuple(_notes(runs, baseline, causes, draws)),
        allow_fixed=allow_fixed,
        strict=strict,
    )
    return replace(comparison, situation=situation_of(comparison))


def _of_part(run: RunFacts, baseline: Baseline) -> RunFacts:
    """The run; one of the part of the suite that the baseline is for counts as whole."""
    return replace(run, partial="") if run.partial == baseline.picture.selection else run


def situation_of(comparison: Comparison) -> Situation:
    """The situation that follows from the differences.

    A new violation counts even in a run that is not complete: it was seen.
    """
    if comparison.violations:
        return "new-violation"
    if comparison.incomplete or comparison.of_kind("error", "unfinished"):
        return "unusable"
    if comparison.of_kind("lost", "deviation", "choice", "observation", "not-tested"):
        return "not-true"
    if comparison.of_kind("fixed", "judged") and not comparison.allow_fixed:
        return "not-true"
    return "as-expected"


def _unfinished(run: RunFacts) -> list[Difference]:
    reason = "it was started and did not end"
    return [Difference("unfinished", case, reason=reason) for case in run.unfinished if case not in run.cases]


def _merged(by_run: Sequence[Iterable[Difference]]) -> tuple[Difference, ...]:
    """The differences of all runs, each once; with several runs the reason says how many show it."""
    counts: dict[Difference, int] = {}
    for differences in by_run:
        for each in dict.fromkeys(differences):
            counts[each] = counts.get(each, 0) + 1
    order = {kind: number for number, kind in enumerate(KINDS)}
    made = []
    for each, number in sorted(counts.items(), key=lambda item: (order[item[0].kind], item[0].case)):
        where = f"in {number} of {len(by_run)} runs" if number < len(by_run) else ""
        made.append(replace(each, reason="; ".join(filter(None, (each.reason, where)))))
    return tuple(made)


def _without_flaky(differences: Iterable[Difference], causes: Iterable[CauseView]) -> tuple[Difference, ...]:
    """Without flaky entries that one of the runs shows: they are not fixed."""
    shown = {cause.id for cause in causes if cause.kind == "flaky" and cause.failed}
    return tuple(each for each in differences if each.kind != "fixed" or each.cause not in shown)


def _notes(
    runs: Sequence[RunFacts], baseline: Baseline, causes: Iterable[CauseView], draws: int | None
) -> Iterable[str]:
    made = baseline.picture.suite
    now = next((run.suite for run in runs if run.suite != made), "")
    if made and now:
        yield (
            f"The baseline was written with swn-torture {made}, and the results are from {now}: "
            "texts and cases can differ for this reason alone."
        )
    for cause in causes:
        if cause.overdue:
            age = f"The flaky entry '{cause.id}' is {cause.age_days} days old"
            yield f"{age}: mend the defect, or list it as known."
        if cause.kind == "flaky" and not cause.failed and cause.passed and not (draws and len(runs) >= draws):
            what = "This run does" if len(runs) == 1 else f"These {len(runs)} runs do"
            yield f"{what} not show the flaky entry '{cause.id}'. It goes only when --draws runs agree."
