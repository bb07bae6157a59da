"""The page with the charts: one self-contained file, without scripts."""

from __future__ import annotations

import time
from importlib import resources
from typing import TYPE_CHECKING

from swn_torture.report.templates import environment
from swn_torture.time_to_know.charts import histogram, time_line
from swn_torture.time_to_know.table import TITLES, row
from swn_torture.visible import visible

if TYPE_CHECKING:
    from swn_torture.time_to_know.model import Study

_ENOUGH = 10
"""Clients that a histogram needs."""


def render(study: Study) -> str:
    """Return the page as HTML.

    Args:
        study: with at least one measurement.
    """
    pages = environment("swn_torture.time_to_know", "page")
    pages.filters["visible"] = visible
    style = resources.files("swn_torture.report").joinpath("page", "report.css").read_text(encoding="utf-8")
    began = min(each.at for each in study.measurements)
    return pages.get_template("page.html.j2").render(
        study=study,
        style=style,
        titles=TITLES,
        rows=[(each, row(each)) for each in study.measurements],
        began=time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(began)),
        time_line=time_line(study.measurements),
        histograms=[(each, histogram(each)) for each in study.measurements if len(each.times) >= _ENOUGH],
    )
