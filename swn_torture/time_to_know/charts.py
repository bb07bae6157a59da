"""Histogram and time line as SVG, made by leather: pure Python, no dependency, MIT.

The colours of the texts are those of the page (currentColor), so that they fit a light and a dark one.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import leather

from swn_torture.time_to_know.model import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.time_to_know.model import Measurement

_WIDTH: Final = 1000
_ROW_HEIGHT: Final = 36
_AROUND: Final = 205
"""Height of a time line besides its rows: margins, legend, axis."""
_HISTOGRAM_HEIGHT: Final = 260
_BINS: Final = 12
_LEAST: Final = 1e-3
"""Seconds: the begin of the time line, which is logarithmic."""

#: Name in the legend, colour, and where in the row of a failure.
_WITNESS: Final = ("a client hears of it by witness", "#2f7ed8", 0.22)
_CLUSTER: Final = ("the cluster itself shows it", "#8a8a8a", 0.12)
_TCP: Final = ("TCP ends the connection", "#d9534f", -0.22)
_PACKET: Final = ("ARP, neighbour advertisement, tickle ACK, RST", "#7b3fa0", 0.0)
_GIVES_UP: Final = ("TCP would end it (computed)", "#e3a21a", -0.22)


class _Exactly(leather.Linear):  # type: ignore[misc]  # leather has no types
    """A linear scale that ends where it is told to; leather's own goes on to the next round number."""

    def project(self, value: float, range_min: float, range_max: float) -> float:
        low, high = float(self._data_min), float(self._data_max)
        return range_min + (range_max - range_min) * (float(value) - low) / (high - low)


def time_line(measurements: Sequence[Measurement]) -> str:
    """Return the SVG of a time line: a row for each measurement, and what happened when after the failure.

    Args:
        measurements: at least one.
    """
    rows = list(reversed(measurements))
    points: dict[tuple[str, str, float], list[tuple[float, float]]] = {
        each: [] for each in (_WITNESS, _CLUSTER, _PACKET, _TCP, _GIVES_UP)
    }
    for number, measured in enumerate(rows):
        moments = [(_WITNESS, each) for each in measured.times]
        moments += [(_CLUSTER, measured.cluster_saw)] if measured.cluster_saw is not None else []
        moments += [(_PACKET, each.seconds) for each in measured.packets]
        moments += [(_TCP, each.seconds) for each in measured.connections if each.seconds is not None]
        moments += [
            (_GIVES_UP, each.gives_up_after)
            for each in measured.connections
            if each.gives_up_after is not None
        ]
        for kind, seconds in moments:
            points[kind].append((_log(seconds), number + kind[2]))
    found = [x for series in points.values() for x, _ in series] or [0.0]
    first, last = math.floor(min(found)), max(math.ceil(max(found)), math.floor(min(found)) + 1)
    _style()
    chart = leather.Chart()
    for (name, colour, _), series in points.items():
        if series:
            chart.add_dots(series, name=name, fill_color=colour, radius=3)
    if not any(points.values()):
        chart.add_dots([(first, 0.0)], name="nothing was measured", fill_color="none")
    chart.set_x_scale(_Exactly(first, last))
    decades = list(range(first, last + 1))
    chart.add_x_axis(decades, lambda value, *_: f"{10.0**value:g} s", "after the failure")
    chart.set_y_scale(_Exactly(-0.5, len(rows) - 0.5))
    chart.add_y_axis(list(range(len(rows))), lambda value, *_: _label(rows[int(value)]))
    return _labelled(chart.to_svg(width=_WIDTH, height=_AROUND + _ROW_HEIGHT * len(rows)), "Time line")


def histogram(measured: Measurement) -> str:
    """Return the SVG of a histogram: how many clients heard of a failure when.

    Args:
        measured: at least one client heard of it.
    """
    times = measured.times
    low, high = times[0], times[-1]
    width = max((high - low) / _BINS, 1e-3)
    edges = [low + number * width for number in range(_BINS + 1)]
    edges[-1] = math.inf
    counts = [sum(1 for each in times if begin <= each < end) for begin, end in pairwise(edges)]
    _style()
    chart = leather.Chart()
    data = [(duration(edge), number) for edge, number in zip(edges, counts, strict=False)]
    chart.add_columns(data, fill_color=_WITNESS[1])
    chart.add_x_axis(name="after the failure: begin of the column")
    chart.add_y_axis(name="clients")
    return _labelled(chart.to_svg(width=_WIDTH, height=_HISTOGRAM_HEIGHT), f"Histogram: {_label(measured)}")


def _log(seconds: float) -> float:
    return math.log10(max(seconds, _LEAST))


def _label(measured: Measurement) -> str:
    return f"{measured.failure}, {measured.clients}"


def _labelled(svg: str, label: str) -> str:
    """The SVG without the XML head, as an image with a name, as wide as its place."""
    inline = svg[svg.index("<svg") :]
    return re.sub(
        r'<svg width="(\d+)" height="(\d+)"',
        rf'<svg role="img" aria-label="{label}" viewBox="0 0 \1 \2"',
        inline,
        count=1,
    )


def _style() -> None:
    theme = leather.theme
    theme.background_color = "none"
    theme.title_color = theme.legend_color = theme.axis_title_color = theme.label_color = "currentColor"
    theme.tick_color = theme.zero_color = "#8884"
    for name in ("title", "legend", "axis_title", "tick"):
        setattr(theme, f"{name}_font_family", "inherit")
        setattr(theme, f"{name}_font_size", 13)
