"""What happens in a run, as it happens: one JSON value on each line of a pipe.

``{"planned": [NODE, ...]}``, ``{"started": NODE, "time": T}``, ``{"ended": RESULT, "time": T}``,
``{"finished": NODE}``, ``{"crashed": NODE, "text": TEXT}``, and at the end ``{"results": RESULTS}``. NODE is
a node id of pytest, RESULT a `CaseResult` and RESULTS the `Results` of the run, both without octets.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import Any

import pytest


class EventStream:
    """A pytest plugin for the main process of a run.

    Args:
        descriptor: the file descriptor to write to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._session: pytest.Session | None = None
        self._planned = False

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keep the session, to stop it when nobody reads the events any more."""
        self._session = session

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Send the planned cases, without pytest-xdist."""
        if session.items:
            self._plan([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:  # noqa: ARG002
        """Send the planned cases, with pytest-xdist."""
        self._plan(ids)

    def _plan(self, ids: list[str]) -> None:
        if not self._planned:
            self._planned = True
            self._send({"planned": ids})

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Send that a case starts, before the journal has it."""
        self._send({"started": nodeid, "time": time.time()})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send the result of a case; a report without a result is that of a worker that crashed."""
        result = getattr(report, "swn", None)
        if result is not None:
            self._send({"ended": {**result, "transcript": []}, "time": time.time()})
        elif report.when not in {"setup", "call", "teardown"}:
            self._send({"crashed": report.nodeid, "text": str(report.longrepr)})

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Send that a case has ended; its result does not change any more."""
        self._send({"finished": nodeid})

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the results of the run."""
        from swn_torture.harness.session import RESULTS

        results = session.config.stash.get(RESULTS, None)
        if results is not None:
            cases = (replace(case, transcript=()) for case in results.cases)
            self._send({"results": results.with_cases(cases).to_json()})

    def _send(self, event: dict[str, Any]) -> None:
        octets = json.dumps(event).encode() + b"\n"
        try:
            while octets:
                octets = octets[os.write(self._descriptor, octets) :]
        except OSError:
            if self._session is not None:
                self._session.shouldstop = "nothing reads the events of this run any more"
