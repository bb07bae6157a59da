"""The figures as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swn_torture.time_to_know.model import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swn_torture.time_to_know.model import Measurement, Study

FIGURES: Final = ("first", "median", "p99", "last")
TITLES: Final = ("failure", "clients", "heard", *FIGURES, "cluster saw it")


def row(measured: Measurement) -> tuple[str, ...]:
    """The cells of a measurement under the titles of the table."""
    figures = measured.figures
    return (
        measured.failure,
        str(measured.clients),
        f"{len(measured.times)}/{len(measured.heard)}",
        *("-" if figures is None else duration(figures[name]) for name in FIGURES),
        "-" if measured.cluster_saw is None else duration(measured.cluster_saw),
    )


def result(measured: Measurement) -> str:
    """A measurement in one line."""
    figures = measured.figures
    text = f"{measured.failure} of {measured.node}, {measured.clients} client"
    text += "s" if measured.clients > 1 else ""
    if figures is None:
        return f"{text}: {measured.problem or f'nothing heard within {duration(measured.waited)}'}"
    return f"{text}: {', '.join(f'{name} {duration(figures[name])}' for name in FIGURES)}"


def lines(study: Study) -> Iterator[str]:
    """The table, and below it what TCP told, what was heard, and what went wrong."""
    rows = [TITLES, *map(row, study.measurements)]
    widths = [max(len(each[column]) for each in rows) for column in range(len(TITLES))]
    for each in rows:
        yield _line(each, widths)
    yield ""
    yield "Without witness:"
    for measured in study.measurements:
        for ending in measured.connections:
            yield f"  {measured.failure}: {ending.what}: {ending}"
        if measured.no_connections:
            yield f"  {measured.failure}: not measured: {measured.no_connections}"
    if any(measured.packets for measured in study.measurements):
        yield ""
        yield "On the network:"
    for measured in study.measurements:
        for seen in measured.packets:
            yield f"  {measured.failure}: {seen}"
    yield ""
    yield "What was heard first:"
    for measured in study.measurements:
        heard = "; ".join(f"{what}: {number}" for what, number in measured.what_was_heard.items())
        yield f"  {measured.failure}, {measured.clients}: {heard or 'no client was registered'}"
        if measured.problem:
            yield f"    {measured.problem}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join((first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others))).rstrip()
