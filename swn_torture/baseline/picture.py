"""The picture of one run, or of several runs of the same target."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from swn_torture.baseline.model import Picture
from swn_torture.baseline.observation import same
from swn_torture.baseline.whole import ANY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from swn_torture.baseline.facts import CaseFacts, RunFacts

#: A choice that more cases show than this is one that every case shows: it is listed once.
_MANY = 20


def picture_of(runs: Sequence[RunFacts]) -> Picture:
    """The picture of runs of one target.

    A case that one of the runs judged is judged. A choice that not all runs show is listed under
    ``sometimes``. A word of a record that differs between the runs becomes ``*``.

    Args:
        runs: what the runs show, at least one.
    """
    last = max(runs, key=lambda run: run.started)
    judged = {case.id for run in runs for case in run.cases.values() if case.judged}
    not_tested: dict[str, dict[str, None]] = defaultdict(dict)
    for run in runs:
        for case in run.cases.values():
            if case.not_tested and case.id not in judged:
                not_tested[case.not_tested].setdefault(case.id)
    always, sometimes = _choices(runs)
    observations = _by_case(runs)
    return Picture(
        suite=last.suite,
        target=last.target,
        date=last.started[:10],
        runs=len(runs),
        selection=last.partial,
        judged=dict(sorted(Counter(name.partition("[")[0] for name in judged).items())),
        not_tested={reason: tuple(sorted(not_tested[reason])) for reason in sorted(not_tested)},
        choices=always,
        sometimes=sometimes,
        observations=observations,
        records=_records(runs),
    )


_Choices = dict[str, dict[str, tuple[str, ...]]]


def _choices(runs: Sequence[RunFacts]) -> tuple[_Choices, _Choices]:
    """The choices that every run shows in the same cases, and those that only some show."""
    shown: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    could = Counter(case.id for run in runs for case in run.cases.values() if case.judged)
    for run in runs:
        for case in run.cases.values():
            for ambiguity, text in case.choices:
                cases = shown[ambiguity, _listed(shown, ambiguity, text)]
                cases[case.id] = cases.get(case.id, 0) + 1
    always: _Choices = {}
    sometimes: _Choices = {}
    for (ambiguity, text), cases in sorted(shown.items(), key=lambda item: (_number(item[0][0]), item[0][1])):
        if len(cases) > _MANY:
            always.setdefault(ambiguity, {})[text] = (ANY,)
            continue
        steady = tuple(sorted(name for name, number in cases.items() if number == could[name]))
        rest = tuple(sorted(set(cases) - set(steady)))
        if steady:
            always.setdefault(ambiguity, {})[text] = steady
        if rest:
            sometimes.setdefault(ambiguity, {})[text] = rest
    return always, sometimes


def _listed(shown: Iterable[tuple[str, str]], ambiguity: str, text: str) -> str:
    """The text of a choice that is already listed and that counts as the same one, else the text."""
    if not re.search(r"\d (?:ms|s|min)\b", text):
        return text
    return next((each for name, each in shown if name == ambiguity and same(each, text)), text)


def _number(ambiguity: str) -> tuple[int, str]:
    digits = ambiguity.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else 0, ambiguity)


def _by_case(runs: Sequence[RunFacts]) -> dict[str, tuple[str, ...]]:
    """What the other checks of the cases observe that fail in one of the runs."""
    texts: dict[str, list[str]] = {}
    failing = sorted({case.id for run in runs for case in run.cases.values() if case.failed})
    for name in failing:
        found = texts.setdefault(name, [])
        for run in runs:
            case = run.cases.get(name)
            for text in case.others if case is not None else ():
                if not any(same(each, text) for each in found):
                    found.append(text)
    return {name: tuple(sorted(found)) for name, found in texts.items() if found}


def _records(runs: Sequence[RunFacts]) -> Mapping[str, tuple[str, ...]]:
    """What the checks that only record observe, by requirement."""
    records: dict[str, list[str]] = defaultdict(list)
    for name in sorted({name for run in runs for name in run.cases}):
        for requirement, texts in _case_records(
            [run.cases[name] for run in runs if name in run.cases]
        ).items():
            for text in texts:
                if not any(same(each, text) for each in records[requirement]):
                    records[requirement].append(text)
    return {requirement: tuple(sorted(records[requirement])) for requirement in sorted(records)}


def _case_records(cases: Sequence[CaseFacts]) -> dict[str, list[str]]:
    """The records of one case over all runs; where the runs differ in some words, these are ``*``."""
    found: dict[str, list[str]] = defaultdict(list)
    judged = [case for case in cases if case.judged]
    for requirement in dict.fromkeys(name for case in judged for name, _ in case.records):
        lists = [[text for name, text in case.records if name == requirement] for case in judged]
        if len({len(each) for each in lists}) == 1:
            found[requirement] += [_common(texts) for texts in zip(*lists, strict=True)]
        else:
            found[requirement] += [text for texts in lists for text in texts]
    return found


def _common(texts: Sequence[str]) -> str:
    """One text for the same record of several runs: words that differ become ``*``."""
    if all(same(texts[0], text) for text in texts[1:]):
        return texts[0]
    words = [text.split(" ") for text in texts]
    if len({len(each) for each in words}) > 1:
        return "*"
    return " ".join(column[0] if len(set(column)) == 1 else "*" for column in zip(*words, strict=True))
