"""The pytest plugin as users meet it: in their own runs, with their own cases, from any directory."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import swn_torture
from swn_torture.report.formats import FORMATS
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from tests.plugin.conftest import Directory, Run

ROWS = load_catalogue().requirements

PROJECT = Path(swn_torture.__file__).parent.parent

HEAVY = ("impacket", "scapy", "spnego", "jinja2", "rich", "swn_torture.casekit", "swn_torture.spec")

# In a run without cases
# ----------------------------------------------------------------------------------------------------------


def test_mark_is_declared_for_strict_markers(own: Directory) -> None:
    ended = own.run("--strict-markers", "--strict-config", "--collect-only", "-q")

    assert ended.exit == 0, ended.text
    assert "test_own.py::test_conforms[ndr64]" in ended.text


def test_run_without_cases_loads_no_heavy_modules(directory: Directory) -> None:
    directory.write(
        "test_loaded",
        f"""
import sys

def test_loaded():
    assert "swn_torture.plugin" in sys.modules
    assert not [name for name in {HEAVY} if name in sys.modules]
""",
    )

    ended = directory.run(new=True)

    assert ended.exit == 0, ended.text


def test_run_without_cases_prints_the_same_as_without_plugin(directory: Directory) -> None:
    directory.write(
        "test_mixed",
        """
import pytest

def test_good():
    pass

def test_bad():
    assert 1 == 2

def test_skipped():
    pytest.skip("reason")

@pytest.mark.xfail
def test_expected_failure():
    assert False
