"""The rows and columns of a matrix: which target has which verdict on which case and which requirement."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.report.verdict import LEVELS
from swn_torture.spec import section_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results
    from swn_torture.report.verdict import RequirementVerdict
    from swn_torture.spec import Ambiguity, Catalogue, Requirement

#: The letter of each outcome of a case and of each verdict on a requirement. The page has their words.
LETTERS: Mapping[str, str] = {
    "failed": "f",
    "violated": "f",
    "deviation": "d",
    "deviates": "d",
    "error": "e",
    "not-tested": "n",
    "passed": "p",
    "conforms": "p",
    "not-covered": "x",
}

#: The letter of a case or a requirement that the results of a column do not have.
ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """One target, or one run of a target.

    Attributes:
        name: unique among the columns: ``samba-4.22``, or ``samba-4.22 2026-11-29`` if it is there twice.
        results: its results.
    """

    name: str
    results: Results


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """What each target does where the specification leaves a choice.

    Attributes:
        id: ``AMB-<n>``.
        ambiguity: its row of the catalogue; None if the catalogue does not know it.
        observed: for each column, the observations, most frequent first, each with the ids of its cases.
    """

    id: str
    ambiguity: Ambiguity | None
    observed: tuple[tuple[tuple[str, tuple[str, ...]], ...], ...]


@dataclass(frozen=True)
class Matrix:
    """Several results side by side.

    Attributes:
        columns: in the order in which the results were given.
        catalogue: the requirements.
    """

    columns: tuple[Column, ...]
    catalogue: Catalogue

    @classmethod
    def of(cls, results: Sequence[Results]) -> Matrix:
        """The matrix of results.

        Raises:
            ValueError: there are none.
        """
        if not results:
            raise ValueError("a matrix needs the results of at least one run")
        names = column_names(results)
        return cls(tuple(map(Column, names, results)), results[0].catalogue)

    @functools.cached_property
    def by_id(self) -> tuple[Mapping[str, CaseResult], ...]:
        """For each column its cases by id."""
        return tuple({case.id: case for case in column.results.cases} for column in self.columns)

    @functools.cached_property
    def cases(self) -> tuple[str, ...]:
        """The ids of the cases of all columns, by suite and id."""
        suites: dict[str, str] = {}
        for cases in self.by_id:
            suites.update((id_, case.suite) for id_, case in cases.items())
        return tuple(sorted(suites, key=lambda id_: (suites[id_], id_)))

    def case(self, id_: str) -> CaseResult:
        """The case of the first column that has it."""
        return next(cases[id_] for cases in self.by_id if id_ in cases)

    @functools.cached_property
    def requirements(self) -> tuple[Requirement, ...]:
        """The requirements that count, by document and section: first MS-SWN."""
        counted = {row.id for column in self.columns for row in column.results.requirements if not row.apart}
        rows = [row for id_, row in self.catalogue.requirements.items() if id_ in counted]
        return tuple(sorted(rows, key=_position))

    @functools.cached_property
    def verdicts(self) -> tuple[Mapping[str, RequirementVerdict], ...]:
        """For each column its verdicts by requirement."""
        return tuple({row.id: row for row in column.results.requirements} for column in self.columns)

    @functools.cached_property
    def choices(self) -> tuple[ChoiceRow, ...]:
        """The ambiguities at which a column has a choice, in the order of the catalogue."""
        known = self.catalogue.ambiguities
        order = {id_: number for number, id_ in enumerate(known)}
        seen = {choice.ambiguity for column in self.columns for choice in column.results.choices}
        return tuple(
            ChoiceRow(id_, known.get(id_), tuple(_observed(column.results, id_) for column in self.columns))
            for id_ in sorted(seen, key=lambda id_: (order.get(id_, len(order)), id_))
        )

    def outcome(self, column: int, case: str) -> str:
        """The letter of the outcome of a case."""
        found = self.by_id[column].get(case)
        return LETTERS[found.outcome] if found else ABSENT

    def verdict(self, column: int, requirement: str) -> str:
        """The letter of the verdict on a requirement."""
        found = self.verdicts[column].get(requirement)
        return LETTERS[found.verdict] if found else ABSENT

    def totals(self, column: int) -> Mapping[tuple[str, str], Counter[str]]:
        """How often each letter is the verdict, by section (``MS-SWN 3.1.4.2``) and level."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for row in self.requirements:
            found.setdefault((row.cite, row.level), Counter())[self.verdict(column, row.id)] += 1
        return found


def column_names(results: Sequence[Results]) -> tuple[str, ...]:
    """A name for each column: that of the target, with as much of the time as tells its runs apart."""
    targets = [each.target.name for each in results]
    starts = [each.run.started[:19].replace("T", " ") for each in results]
    for length in (0, 10, 19):
        names = [
            f"{target} {start[:length]}" if length and targets.count(target) > 1 else target
            for target, start in zip(targets, starts, strict=True)
        ]
        if len(set(names)) == len(names):
            break
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(f"{name} ({seen[name]})" if names.count(name) > 1 else name)
    return tuple(unique)


def _position(row: Requirement) -> tuple[object, ...]:
    return (
        not row.cite.startswith("MS-SWN"),
        row.cite.split()[0],
        section_key(row.cite),
        _level(row),
        row.id,
    )


def _level(row: Requirement) -> int:
    return LEVELS.index(row.level)


def _observed(results: Results, ambiguity: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    cases: dict[str, dict[str, None]] = {}
    for choice in results.choices:
        if choice.ambiguity == ambiguity:
            cases.setdefault(choice.observed, {})[choice.case] = None
    return tuple(
        (text, tuple(ids)) for text, ids in sorted(cases.items(), key=lambda item: (-len(item[1]), item[0]))
    )
