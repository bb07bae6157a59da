"""The fault matrix as a picture: one self-contained HTML page, faults by test functions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from swn_torture.faults.matrix.page import KIND_TEXTS, area_title, figure_rows, reference_line
from swn_torture.faults.matrix.subjects import related
from swn_torture.report.templates import environment

if TYPE_CHECKING:
    from swn_torture.faults.library import Kind
    from swn_torture.faults.matrix.matrix import FaultResult, Matrix

#: What the cases of a test function found on a fault; the first that applies.
MEANINGS = {
    "violated": "a case found a requirement broken that the fault violates",
    "related": "a case for a violated or a related requirement found something else broken",
    "unrelated": "a case for another subject failed",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What the cases of one test function found on one fault.

    Attributes:
        meaning: key of `MEANINGS`.
        cases: how many of its cases caught the fault.
        title: these cases, one in each line, with the requirements that they found broken.
    """

    meaning: str
    cases: int
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    Attributes:
        result: the fault and its trial.
        cells: by test function; only functions with a case that caught the fault.
    """

    result: FaultResult
    cells: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Area:
    """The faults of one area.

    Attributes:
        title: name of the area as a heading.
        kind: the kind of its faults.
        functions: the test functions that caught one of them, in the order of the suite.
        rows: one for each fault.
    """

    title: str
    kind: Kind
    functions: tuple[str, ...]
    rows: tuple[Row, ...]


def areas(matrix: Matrix) -> list[Area]:
    """Split the matrix into its areas, each with the columns that are not empty: the whole is too wide."""
    order = {case.partition("[")[0]: n for n, case in reversed([*enumerate(matrix.reference.outcomes)])}
    found: list[Area] = []
    for name, results in groupby(matrix.results, key=lambda result: result.fault.area):
        rows = tuple(Row(result, _cells(result)) for result in results)
        functions = {function for row in rows for function in row.cells}
        known = sorted(functions, key=lambda function: order.get(function, len(order)))
        found.append(Area(area_title(name), rows[0].result.fault.kind, tuple(known), rows))
    return found


def picture(matrix: Matrix) -> str:
    """Return the page, as one HTML document."""
    pages = environment("swn_torture.faults.matrix", "template")
    return pages.get_template("matrix.html.j2").render(
        kinds=list(matrix.by_kind()),
        kind_texts=KIND_TEXTS,
        figures=figure_rows(matrix),
        reference=reference_line(matrix),
        areas=areas(matrix),
        meanings=MEANINGS,
    )


def _cells(result: FaultResult) -> dict[str, Cell]:
    violated = set(result.fault.violates)
    near = related((*result.fault.violates, *result.fault.near))
    by_function: dict[str, list[str]] = defaultdict(list)
    for case in result.catching_cases:
        by_function[case.partition("[")[0]].append(case)
    cells: dict[str, Cell] = {}
    for function, cases in by_function.items():
        broken = {name for case in cases for name in result.trial.broken[case]}
        named = {name for case in cases for name in result.trial.named[case]}
        meaning = "violated" if broken & violated else "related" if named & near else "unrelated"
        lines = [f"{case}: {', '.join(result.trial.broken[case])}" for case in cases]
        cells[function] = Cell(meaning, len(cases), "\n".join(lines))
    return cells