""",
    )

    with_plugin = directory.run("-ra")
    without = directory.run("-ra", plugin=False)

    assert with_plugin.exit == without.exit == 1
    assert _comparable(with_plugin.text) == _comparable(without.text)


def _comparable(text: str) -> list[str]:
    """Output without times and without the line that lists the plugins."""
    lines = [re.sub(r"\d+\.\d+s( \(.*?\))?", "TIME", line).strip("= ") for line in text.splitlines()]
    return [line for line in lines if not line.startswith("plugins:")]


# The suite from any directory
# ----------------------------------------------------------------------------------------------------------


def test_installed_suite_runs_from_any_directory(directory: Directory) -> None:
    # The layout of a wheel: the fixtures are inside the package, and there is no project configuration.
    site = directory.path / "site-packages"
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "swn_torture", site / "swn_torture", ignore=leave_out)
    shutil.copytree(PROJECT / "fixtures", site / "swn_torture" / "fixtures", ignore=leave_out)

    ended = directory.run(
        "--pyargs", "swn_torture.rpc.methods.test_check_order", "-k", "every_defect", PYTHONPATH=str(site)
    )

    assert ended.exit == 0, ended.text
    assert {name: each["outcome"] for name, each in ended.results.items()} == {
        "rpc.check-order.every-defect[register]": "passed",
        "rpc.check-order.every-defect[register-ex]": "passed",
    }
    assert "reference: No violation was found." in ended.text


def test_package_name_collects_the_whole_suite(directory: Directory) -> None:
    ended = directory.run("--pyargs", "swn_torture", "--collect-only", "-q", "-p", "no:cacheprovider")

    assert ended.exit == 0, ended.text
    for module in ("test_strings.py", "test_register.py", "test_client_move.py"):
        assert module in ended.text


# A user's own cases
# ----------------------------------------------------------------------------------------------------------

#: By test: its outcome in pytest, its case id, its outcome and a part of its reason in the results.
ENDINGS = {
    "test_conforms[ndr32]": ("passed", "own.own.conforms[ndr32]", "passed", ""),
    "test_conforms[ndr64]": ("passed", "own.own.conforms[ndr64]", "passed", ""),
    "test_must": ("failed", "own.own.must", "failed", ROWS["SWN-3.1.4.2-null-netname"].text),
    "test_should": ("passed", "own.own.should", "deviation", ROWS["RPC-STUB-extra-bytes"].text),
    "test_needs": ("skipped", "own.own.needs", "not-tested", "[variants.unknown]"),
    "test_broken": ("failed", "own.own.broken", "error", "RuntimeError: defect"),
    "test_idle": ("failed", "own.own.idle", "error", "ended without a check"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_case_of_a_user_gets_its_outcome(ended: Run, name: str) -> None:
    outcome_in_pytest, slug, outcome, reason = ENDINGS[name]

    assert ended.reports[name][0] == outcome_in_pytest
    assert ended.results[slug]["outcome"] == outcome
    assert reason in ended.results[slug]["reason"]


def test_violation_shows_expected_and_observed(ended: Run) -> None:
    must = ended.results["own.own.must"]
    assert (must["expected"], must["observed"], must["level"]) == (
        ["ERROR_INVALID_PARAMETER (0x57)"],
        "ERROR_SUCCESS (0x0)",
        "MUST",
    )
    assert "expected ERROR_INVALID_PARAMETER (0x57); observed ERROR_SUCCESS (0x0)" in ended.text
    for line in ("expected: ERROR_INVALID_PARAMETER (0x57)", "observed: ERROR_SUCCESS (0x0)"):
        assert f"\n  {line}\n" in ended.text
    assert "  run again: swn-torture run --target reference --case 'own.own.must'" in ended.text


def test_case_not_tested_is_a_skip_with_a_reason(ended: Run) -> None:
    assert "[variants.unknown]" in ended.reports["test_needs"][1]


def test_summary_counts_outcomes_of_the_suite_and_of_pytest(ended: Run) -> None:
    assert ended.exit == pytest.ExitCode.TESTS_FAILED
    assert "2 passed, 1 violation, 1 deviation, 1 not tested, 2 errors" in ended.text
    assert "1 failed, 3 passed, 2 errors, 1 not-tested, 1 deviation" in ended.text


def test_other_tests_are_not_affected(ended: Run) -> None:
    assert ended.reports["test_not_a_case"] == ("passed", "")
    assert ended.results.keys() == {slug for _, slug, _, _ in ENDINGS.values()}


def test_strict_run_fails_on_a_deviation(own: Directory) -> None:
    strict = own.run("--swn-strict", "-k", "should")

    assert strict.exit == pytest.ExitCode.TESTS_FAILED
    assert strict.reports == {"test_should": ("failed", "")}
    assert strict.results["own.own.should"]["outcome"] == "deviation"


def test_several_processes_get_the_same_results_as_one(own: Directory, ended: Run) -> None:
    parallel = own.run("-n", "2")

    assert parallel.exit == ended.exit
    assert parallel.reports == ended.reports
    assert _findings(parallel) == _findings(ended)
    for run in (ended, parallel):
        assert re.search(r"^> +raise RuntimeError\(.defect.\)$", run.text, re.MULTILINE), "no traceback"


def test_no_traceback_is_made_where_nothing_shows_it(own: Directory) -> None:
    own.write(
        "keeps_texts",
        "import pathlib\n\ndef pytest_runtest_logreport(report):\n"
        "    if report.when == 'call':\n"
        "        pathlib.Path('text.txt').write_text(str(report.longrepr), encoding='utf-8')\n",
    )
    ended = own.run("-p", "keeps_texts", "-p", "no:terminal", "-k", "broken", PYTHONPATH=str(own.path))

    assert ended.results["own.own.broken"]["reason"] == "RuntimeError: defect"
    text = (own.path / "text.txt").read_text(encoding="utf-8")
    assert "RuntimeError: defect" in text
    assert "raise RuntimeError" not in text


def _findings(run: Run) -> dict[str, Any]:
    compared = ("title", "suite", "requirements", "level", "outcome", "reason", "checks", "choices")
    return {name: {key: each[key] for key in compared} for name, each in run.results.items()}


# Allure
# ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def allure(own: Directory, ended: Run) -> dict[str, dict[str, Any]]:
    """Allure's result of each test, by title."""
    assert ended.reports
    results = [json.loads(path.read_text("utf-8")) for path in (own.path / "allure").glob("*-result.json")]
    # The name of a case with parameters ends with them, in brackets.
    return {each["name"].partition(" [")[0]: each for each in results}


