"""The examples in the documents run: two cases, a fault, a controller, a report format."""

from __future__ import annotations

import asyncio
import csv
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from swn_torture.commands import options
from swn_torture.control import Capability, NotHealthy, kinds
from swn_torture.report import formats, write
from swn_torture.report.model import CaseResult, Check, Run, TargetInfo
from swn_torture.report.results import Results
from swn_torture.spec import load_catalogue
from tests.docs.documents import DOCS, ROOT, block_with, blocks, clean_environment
from tests.preloaded import plain_pytest

if TYPE_CHECKING:
    from types import ModuleType

CASES = DOCS / "writing-a-case.md"
FAULT = DOCS / "writing-a-fault.md"
CONTROLLER = DOCS / "adding-a-controller.md"
FORMAT = DOCS / "adding-a-report-format.md"


def load(name: str, text: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load a module from its text under the name that it would have in the package."""
    path = directory / f"{name.rpartition('.')[2]}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def entry(path: Path, part: str, **names: Any) -> Any:
    """The value of a line for a table, from the code block that contains ``part``: a dict or a tuple."""
    line = block_with(path, part)
    return eval(f"({line})" if line.lstrip()[0] != '"' else f"{{{line}}}", names)


# A case and a fault
# ---------------------------------------------------------------------------------------------------------

#: Declares the fault of a file as if the file were in ``swn_torture/faults/witness/``.
CONFTEST = """
import importlib.util
import pathlib

path = pathlib.Path(__file__).parent / "fault.py"
spec = importlib.util.spec_from_file_location("swn_torture.faults.witness.fault", path)
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A directory with the example cases and the example fault."""
    for number, block in enumerate(text for text in blocks(CASES, "python") if "@case" in text.text):
        (tmp_path / f"test_example_{number}.py").write_text(block.text, encoding="utf-8")
    (tmp_path / "fault.py").write_text(block_with(FAULT, "@violates"), encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return tmp_path


def outcomes(directory: Path, *arguments: str) -> dict[str, str]:
    """Run pytest in a directory; the outcome of each case by its id."""
    command = [*plain_pytest(), "-q", "--swn-json", "results.json", *arguments]
    ended = subprocess.run(
        command,
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ended.returncode in {0, 1}, ended.stdout + ended.stderr
    results = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    return {case["id"]: case["outcome"] for case in results["cases"]}


def test_example_cases_pass_on_the_reference(cases: Path) -> None:
    assert outcomes(cases) == {
        "own.example-0.version-3[ndr32]": "passed",
        "own.example-0.version-3[ndr64]": "passed",
        "own.example-1.move": "passed",
    }


def test_example_case_catches_the_example_fault(cases: Path) -> None:
    assert outcomes(cases, "--swn-fault", "register-takes-later-versions") == {
        "own.example-0.version-3[ndr32]": "failed",
        "own.example-0.version-3[ndr64]": "failed",
        "own.example-1.move": "passed",
    }


def test_case_of_the_suite_catches_the_example_fault(cases: Path) -> None:
    found = outcomes(
        cases,
        *("--pyargs", "swn_torture.rpc.methods.test_register", "-k", "wrong-version and ndr32"),
        *("--swn-fault", "register-takes-later-versions"),
    )
    failed = [case for case, outcome in found.items() if outcome == "failed"]
    assert failed == ["rpc.register.wrong-version[ndr32-register-0xffffffff]"]


# A controller
# ---------------------------------------------------------------------------------------------------------

CONTRACT = ROOT / "tests" / "control" / "test_controller_contract.py"

#: Writes down its arguments. It is healthy unless a node is disabled, and its first `enable` fails.
PROGRAM = """#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >>calls
case $1 in
disable) touch disabled ;;
enable) test -e tried && rm disabled || { touch tried; exit 1; } ;;
healthy) test ! -e disabled ;;
esac
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Adds the example to the kinds of controllers; its settings as the page gives them."""
    load("swn_torture.control.script", block_with(CONTROLLER, "class Script"), tmp_path, monkeypatch)
    registered = entry(CONTROLLER, '("script", "ScriptController")')
    monkeypatch.setattr(kinds, "KINDS", {**kinds.KINDS, **registered})
    given: dict[str, Any] = entry(CONTROLLER, '{"program"')["script"]
    return given


def test_example_controller_keeps_the_contract(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = load("controller_contract", CONTRACT.read_text(encoding="utf-8"), tmp_path, monkeypatch)
    contract.SETTINGS["script"] = settings
    rules = [rule for name, rule in vars(contract).items() if name.startswith("test_")]
    of_each_kind = [rule for rule in rules if list(inspect.signature(rule).parameters) == ["kind"]]
    assert len(of_each_kind) >= 6
    for rule in of_each_kind:
        rule("script")


def test_example_controller_calls_its_program(settings: dict[str, Any], tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    controller = kinds.controller_from({"kind": "script", **settings, "program": [str(program)]})

    async def use() -> None:
        async with controller:
            assert controller.can(Capability.DISABLE_NODE)
            await controller.disable("node1")
            with pytest.raises(NotHealthy):
                await controller.wait_healthy(timeout=-1.0)
            await controller.restore()

    asyncio.run(use())
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert calls == [
        *("disable node1", "healthy"),
        "healthy",
        *("enable node1", "enable node1", "healthy", "healthy"),
    ]


# A report format
# ---------------------------------------------------------------------------------------------------------

RESULTS = Results(
    run=Run("2026-11-28T00:00:00+00:00"),
    target=TargetInfo("reference"),
    cases=(
        CaseResult(
            id="rpc.register.wrong-version",
            title="A title.",
            suite="rpc",
            requirements=("SWN-3.1.4.2-version-mismatch",),
            level="MUST",
            outcome="failed",
            checks=(
                Check("SWN-3.1.4.2-version-mismatch", passed=False, expected=("a", "b"), observed="c, d"),
                Check("SWN-3.1.4.2-version-mismatch", passed=None, observed="e"),
            ),
        ),
    ),
    catalogue=load_catalogue(),
)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[formats.Format, ...]:
    """The table of formats with the line of the page."""
    load("swn_torture.report.csv_report", block_with(FORMAT, "def render_csv"), tmp_path, monkeypatch)
    return (*formats.FORMATS, *entry(FORMAT, 'Format("csv"', Format=formats.Format))


def test_example_format_writes_a_file(
    table: tuple[formats.Format, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "FORMATS", table)
    paths = write.ReportPaths(tmp_path / "directory", {"csv": tmp_path / "own.csv"})

    assert write.write_reports(RESULTS, paths) == []

    for path in (tmp_path / "own.csv", tmp_path / "directory" / "results.csv"):
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        case, requirement = "rpc.register.wrong-version", "SWN-3.1.4.2-version-mismatch"
        assert rows[1:] == [
            [case, "failed", requirement, "violation", "a or b", "c, d"],
            [case, "failed", requirement, "recorded", "", "e"],
        ]


def test_example_format_has_its_option(
    table: tuple[formats.Format, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "FORMATS", table)
    given: list[write.ReportPaths] = []

    @click.command()
    @options.report_options
    def command(reports: write.ReportPaths) -> None:
        given.append(reports)

    answer = CliRunner().invoke(command, ["--csv", "own.csv"])
    assert answer.exit_code == 0, answer.output
    assert given[0].files == {"csv": Path("own.csv")}
    assert re.search(r"--csv FILE +Write the CSV results", CliRunner().invoke(command, ["--help"]).output)
