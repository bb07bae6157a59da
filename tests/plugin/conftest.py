"""Runs of pytest in separate directories, with the plugin loaded by its entry point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.preloaded import plain_pytest

if TYPE_CHECKING:
    from pathlib import Path

#: Records the outcome that pytest itself gives each test, which no report of the suite shows.
OBSERVER = """
import json
import pathlib

def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        with pathlib.Path("reports.jsonl").open("a", encoding="utf-8") as file:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            file.write(json.dumps([report.nodeid.partition("::")[2], report.outcome, reason]) + "\\n")
"""

#: A user's own cases, one for each way in which a case can end.
OWN = '''
from swn_torture.casekit import case, outcome_of, returns
from swn_torture.witness.messages import GetInterfaceListRequest

@case("SWN-3.1.4.1-success-code", syntaxes="both")
async def test_conforms(witness, spec):
    """GetInterfaceList returns success."""
    client = await witness.connect()
    response = await outcome_of(client.start(GetInterfaceListRequest()))
    spec("SWN-3.1.4.1-success-code").allows(response, returns(0))

@case("SWN-3.1.4.2-null-netname")
async def test_must(spec):
    """Violate a MUST."""
    rule = spec("SWN-3.1.4.2-null-netname")
    rule.holds(False, expected="ERROR_INVALID_PARAMETER (0x57)", observed="ERROR_SUCCESS (0x0)")

@case("RPC-STUB-extra-bytes")
async def test_should(spec):
    """Do not follow a SHOULD."""
    spec("RPC-STUB-extra-bytes").holds(False, expected="a fault", observed="a response")

@case("SWN-3.1.4.1-success-code", needs=("variant:unknown",))
async def test_needs(spec):
    """Need a variant that the target does not have."""

@case("SWN-3.1.4.1-success-code")
async def test_broken(spec):
    """Raise an exception in the case itself."""
    raise RuntimeError("defect")

@case("SWN-3.1.4.1-success-code")
async def test_idle(spec):
    """End without a check."""

def test_not_a_case():
    """A test of the same user that is not a case."""
'''


@dataclass(frozen=True)
class Run:
    """A finished run of pytest.

    Attributes:
        exit: exit code.
        text: standard output and standard error.
        reports: outcome and skip reason in pytest, by test.
        results: the results of the cases, by id.
    """

    exit: int
    text: str
    reports: dict[str, tuple[str, str]]
    results: dict[str, dict[str, Any]]


class Directory:
    """A directory outside the project, to run pytest in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("conftest", OBSERVER)

    def write(self, name: str, text: str) -> None:
        """Write a module to it."""
        (self.path / f"{name}.py").write_text(text, encoding="utf-8")

    def run(self, *arguments: str, plugin: bool = True, new: bool = False, **environment: str) -> Run:
        """Run pytest in it, in a separate process, on the embedded reference; or without the plugin.

        Args:
            arguments: of pytest.
            plugin: whether the plugin is loaded.
            new: whether the process has loaded nothing before.
            environment: further variables.
        """
        outputs = {name: self.path / name for name in ("reports.jsonl", "results.json")}
        for path in outputs.values():
            path.unlink(missing_ok=True)
        how = ("--swn-json", "results.json") if plugin else ("-p", "no:swn_torture")
        start = [sys.executable, "-m", "pytest"] if new else plain_pytest()
        command = [*start, *how, *arguments]
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
        lines, results = (path.read_text("utf-8") if path.is_file() else "" for path in outputs.values())
        return Run(
            exit=ended.returncode,
            text=f"{ended.stdout}\n{ended.stderr}",
            reports={name: (outcome, why) for name, outcome, why in map(json.loads, lines.splitlines())},
            results={each["id"]: each for each in json.loads(results or '{"cases": []}')["cases"]},
        )


#: Environment variables that the run of these tests may have set.
_OURS = {"SWN_TARGET", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"}


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """A directory without tests."""
    return Directory(tmp_path)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    """A directory with a user's own cases."""
    directory = Directory(tmp_path_factory.mktemp("own"))
    directory.write("test_own", OWN)
    return directory


@pytest.fixture(scope="module")
def ended(own: Directory) -> Run:
    """A run of these cases in one process, with results for Allure."""
    return own.run("--alluredir", "allure")
