"""Runs of pytest in directories of their own, with the plugin as its entry point loads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: Writes down how pytest itself takes each report, which no report of the suite tells.
OBSERVER = """
import json
import pathlib

def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        with pathlib.Path("reports.jsonl").open("a", encoding="utf-8") as file:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            file.write(json.dumps([report.nodeid.partition("::")[2], report.outcome, reason]) + "\\n")
"""

#: Cases of a user's own, one for each way in which a case can end.
OWN = '''
from swn_torture.casekit import case
from swn_torture.casekit import outcome_of, returns
from swn_torture.witness.messages import GetInterfaceListRequest

@case("SWN-3.1.4.1-success-code", syntaxes="both")
async def test_conforms(witness, law):
    """GetInterfaceList returns success."""
    client = await witness.connect()
    reply = await outcome_of(client.start(GetInterfaceListRequest()))
    law("SWN-3.1.4.1-success-code").allows(reply, returns(0))

@case("SWN-3.1.4.2-null-netname")
async def test_must(law):
    """What has to be is not."""
    law("SWN-3.1.4.2-null-netname").holds(False, expected="the moon", observed="a lamp")

@case("RPC-STUB-extra-bytes")
async def test_should(law):
    """What ought to be is not."""
    law("RPC-STUB-extra-bytes").holds(False, expected="the sun", observed="a candle")

@case("SWN-3.1.4.1-success-code", needs=("variant:none-such",))
async def test_needs(law):
    """The target lacks what this takes."""

@case("SWN-3.1.4.1-success-code")
async def test_broken(law):
    """The case itself is broken."""
    raise RuntimeError("out of order")

@case("SWN-3.1.4.1-success-code")
async def test_idle(law):
    """The case looks at nothing."""

def test_not_a_case():
    """A test of the same user, which is none of the suite's business."""
'''


@dataclass(frozen=True)
class Run:
    """A run of pytest that is over.

    Attributes:
        exit: its exit code.
        text: what it printed, errors included.
        reports: outcome and reason of a skip by test, as pytest takes them.
        results: the cases as the suite tells them, by id.
    """

    exit: int
    text: str
    reports: dict[str, tuple[str, str]]
    results: dict[str, dict[str, Any]]


class Directory:
    """A directory that has nothing to do with the project, to run pytest in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("conftest", OBSERVER)

    def write(self, name: str, text: str) -> None:
        """Put a module there."""
        (self.path / f"{name}.py").write_text(text, encoding="utf-8")

    def run(self, *arguments: str, plugin: bool = True, **environment: str) -> Run:
        """Run pytest there in a process of its own, on the embedded reference, or without the plugin."""
        notified = {name: self.path / name for name in ("reports.jsonl", "results.json")}
        for path in notified.values():
            path.unlink(missing_ok=True)
        how = ("--swn-json", "results.json") if plugin else ("-p", "no:swn_torture")
        command = [sys.executable, "-m", "pytest", *how, *arguments]
        clean = {name: value for name, value in os.environ.items() if name not in _OURS}
        ended = subprocess.run(
            command,
            cwd=self.path,
            env=clean | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        lines, results = (path.read_text("utf-8") if path.is_file() else "" for path in notified.values())
        return Run(
            exit=ended.returncode,
            text=f"{ended.stdout}\n{ended.stderr}",
            reports={name: (outcome, why) for name, outcome, why in map(json.loads, lines.splitlines())},
            results={each["id"]: each for each in json.loads(results or '{"cases": []}')["cases"]},
        )


#: What the run that these tests belong to may have set for itself.
_OURS = {"SWN_TARGET", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"}


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """A directory without tests."""
    return Directory(tmp_path)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    """A directory with cases of a user's own."""
    directory = Directory(tmp_path_factory.mktemp("own"))
    directory.write("test_own", OWN)
    return directory


@pytest.fixture(scope="module")
def ended(own: Directory) -> Run:
    """A run of these, one after the other, with results for Allure."""
    return own.run("--alluredir", "allure")
