"""The page with the charts: one self-contained file, without scripts."""

from __future__ import annotations

import time
from importlib import resources
from typing import TYPE_CHECKING

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
    import jinja2

    loader = jinja2.FunctionLoader(
        lambda name: resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")
    )
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["visible"] = visible
    style = resources.files("swn_torture.report").joinpath("page", "report.css").read_text(encoding="utf-8")
    began = min(each.at for each in study.measurements)
    return environment.get_template("page.html.j2").render(
        study=study,
        style=style,
        titles=TITLES,
        rows=[(each, row(each)) for each in study.measurements],
        began=time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(began)),
        time_line=time_line(study.measurements),
        histograms=[(each, histogram(each)) for each in study.measurements if len(each.times) >= _ENOUGH],
    )
