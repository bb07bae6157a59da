"""The picture of a whole run: what is lost, judged now, not tested for another reason, chosen differently."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from swn_torture.baseline.model import any_matches, is_glob, matches
from swn_torture.baseline.observation import same, seen
from swn_torture.report.comparison import Difference
from swn_torture.shipped import current_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from swn_torture.baseline.facts import CaseFacts, RunFacts
    from swn_torture.baseline.model import Baseline, Picture

#: In a list of cases: any case may show it, and at least one does.
ANY = "*"


def compare_picture(run: RunFacts, baseline: Baseline, changed: set[str]) -> list[Difference]:
    """What differs between a run and the picture of a baseline.

    Args:
        run: what the run shows.
        baseline: the baseline.
        changed: ids of the cases that have a new or changed finding: the rest of them is not compared.
    """
    picture = baseline.picture
    found = [*_not_judged(run, baseline), *_missing(run, picture), *_judged_now(run, picture)]
    cases = [case for case in run.cases.values() if case.judged and was_judged(picture, case)]
    if "choices" not in baseline.ignore:
        found += _choices(run, picture, cases, changed)
    if "observations" not in baseline.ignore:
        found += _observations(picture, (case for case in cases if case.id not in changed))
    if "records" not in baseline.ignore:
        found += _records(picture, cases)
    return found


def was_judged(picture: Picture, case: CaseFacts) -> bool:
    """Whether a case was judged in the baseline, as far as its picture says."""
    return case.base in picture.judged and picture.reason_of(case.id) is None


# -- cases


def _impossible(baseline: Baseline, case: CaseFacts) -> bool:
    return any(
        any_matches(each.cases, case.id)
        for cause in baseline.causes
        if cause.kind == "impossible"
        for each in cause.findings
        if not each.requirement
    )


def _not_judged(run: RunFacts, baseline: Baseline) -> Iterator[Difference]:
    """Cases that are not tested, and that the baseline does not list as such for this reason."""
    picture = baseline.picture
    before = Counter(case.base for case in run.cases.values() if case.judged and was_judged(picture, case))
    for case in run.cases.values():
        if not case.not_tested or _impossible(baseline, case):
            continue
        pinned = picture.reason_of(case.id)
        if pinned is not None:
            if not same(pinned, case.not_tested):
                yield Difference("not-tested", case.id, pinned=(pinned,), reason=case.not_tested)
        elif before[case.base] < picture.judged.get(case.base, 0):
            yield Difference("lost", case.id, reason=case.not_tested)
        else:
            yield Difference("not-tested", case.id, reason=case.not_tested)


def _missing(run: RunFacts, picture: Picture) -> Iterator[Difference]:
    """Tests of which fewer cases are in the results than the baseline has."""
    if run.partial:
        return
    present = Counter(case.base for case in run.cases.values())
    present.update(each.partition("[")[0] for each in run.unfinished if each not in run.cases)
    listed = Counter(picture.judged)
    listed.update(case.partition("[")[0] for cases in picture.not_tested.values() for case in cases)
    for base, number in picture.judged.items():
        missing = min(listed[base] - present[base], number)
        if missing > 0:
            what = "it is" if number == 1 else f"{missing} of its {number} cases are"
            yield Difference("lost", base, reason=f"{what} not in the results")


def _judged_now(run: RunFacts, picture: Picture) -> Iterator[Difference]:
    for case in run.cases.values():
        pinned = picture.reason_of(case.id) if case.judged else None
        if pinned is not None:
            yield Difference("judged", case.id, observed="judged", pinned=(pinned,))


# -- choices


class _Listed:
    """The choices of a picture, by case: those that the case shows, and those that it may show."""

    def __init__(self, picture: Picture) -> None:
        self.exact: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self.allowed: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._of_case: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for table in (picture.choices, picture.sometimes):
            for ambiguity, texts in table.items():
                for text, patterns in texts.items():
                    for pattern in patterns:
                        self._add(ambiguity, text, pattern, always=table is picture.choices)

    def _add(self, ambiguity: str, text: str, pattern: str, *, always: bool) -> None:
        if is_glob(pattern):
            self.allowed[ambiguity].append((text, pattern))
            return
        case_id = current_id(pattern)
        self._of_case[case_id][ambiguity].append(text)
        if always:
            self.exact[case_id][ambiguity].append(text)

    def allows(self, ambiguity: str, observed: str, case_id: str) -> bool:
        """Whether the case may show this choice."""
        if seen(self._of_case.get(case_id, {}).get(ambiguity, ()), observed):
            return True
        globs = self.allowed.get(ambiguity, ())
        return any(same(text, observed) and matches(pattern, case_id) for text, pattern in globs)


def _choices(
    run: RunFacts, picture: Picture, cases: list[CaseFacts], changed: set[str]
) -> Iterator[Difference]:
    listed = _Listed(picture)
    differing: dict[tuple[str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for case in cases:
        expected = {} if case.id in changed else listed.exact.get(case.id, {})
        for ambiguity in sorted({name for name, _ in case.choices} | set(expected)):
            now = [text for name, text in sorted(case.choices) if name == ambiguity]
            new = [text for text in now if not listed.allows(ambiguity, text, case.id)]
            gone = tuple(
                text for text in expected.get(ambiguity, ()) if not any(same(text, each) for each in now)
            )
            if new or gone:
                differing[ambiguity, "; ".join(new), gone].append(case.id)
    for (ambiguity, observed, pinned), names in differing.items():
        yield _of_many(Difference("choice", requirement=ambiguity, observed=observed, pinned=pinned), names)
    if run.partial:
        return
    shown = {choice for case in cases for choice in case.choices}
    for ambiguity, texts in picture.choices.items():
        for text, ids in texts.items():
            if ANY in ids and not any(name == ambiguity and same(text, each) for name, each in shown):
                yield Difference("choice", ANY, ambiguity, "no case shows it", (text,))


# -- observations and records


def _observations(picture: Picture, cases: Iterable[CaseFacts]) -> Iterator[Difference]:
    for case in cases:
        pinned = picture.observations.get(case.id)
        for text in case.others if pinned is not None and case.failed else ():
            if not seen(pinned or (), text):
                requirement, _, observed = text.partition(": ")
                listed = tuple(
                    each.partition(": ")[2] for each in pinned or () if each.startswith(f"{requirement}: ")
                )
                yield Difference("observation", case.id, requirement, observed, listed)


def _records(picture: Picture, cases: Iterable[CaseFacts]) -> Iterator[Difference]:
    differing: dict[tuple[str, str], list[str]] = defaultdict(list)
    for case in cases:
        for requirement, text in case.records:
            if not seen(picture.records.get(requirement, ()), text):
                differing[requirement, text].append(case.id)
    for (requirement, text), ids in differing.items():
        yield _of_many(Difference("record", requirement=requirement, observed=text), ids)


def _of_many(difference: Difference, ids: list[str]) -> Difference:
    """The difference in the first of these cases; the reason says in how many others it is."""
    more = len(ids) - 1
    reason = f"also in {more} other {'case' if more == 1 else 'cases'}" if more else ""
    return replace(difference, case=ids[0], reason=reason)
