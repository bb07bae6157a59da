"""What reads text of a user or of another program: profiles, baselines, results, orders to the reference.

Each target takes any octets. It returns if they are read, or rejected by the error that the reader promises.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from typing import Any, Final

from swn_torture.baseline.model import BaselineError
from swn_torture.baseline.read import parse_baseline
from swn_torture.report.html import render_html
from swn_torture.report.json_report import render_json
from swn_torture.report.junit import render_junit
from swn_torture.report.markdown import render_markdown
from swn_torture.report.results import Results, ResultsError
from swn_torture.report.text import summary_lines
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.admin import AdminServer
from swn_torture.server.nodes.cluster import ReferenceCluster
from swn_torture.spec import load_catalogue
from swn_torture.target import ProfileError, parse_profile

_CATALOGUE: Final = load_catalogue()


def profile(octets: bytes) -> None:
    """A target profile."""
    try:
        parse_profile(tomllib.loads(octets.decode("utf-8", "replace")))
    except (tomllib.TOMLDecodeError, ProfileError, RecursionError):
        return


def baseline(octets: bytes) -> None:
    """A baseline."""
    try:
        parse_baseline(octets.decode("utf-8", "replace"), catalogue=_CATALOGUE)
    except (BaselineError, RecursionError):
        return


def results(octets: bytes) -> None:
    """Results as JSON. What is read is shown in every format; written and read again, it is the same."""
    try:
        data = json.loads(octets)
        read = Results.from_json(data, _CATALOGUE)
    except (ValueError, RecursionError, ResultsError):
        return
    for line in summary_lines(read):
        assert line.isprintable(), line
    render_markdown(read)
    render_junit(read)
    render_html(read)
    assert Results.from_json(json.loads(render_json(read)), _CATALOGUE) == read


class _Orders:
    """The administration of a reference that does not serve."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __call__(self, octets: bytes) -> None:
        """A line of an administration client whose token has been checked."""
        admin = AdminServer(ReferenceCluster(ClusterConfig()))
        response: dict[str, Any] = self._runner.run(admin.execute(octets))
        json.dumps(response)
        assert isinstance(response["ok"], bool)


orders: Final = _Orders()
