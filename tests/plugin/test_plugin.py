"""The pytest plugin as others meet it: in their own runs, with their own cases, and from anywhere."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import swn_torture

if TYPE_CHECKING:
    from tests.plugin.conftest import Directory, Run

PROJECT = Path(swn_torture.__file__).parent.parent

HEAVY = ("impacket", "scapy", "spnego", "jinja2", "rich", "swn_torture.casekit", "swn_torture.spec")

# In a run without cases
# ----------------------------------------------------------------------------------------------------------


def test_the_mark_is_known_where_marks_are_strict(own: Directory) -> None:
    ended = own.run("--strict-markers", "--strict-config", "--collect-only", "-q")

    assert ended.exit == 0, ended.text
    assert "test_own.py::test_conforms[ndr64]" in ended.text


def test_a_run_without_cases_loads_next_to_nothing(directory: Directory) -> None:
    directory.write(
        "test_loaded",
        f"""
import sys

def test_loaded():
    assert "swn_torture.plugin" in sys.modules
    assert not [name for name in {HEAVY} if name in sys.modules]
""",
    )

    ended = directory.run()

    assert ended.exit == 0, ended.text


def test_a_run_without_cases_reads_as_without_the_plugin(directory: Directory) -> None:
    directory.write(
        "test_mixed",
        """
import pytest

def test_good():
    pass

def test_bad():
    assert "moon" == "lamp"

def test_skipped():
    pytest.skip("not today")

@pytest.mark.xfail
def test_hopeless():
    assert False
