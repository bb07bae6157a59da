"""Findings and causes: what is new, changed, known, flaky, impossible, required or fixed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swn_torture.baseline.facts import Found
from swn_torture.baseline.model import ERROR, is_glob, matches
from swn_torture.baseline.observation import normal, same, seen
from swn_torture.report.comparison import CauseView, Difference, Explained

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from swn_torture.baseline.facts import CaseFacts, RunFacts
    from swn_torture.baseline.model import Baseline, Cause, Expected


@dataclass
class Counts:
    """How often a cause was seen, and how often its cases were judged without it."""

    failed: int = 0
    passed: int = 0
    cases: dict[str, None] = field(default_factory=dict)


class CauseComparison:
    """The comparison of one run with the causes of a baseline.

    Attributes:
        differences: what differs.
        explained: the findings that a cause explains.
        changed: (case, requirement) of the findings that are new or changed.
        counts: by id of the cause.
    """

    def __init__(self, run: RunFacts, baseline: Baseline, *, agreed: bool = False) -> None:
        """Compare.

        Args:
            run: what the run shows.
            baseline: the baseline.
            agreed: whether enough runs agree on a flaky entry; one that no run shows is then fixed.
        """
        self.differences: list[Difference] = []
        self.explained: list[Explained] = []
        self.changed: set[tuple[str, str]] = set()
        self.counts: dict[str, Counts] = defaultdict(Counts)
        self._run = run
        self._baseline = baseline
        self._agreed = agreed
        for case in run.cases.values():
            self._findings(case)
        for cause in baseline.causes:
            self._cause(cause)

    # -- each finding has a cause, or is new

    def _findings(self, case: CaseFacts) -> None:
        if case.error:
            self._finding(case, Found("violation", ERROR, case.error))
        for found in case.found:
            if found.weight == "violation" or "deviations" not in self._baseline.ignore:
                self._finding(case, found)

    def _finding(self, case: CaseFacts, found: Found) -> None:
        covering = [
            (cause, each)
            for cause in self._baseline.causes
            if cause.kind != "required"
            for each in cause.findings
            if each.covers(case.id, found.requirement)
        ]
        for cause, each in covering:
            listed = (*each.observed, *each.sometimes)
            if seen(listed, found.observed) or (cause.kind == "impossible" and not listed):
                self.explained.append(Explained(case.id, found.requirement, found.observed, cause.id))
                counts = self.counts[cause.id]
                counts.failed += 1
                counts.cases[case.id] = None
                return
        if found.requirement == ERROR:
            self.differences.append(Difference("error", case.id, reason=found.observed))
            return
        self.changed.add((case.id, found.requirement))
        pinned = tuple(
            dict.fromkeys(text for _, each in covering for text in (*each.observed, *each.sometimes))
        )
        cause_id = covering[0][0].id if covering else ""
        kind = "deviation" if found.weight == "deviation" else "changed" if covering else "new"
        self.differences.append(
            Difference(kind, case.id, found.requirement, found.observed, pinned, cause_id)  # type: ignore[arg-type]
        )

    # -- each cause is seen where its cases ran

    def _cause(self, cause: Cause) -> None:
        for each in cause.findings:
            if cause.kind == "required":
                self._required(cause, each)
                continue
            for pattern in each.cases:
                cases = [case for case in self._run.cases.values() if matches(pattern, case.id)]
                if not cases:
                    self._absent(cause, pattern)
                judged = [case for case in cases if case.judged]
                if is_glob(pattern) and self._run.partial:
                    judged = []
                self._count(cause, each, judged)
                if not self._binding(each):
                    continue
                if cause.kind == "known" or (cause.kind == "flaky" and self._agreed):
                    self._fixed(cause, each, pattern, judged)
                elif cause.kind == "impossible":
                    self._possible(cause, pattern, judged)

    def _absent(self, cause: Cause, pattern: str) -> None:
        """Note a case of a cause that a whole run does not have, unless the picture lists it, too."""
        known = pattern.partition("[")[0] in self._baseline.picture.judged and not is_glob(pattern)
        if not self._run.partial and not known and pattern not in self._run.unfinished:
            reason = "the cause names it, and no case of the results matches"
            self.differences.append(Difference("lost", pattern, cause=cause.id, reason=reason))

    def _binding(self, each: Expected) -> bool:
        """Whether the finding is compared: deviations may be left out."""
        if "deviations" not in self._baseline.ignore:
            return True
        from swn_torture.spec import load_catalogue

        row = load_catalogue().requirements.get(each.requirement)
        return row is None or row.binding

    def _count(self, cause: Cause, each: Expected, judged: Iterable[CaseFacts]) -> None:
        for case in judged:
            if not _texts(case, each.requirement):
                self.counts[cause.id].passed += 1

    def _fixed(self, cause: Cause, each: Expected, pattern: str, judged: Sequence[CaseFacts]) -> None:
        """Note each listed observation that no longer shows: in each case, or for a glob in all together."""
        groups = [judged] if is_glob(pattern) else [[case] for case in judged]
        for group in groups:
            if not group or any((case.id, each.requirement) in self.changed for case in group):
                continue
            texts = [text for case in group for text in _texts(case, each.requirement)]
            place = pattern if is_glob(pattern) else group[0].id
            if not any(seen((*each.observed, *each.sometimes), text) for text in texts):
                gone: tuple[str, ...] = (*each.observed, *each.sometimes)
            else:
                gone = tuple(
                    normal(text) for text in each.observed if not any(same(text, found) for found in texts)
                )
            if gone:
                self.differences.append(
                    Difference("fixed", place, each.requirement, "; ".join(texts), gone, cause.id)
                )

    def _possible(self, cause: Cause, pattern: str, judged: Sequence[CaseFacts]) -> None:
        """Note cases that pass although the set-up cannot show what they check."""
        passed = [case for case in judged if not case.found]
        if passed and (not is_glob(pattern) or len(passed) == len(judged)):
            reason = "it passes, so this set-up can show it"
            self.differences.append(Difference("fixed", pattern, cause=cause.id, reason=reason))

    def _required(self, cause: Cause, each: Expected) -> None:
        cases = [case for case in self._run.cases.values() if _is_required(each, case)]
        if not cases and not self._run.partial:
            place = ", ".join(each.cases) or each.requirement
            reason = f"{place} is required, and no case of it ran"
            self.differences.append(
                Difference(
                    "lost",
                    each.cases[0] if each.cases else "",
                    each.requirement,
                    cause=cause.id,
                    reason=reason,
                )
            )
        counts = self.counts[cause.id]
        for case in cases:
            found = [
                each_found for each_found in case.found if each.requirement in {"", each_found.requirement}
            ]
            violated = [one for one in found if one.weight == "violation" or each.requirement]
            for one in violated:
                self.differences.append(
                    Difference("required", case.id, one.requirement, one.observed, cause=cause.id)
                )
            counts.failed += bool(violated)
            counts.passed += case.judged and not violated
            if not case.judged and not case.error:
                reason = f"it is required, and not tested: {case.not_tested}"
                self.differences.append(Difference("lost", case.id, cause=cause.id, reason=reason))


def _is_required(each: Expected, case: CaseFacts) -> bool:
    if each.cases:
        return any(matches(pattern, case.id) for pattern in each.cases)
    return each.requirement in case.requirements


def _texts(case: CaseFacts, requirement: str) -> list[str]:
    """What the case observed against a requirement; against any for an empty one."""
    if requirement == ERROR:
        return [case.error] if case.error else []
    return [each.observed for each in case.found if requirement in {"", each.requirement}]


def views(
    baseline: Baseline, compared: Sequence[CauseComparison], today: dt.date, max_age: int | None
) -> tuple[CauseView, ...]:
    """The causes of a baseline with what the runs show of them.

    Args:
        baseline: the baseline.
        compared: the comparison of each run.
        today: the date of the comparison.
        max_age: days after which a flaky entry is reported; None for never.
    """
    made = []
    for cause in baseline.causes:
        counts = [each.counts[cause.id] for each in compared]
        age = (today - cause.since).days if cause.since else None
        made.append(
            CauseView(
                id=cause.id,
                title=cause.title,
                kind=cause.kind,
                reason=cause.reason,
                bug=cause.bug,
                seen_with=cause.seen_with,
                cases=tuple(dict.fromkeys(case for each in counts for case in each.cases)),
                failed=sum(each.failed for each in counts),
                passed=sum(each.passed for each in counts),
                since=cause.since.isoformat() if cause.since else "",
                age_days=age,
                overdue=cause.kind == "flaky" and max_age is not None and age is not None and age > max_age,
            )
        )
    return tuple(made)
