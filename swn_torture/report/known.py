"""Which findings a baseline explains: cases by cause, for the reports that show known findings apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.report.comparison import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.report.comparison import CauseView, Comparison, Difference, Kind
    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results

#: The heading of each kind of difference.
HEADINGS: dict[Kind, str] = {
    "new": "New violations",
    "changed": "Known violations with another observation",
    "required": "Required, but failed",
    "unfinished": "Started and not finished",
    "error": "Errors",
    "lost": "Lost: judged in the baseline, and not now",
    "fixed": "Fixed: no longer seen",
    "judged": "Judged now, not tested in the baseline",
    "deviation": "New deviations",
    "choice": "Choices that differ",
    "observation": "Other observations in cases that fail anyway",
    "not-tested": "Not tested for another reason",
    "record": "Records that differ (only reported)",
}

#: One phrase for each situation.
SITUATIONS = {
    "as-expected": "as expected",
    "new-violation": "new violation",
    "unusable": "target unusable, or run not complete",
    "not-true": "the baseline is no longer true",
}


def known_cause(results: Results, case: CaseResult) -> CauseView | None:
    """The cause that explains all findings of a case, or the first one if there are several.

    None without a baseline, for a case without findings, and for one with a finding that no cause explains.
    """
    comparison = results.comparison
    if comparison is None or comparison.is_new(case.id):
        return None
    causes = comparison.causes_of(case.id)
    return causes[0] if causes else None


def by_cause(
    results: Results, cases: Sequence[CaseResult]
) -> tuple[list[CaseResult], list[tuple[CauseView, list[CaseResult]]]]:
    """The cases that no cause explains, and the others by their cause, in the order of the baseline.

    Args:
        results: the results, with or without a comparison.
        cases: some of their cases.
    """
    rest: list[CaseResult] = []
    known: dict[str, tuple[CauseView, list[CaseResult]]] = {}
    for case in cases:
        cause = known_cause(results, case)
        if cause is None:
            rest.append(case)
        else:
            known.setdefault(cause.id, (cause, []))[1].append(case)
    order = [cause.id for cause in results.comparison.causes] if results.comparison else []
    return rest, sorted(known.values(), key=lambda item: order.index(item[0].id))


def differences(comparison: Comparison) -> list[tuple[Kind, str, Sequence[Difference]]]:
    """The differences by kind, with the heading of each kind; kinds without differences are left out."""
    found: Mapping[Kind, Sequence[Difference]] = {kind: comparison.of_kind(kind) for kind in KINDS}
    return [(kind, HEADINGS[kind], each) for kind, each in found.items() if each]