LABELS = {
    "GetInterfaceList returns success": ("passed", "normal", "SWN-3.1.4.1-success-code"),
    "Violate a MUST": ("failed", "critical", "SWN-3.1.4.2-null-netname"),
    "Do not follow a SHOULD": ("passed", "minor", "RPC-STUB-extra-bytes"),
    "Need a variant that the target does not have": ("skipped", "normal", "SWN-3.1.4.1-success-code"),
    "Raise an exception in the case itself": ("broken", "normal", "SWN-3.1.4.1-success-code"),
    "End without a check": ("broken", "normal", "SWN-3.1.4.1-success-code"),
}


@pytest.mark.parametrize("title", LABELS)
def test_allure_gets_severity_and_requirement(allure: dict[str, dict[str, Any]], title: str) -> None:
    status, severity, requirement = LABELS[title]
    result = allure[title]

    assert result["status"] == status
    assert _labels(result, "severity") == [severity]
    assert _labels(result, "tag")[0] == requirement
    assert _labels(result, "story") == [requirement]
    assert requirement in result["description"]


def test_allure_gets_the_findings(allure: dict[str, dict[str, Any]]) -> None:
    result = allure["Do not follow a SHOULD"]

    assert result["statusDetails"]["message"].splitlines()[1:4] == [
        "  requirement: RPC-STUB-extra-bytes",
        "  expected: a fault",
        "  observed: a response",
    ]
    assert "deviation" in _labels(result, "tag")
    assert _labels(result, "violates") == ["RPC-STUB-extra-bytes"]


def test_allure_gets_the_id_of_the_case(allure: dict[str, dict[str, Any]]) -> None:
    assert _labels(allure["Violate a MUST"], "case")[0].startswith("own.own.")


def test_allure_gets_no_labels_of_other_tests(allure: dict[str, dict[str, Any]]) -> None:
    assert not _labels(allure["test_not_a_case"], "severity")


def _labels(result: dict[str, Any], name: str) -> list[str]:
    return [label["value"] for label in result["labels"] if label["name"] == name]


# Formats
# ----------------------------------------------------------------------------------------------------------


def test_every_format_has_an_option(directory: Directory) -> None:
    text = directory.run("--help").text
    for each in FORMATS:
        assert f"--swn-{each.name}=FILE" in text


# Mistakes
# ----------------------------------------------------------------------------------------------------------


def test_case_with_unknown_requirement_is_a_usage_error(directory: Directory) -> None:
    directory.write(
        "test_typo",
        """
from swn_torture.casekit import case

@case("SWN-3.1.4.2-null-netnam")
async def test_typo(spec):
    pass
""",
    )

    ended = directory.run()

    assert ended.exit == pytest.ExitCode.USAGE_ERROR
    assert "test_typo.py::test_typo: Unknown requirement 'SWN-3.1.4.2-null-netnam'." in ended.text
    assert "Close matches: SWN-3.1.4.2-null-netname" in ended.text
    assert not ended.reports


@pytest.mark.parametrize(
    ("option", "unknown", "close"),
    [
        ("--swn-requirement", "SWN-3.1.4.2-null-netnam", "SWN-3.1.4.2-null-netname"),
        ("--swn-case", "own.own.mist", "own.own.must"),
        ("--swn-target", "referense", "reference"),
        ("--swn-fault", "any-net-name-take", "any-net-name-taken"),
    ],
    ids=["requirement", "case", "target", "fault"],
)
@pytest.mark.parametrize("processes", ["0", "2"])
def test_unknown_name_is_a_usage_error_with_close_matches(
    own: Directory, option: str, unknown: str, close: str, processes: str
) -> None:
    ended = own.run(option, unknown, "-n", processes)

    words = re.findall(r"[\w.-]*\w", ended.text)
    assert ended.exit == pytest.ExitCode.USAGE_ERROR
    assert {unknown, close} <= {*words}
    assert "Traceback" not in ended.text
    assert "INTERNALERROR" not in ended.text