""",
    )

    with_it = directory.run("-ra")
    without = directory.run("-ra", plugin=False)

    assert with_it.exit == without.exit == 1
    assert _comparable(with_it.text) == _comparable(without.text)


def _comparable(text: str) -> list[str]:
    """Output without what differs from run to run, and without the line that lists the plugins."""
    lines = [re.sub(r"\d+\.\d+s( \(.*?\))?", "TIME", line).strip("= ") for line in text.splitlines()]
    return [line for line in lines if not line.startswith("plugins:")]


# The suite from anywhere
# ----------------------------------------------------------------------------------------------------------


def test_the_installed_suite_runs_from_an_unrelated_directory(directory: Directory) -> None:
    # As a wheel lays it out: the fixtures inside the package, and no configuration of the project around it.
    site = directory.path / "site-packages"
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "swn_torture", site / "swn_torture", ignore=leave_out)
    shutil.copytree(PROJECT / "fixtures", site / "swn_torture" / "fixtures", ignore=leave_out)

    ended = directory.run(
        "--pyargs", "swn_torture.rpc.methods.test_register", "-k", "version_is_checked", PYTHONPATH=str(site)
    )

    assert ended.exit == 0, ended.text
    assert {name: each["outcome"] for name, each in ended.results.items()} == {
        "rpc.register.version-is-checked-before-names[register]": "passed",
        "rpc.register.version-is-checked-before-names[register-ex]": "passed",
    }
    assert "reference: No violation was found." in ended.text


def test_the_whole_suite_is_found_by_its_package(directory: Directory) -> None:
    ended = directory.run("--pyargs", "swn_torture", "--collect-only", "-q", "-p", "no:cacheprovider")

    assert ended.exit == 0, ended.text
    for module in ("ndr/test_strings.py", "rpc/test_register.py", "cluster/test_client_move.py"):
        assert module in ended.text


# Cases of one's own
# ----------------------------------------------------------------------------------------------------------

#: How pytest takes each of them, and what the suite says of it.
ENDINGS = {
    "test_conforms[ndr32]": ("passed", "own.own.conforms[ndr32]", "passed", ""),
    "test_conforms[ndr64]": ("passed", "own.own.conforms[ndr64]", "passed", ""),
    "test_must": ("failed", "own.own.must", "failed", "NULL NetName is refused"),
    "test_should": ("passed", "own.own.should", "deviation", "Bytes after the last parameter"),
    "test_needs": ("skipped", "own.own.needs", "not-tested", "[variants.none-such]"),
    "test_broken": ("failed", "own.own.broken", "error", "RuntimeError: out of order"),
    "test_idle": ("failed", "own.own.idle", "error", "without reaching a check"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_case_of_a_users_own_is_run_and_judged(ended: Run, name: str) -> None:
    as_pytest_takes_it, slug, outcome, reason = ENDINGS[name]

    assert ended.reports[name][0] == as_pytest_takes_it
    assert ended.results[slug]["outcome"] == outcome
    assert reason in ended.results[slug]["reason"]


def test_a_violation_is_told_with_what_was_expected_and_observed(ended: Run) -> None:
    must = ended.results["own.own.must"]
    assert (must["expected"], must["observed"], must["level"]) == (["the moon"], "a lamp", "MUST")
    assert "expected the moon; observed a lamp" in ended.text


def test_a_case_that_is_not_tested_is_a_skip_with_a_reason(ended: Run) -> None:
    assert "[variants.none-such]" in ended.reports["test_needs"][1]


def test_the_run_is_summed_up_in_the_words_of_the_suite_and_of_pytest(ended: Run) -> None:
    assert ended.exit == pytest.ExitCode.TESTS_FAILED
    assert "2 passed, 1 violation, 1 deviation, 1 not tested, 2 errors" in ended.text
    assert "1 failed, 3 passed, 2 errors, 1 deviation, 1 not-tested" in ended.text


def test_other_tests_are_left_alone(ended: Run) -> None:
    assert ended.reports["test_not_a_case"] == ("passed", "")
    assert ended.results.keys() == {slug for _, slug, _, _ in ENDINGS.values()}


def test_a_should_fails_its_case_in_a_strict_run(own: Directory) -> None:
    strict = own.run("--swn-strict", "-k", "should")

    assert strict.exit == pytest.ExitCode.TESTS_FAILED
    assert strict.reports == {"test_should": ("failed", "")}
    assert strict.results["own.own.should"]["outcome"] == "deviation"


def test_processes_side_by_side_find_what_one_finds(own: Directory, ended: Run) -> None:
    beside = own.run("-n", "2")

    assert beside.exit == ended.exit
    assert beside.reports == ended.reports
    assert _findings(beside) == _findings(ended)


def _findings(run: Run) -> dict[str, Any]:
    notified = ("title", "suite", "requirements", "level", "outcome", "reason", "checks", "choices")
    return {name: {key: each[key] for key in notified} for name, each in run.results.items()}


# Allure
# ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def allure(own: Directory, ended: Run) -> dict[str, dict[str, Any]]:
    """What Allure was told of each test, by title."""
    assert ended.reports
    notified = [json.loads(path.read_text("utf-8")) for path in (own.path / "allure").glob("*-result.json")]
    return {each["name"]: each for each in notified}


LABELS = {
    "GetInterfaceList returns success.": ("passed", "normal", "SWN-3.1.4.1-success-code"),
    "What has to be is not.": ("failed", "critical", "SWN-3.1.4.2-null-netname"),
    "What ought to be is not.": ("passed", "minor", "RPC-STUB-extra-bytes"),
    "The target lacks what this takes.": ("skipped", "normal", "SWN-3.1.4.1-success-code"),
    "The case itself is broken.": ("broken", "normal", "SWN-3.1.4.1-success-code"),
    "The case looks at nothing.": ("broken", "normal", "SWN-3.1.4.1-success-code"),
}


@pytest.mark.parametrize("title", LABELS)
def test_allure_is_told_severity_and_requirement(allure: dict[str, dict[str, Any]], title: str) -> None:
    status, severity, requirement = LABELS[title]
    notified = allure[title]

    assert notified["status"] == status
    assert _labels(notified, "severity") == [severity]
    assert _labels(notified, "tag") == _labels(notified, "requirement") == [requirement]
    assert requirement in notified["description"]


def test_allure_is_given_the_findings(own: Directory, allure: dict[str, dict[str, Any]]) -> None:
    (attached,) = allure["What ought to be is not."]["attachments"]

    assert attached["name"] == "RPC-STUB-extra-bytes"
    text = (own.path / "allure" / attached["source"]).read_text("utf-8")
    assert text == "expected: the sun\nobserved: a candle"


def test_allure_is_told_nothing_of_other_tests(allure: dict[str, dict[str, Any]]) -> None:
    assert not _labels(allure["test_not_a_case"], "severity")


def _labels(result: dict[str, Any], name: str) -> list[str]:
    return [label["value"] for label in result["labels"] if label["name"] == name]


# Mistakes
# ----------------------------------------------------------------------------------------------------------


def test_a_case_for_an_unknown_requirement_is_not_run(directory: Directory) -> None:
    directory.write(
        "test_typo",
        """
from swn_torture.casekit import case

@case("SWN-3.1.4.2-null-netnam")
async def test_typo(law):
    pass
""",
    )

    ended = directory.run()

    assert ended.exit == pytest.ExitCode.USAGE_ERROR
    assert "test_typo.py::test_typo names SWN-3.1.4.2-null-netnam, which the catalogue lacks" in ended.text
    assert "SWN-3.1.4.2-null-netname" in ended.text
    assert not ended.reports


@pytest.mark.parametrize(
    ("option", "unknown", "close"),
    [
        ("--swn-requirement", "SWN-3.1.4.2-null-netnam", "SWN-3.1.4.2-null-netname"),
        ("--swn-case", "own.own.mist", "own.own.must"),
        ("--swn-target", "referense", "reference"),
        ("--swn-fault", "coined-cod", "coined-code"),
    ],
    ids=["requirement", "case", "target", "fault"],
)
def test_an_unknown_name_is_answered_with_those_there_are(
    own: Directory, option: str, unknown: str, close: str
) -> None:
    ended = own.run(option, unknown)

    words = re.findall(r"[\w.-]*\w", ended.text)
    assert ended.exit == pytest.ExitCode.USAGE_ERROR
    assert {unknown, close} <= {*words}
    assert "Traceback" not in ended.text
