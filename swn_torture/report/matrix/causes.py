"""What explains the findings, over all columns: the causes of baselines, and requirements without a cause.

A cause that the baseline of one target lists is looked for in every other one, too: it shows the same if the
same requirement fails in the same case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.report.finding import case_findings
from swn_torture.report.matrix.model import ABSENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.report.comparison import CauseView
    from swn_torture.report.matrix.model import Matrix
    from swn_torture.report.results import Results

#: A finding: the id of its case and that of the requirement which is violated or not followed.
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CauseCell:
    """What one column shows of a cause.

    Attributes:
        letter: ``f`` or ``d``: it is seen; ``p``: it is not, and a case of it was judged; ``e``: not seen,
            and a case of it ended in an error; ``n``: no case of it was judged; ``-``: it has none of them.
        cases: ids of the cases that show it.
        judged: number of its cases that were judged.
    """

    letter: str
    cases: tuple[str, ...]
    judged: int


@dataclass(frozen=True, slots=True)
class CauseRow:
    """One cause.

    Attributes:
        id: its id in a baseline, or the id of a requirement that is violated without a known cause.
        title: one line.
        reason: why a baseline lists it; for a requirement, where it stands.
        bug: link to a report; may be empty.
        known: for each column, whether its baseline lists the cause.
        cells: one for each column.
        requirements: the requirements that it violates, those with most findings first.
    """

    id: str
    title: str
    reason: str
    bug: str
    known: tuple[bool, ...]
    cells: tuple[CauseCell, ...]
    requirements: tuple[str, ...]

    @property
    def weight(self) -> tuple[int, int]:
        """Sorts the rows: violations before deviations, then by the number of findings, most first."""
        worst = 0 if any(cell.letter == "f" for cell in self.cells) else 1
        return worst, -sum(len(cell.cases) for cell in self.cells)


def cause_rows(matrix: Matrix) -> tuple[CauseRow, ...]:
    """Every cause of the matrix, worst first. Each finding of each column belongs to at least one."""
    found = [_findings(column.results) for column in matrix.columns]
    pairs: dict[str, dict[Pair, None]] = {}
    views: dict[str, CauseView] = {}
    known: dict[str, set[int]] = {}
    for number, column in enumerate(matrix.columns):
        comparison = column.results.comparison
        for cause in comparison.causes if comparison else ():
            known.setdefault(cause.id, set()).add(number)
            views.setdefault(cause.id, cause)
        for each in comparison.explained if comparison else ():
            pair = (each.case, each.requirement)
            if pair in found[number]:
                pairs.setdefault(each.cause, {})[pair] = None
    explained = {pair for each in pairs.values() for pair in each}
    for findings in found:
        for pair in findings:
            if pair not in explained:
                pairs.setdefault(pair[1], {})[pair] = None
    rows = [
        _row(id_, tuple(each), views.get(id_), known.get(id_, set()), found, matrix)
        for id_, each in pairs.items()
    ]
    return tuple(sorted(rows, key=lambda row: (*row.weight, row.id)))


def _findings(results: Results) -> Mapping[Pair, str]:
    """The findings of a column, each with the letter of the outcome of its case."""
    return {
        (case.id, finding.requirement): "f" if case.outcome == "failed" else "d"
        for case in results.cases
        if case.outcome in {"failed", "deviation"}
        for finding in case_findings(case, results.catalogue)
    }


def _row(
    id_: str,
    pairs: tuple[Pair, ...],
    view: CauseView | None,
    known: set[int],
    found: list[Mapping[Pair, str]],
    matrix: Matrix,
) -> CauseRow:
    row = matrix.catalogue.requirements.get(id_)
    counts: dict[str, int] = {}
    for _, requirement in pairs:
        counts[requirement] = counts.get(requirement, 0) + 1
    return CauseRow(
        id=id_,
        title=view.title if view else row.text if row else id_,
        reason=view.reason if view else "",
        bug=view.bug if view else "",
        known=tuple(number in known for number in range(len(matrix.columns))),
        cells=tuple(_cell(pairs, number, found[number], matrix) for number in range(len(matrix.columns))),
        requirements=tuple(sorted(counts, key=lambda each: (-counts[each], each))),
    )


def _cell(pairs: tuple[Pair, ...], column: int, found: Mapping[Pair, str], matrix: Matrix) -> CauseCell:
    cases = {case: matrix.outcome(column, case) for case, _ in pairs}
    seen = tuple(dict.fromkeys(pair[0] for pair in pairs if pair in found))
    letters = set(cases.values())
    judged = sum(letter in {"p", "f", "d"} for letter in cases.values())
    if seen:
        letter = "f" if any(found.get(pair) == "f" for pair in pairs) else "d"
    elif judged:
        letter = "p"
    elif "e" in letters:
        letter = "e"
    else:
        letter = ABSENT if letters == {ABSENT} else "n"
    return CauseCell(letter, seen, judged)
