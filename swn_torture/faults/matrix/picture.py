"""The kill matrix as a picture: one HTML page, fault by test function, that needs nothing but itself."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from swn_torture.faults.matrix.page import summary
from swn_torture.faults.matrix.subjects import related

if TYPE_CHECKING:
    from swn_torture.faults.matrix.matrix import FaultResult, Matrix

#: What a case of a function said of a fault, the strongest first.
MEANINGS = {
    "law": "a case found a requirement broken that the fault violates",
    "near": "a case for such a requirement, or for one of the same subject, found something else broken",
    "stranger": "a case for another subject failed",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What one test function said of one fault.

    Attributes:
        kind: key of `MEANINGS`.
        cases: how many of its cases caught the fault.
        title: those cases, a line each, with what they found broken.
    """

    kind: str
    cases: int
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    Attributes:
        catch: the fault and its run.
        cells: by test function; none where no case of it caught the fault.
    """

    catch: FaultResult
    cells: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Area:
    """The faults of one area.

    Attributes:
        name: of the area.
        functions: the test functions that caught any of them, in the order of the suite.
        rows: one for each fault.
    """

    name: str
    functions: tuple[str, ...]
    rows: tuple[Row, ...]


def areas(matrix: Matrix) -> list[Area]:
    """The matrix in pieces, for nobody can read the whole: of each area the columns where something is."""
    order = {case.partition("[")[0]: n for n, case in reversed([*enumerate(matrix.reference.outcomes)])}
    found: list[Area] = []
    for name, results in groupby(matrix.results, key=lambda catch: catch.fault.area):
        rows = tuple(Row(catch, _cells(catch)) for catch in results)
        functions = {function for row in rows for function in row.cells}
        known = sorted(functions, key=lambda function: order.get(function, len(order)))
        found.append(Area(name, tuple(known), rows))
    return found


def picture(matrix: Matrix) -> str:
    """The page, as one HTML document."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("swn_torture.faults.matrix", "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("matrix.html.j2").render(
        matrix=matrix, summary=summary(matrix), areas=areas(matrix), meanings=MEANINGS
    )


def _cells(catch: FaultResult) -> dict[str, Cell]:
    violated = set(catch.fault.violates)
    beside = related((*catch.fault.violates, *catch.fault.near))
    by_function: dict[str, list[str]] = defaultdict(list)
    for case in catch.catching_cases:
        by_function[case.partition("[")[0]].append(case)
    cells: dict[str, Cell] = {}
    for function, cases in by_function.items():
        broken = {name for case in cases for name in catch.trial.broken[case]}
        named = {name for case in cases for name in catch.trial.named[case]}
        kind = "law" if broken & violated else "near" if named & beside else "stranger"
        lines = [f"{case}: {', '.join(catch.trial.broken[case])}" for case in cases]
        cells[function] = Cell(kind, len(cases), "\n".join(lines))
    return cells
