"""Results that were compared with a baseline: JUnit, Markdown, annotations of GitHub, Allure."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from swn_torture.harness.allure_results import finish
from swn_torture.report.comparison import CauseView, Comparison, Difference, Explained
from swn_torture.report.github import workflow_commands
from swn_torture.report.junit import render_junit
from swn_torture.report.markdown import plain, render_markdown
from swn_torture.report.model import CaseResult, Check, Run, TargetInfo
from swn_torture.report.results import Results
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from pathlib import Path

_REQUIREMENT = "SWN-3.1.4.2-version-mismatch"
_BUG = "https://bugs.example.com/1"


def case(name: str, outcome: Any) -> CaseResult:
    check = Check(_REQUIREMENT, passed=outcome != "failed", expected=("a",), observed="b|c")
    return CaseResult(
        id=f"rpc.register.{name}",
        title=f"Do {name}.",
        suite="rpc",
        requirements=(_REQUIREMENT,),
        level="MUST",
        outcome=outcome,
        reason="" if outcome == "passed" else f"a reason, for {name}: 100 %",
        checks=(check,) if outcome in {"failed", "passed"} else (),
    )


@pytest.fixture
def comparison() -> Comparison:
    return Comparison(
        baseline="my-samba",
        situation="new-violation",
        differences=(
            Difference("new", "rpc.register.new", _REQUIREMENT, "b|c"),
            Difference("lost", "rpc.register.skipped", reason="no controller"),
            Difference("choice", "rpc.register.passes", "AMB-1", "x", ("y",)),
            Difference("record", "rpc.register.passes", _REQUIREMENT, "z"),
        ),
        causes=(
            CauseView(
                "one-cause", "Versions are [not] compared", "known", bug=_BUG, cases=("rpc.register.known",)
            ),
            CauseView("other-cause", "Not in this run", "known"),
        ),
        explained=(Explained("rpc.register.known", _REQUIREMENT, "b|c", "one-cause"),),
    )


@pytest.fixture
def results(comparison: Comparison) -> Results:
    outcomes = {"passes": "passed", "known": "failed", "new": "failed", "skipped": "not-tested"}
    return Results(
        run=Run("2026-11-28T00:00:00+00:00", duration_s=1.0),
        target=TargetInfo("my_samba"),
        cases=tuple(case(name, outcome) for name, outcome in outcomes.items()),
        catalogue=load_catalogue(),
        comparison=comparison,
    )


# JUnit


def test_junit_skips_what_is_known_with_its_cause(results: Results) -> None:
    root = ET.fromstring(render_junit(results))
    tests = {each.get("name"): each for each in root.iter("testcase")}
    known = tests["rpc.register.known"]
    skipped = known.find("skipped")
    assert skipped is not None
    assert skipped.get("type") == "known"
    assert skipped.get("message") == f"known: Versions are [not] compared (one-cause) {_BUG}"
    properties = [(each.get("name"), each.get("value")) for each in known.iter("property")]
    assert ("cause", "one-cause") in properties
    assert ("requirement", _REQUIREMENT) in properties
    assert "observed: b|c" in (known.findtext("system-out") or "")
    assert tests["rpc.register.new"].find("failure") is not None
    assert tests["rpc.register.skipped"].find("skipped") is not None


def test_junit_fails_for_every_other_difference(results: Results, comparison: Comparison) -> None:
    suite = ET.fromstring(render_junit(results))[-1]
    assert suite.get("name") == "swn_torture.baseline"
    failures = {each.get("name"): each.find("failure") for each in suite}
    assert list(failures) == ["lost 1: rpc.register.skipped", "choice 2: rpc.register.passes AMB-1"]
    choice = failures["choice 2: rpc.register.passes AMB-1"]
    assert choice is not None
    assert choice.text == "the baseline my-samba has: y\nthis run shows: x"


def test_junit_counts_what_it_shows(results: Results) -> None:
    root = ET.fromstring(render_junit(results))
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["6", "3", "0", "2"]


def test_fixed_finding_fails_unless_it_is_allowed(results: Results, comparison: Comparison) -> None:
    fixed = dataclasses.replace(
        comparison, differences=(Difference("fixed", "rpc.register.passes", cause="one-cause"),)
    )
    assert "fixed 1: " in render_junit(results.compared(fixed))
    allowed = dataclasses.replace(fixed, allow_fixed=True)
    assert "fixed 1: " not in render_junit(results.compared(allowed))


# Markdown and GitHub


def test_summary_shows_what_is_new_and_what_is_known(results: Results) -> None:
    text = render_markdown(results)
    assert "## MS-SWN conformance: my\\_samba" in text
    assert "**Baseline my-samba: new violation**" in text
    assert f"- **new**; rpc.register.new {_REQUIREMENT}; observed b\\|c" in text
    assert "- **lost**; rpc.register.skipped; no controller" in text
    assert "record" not in text
    assert f"- known: [Versions are \\[not\\] compared]({_BUG}) (one-cause), 1 case" in text
    assert "Not in this run" not in text
    assert "| 4 cases in 1.0 s | 2 violations, 1 not tested, 1 passed |" in text


def test_summary_without_a_baseline_shows_the_findings(results: Results) -> None:
    text = render_markdown(dataclasses.replace(results, comparison=None))
    assert "**The target violates the specification.**" in text
    assert "- **failed** rpc.register.new: MS-SWN 3.1.4.2" in text
    assert "observed b\\|c" in text


def test_text_of_a_target_cannot_change_the_summary() -> None:
    assert plain("a\n## <b> [x](y) `z`") == r"a \#\# \<b\> \[x\](y) \`z\`"


def test_annotations_are_errors_for_what_fails(results: Results) -> None:
    assert workflow_commands(results) == [
        f"::error title=new%3A rpc.register.new {_REQUIREMENT}::observed: b|c",
        "::error title=lost%3A rpc.register.skipped::no controller",
        "::error title=choice%3A rpc.register.passes AMB-1::observed: x%0Athe baseline has: y",
        f"::notice title=record%3A rpc.register.passes {_REQUIREMENT}::observed: z",
        f"::notice title=known%3A one-cause::Versions are [not] compared: 1 of the cases. {_BUG}",
    ]


def test_annotations_without_a_baseline(results: Results) -> None:
    cases = [case("broken", "error"), case("a,b", "deviation"), case("passes", "passed")]
    run = dataclasses.replace(results.run, complete=False, stopped="terminated (SIGTERM)")
    plain_results = dataclasses.replace(results, run=run, cases=tuple(cases), comparison=None)
    assert workflow_commands(plain_results) == [
        "::error title=The run is not complete::terminated (SIGTERM)",
        "::error title=rpc.register.broken::a reason, for broken: 100 %25",
        "::warning title=rpc.register.a%2Cb::a reason, for a,b: 100 %25",
    ]


def test_last_annotation_says_how_many_are_left(results: Results) -> None:
    many = tuple(case(f"c{number}", "failed") for number in range(13))
    lines = workflow_commands(dataclasses.replace(results, cases=many, comparison=None))
    assert len(lines) == 10
    assert lines[-1] == "::error title=More::4 more in the reports of this run."


# Allure


def write_allure(directory: Path, name: str, start: int) -> Path:
    path = directory / f"{name}-{start}-result.json"
    labels = [{"name": "case", "value": f"rpc.register.{name}"}, {"name": "suite", "value": "test_register"}]
    details = {"message": "Violation: x", "trace": "a traceback"}
    result = {
        "uuid": f"{name}-{start}",
        "name": "test",
        "status": "failed",
        "start": start,
        "labels": labels,
        "statusDetails": details,
    }
    path.write_text(json.dumps(result), encoding="utf-8")
    return path


#: Milliseconds: after the run began.
_NOW = 1_800_000_000_000


def test_allure_shows_known_cases_by_cause(results: Results, tmp_path: Path) -> None:
    old, known, new = (
        write_allure(tmp_path, *each) for each in (("known", 1), ("known", _NOW), ("new", _NOW))
    )
    before = old.read_bytes()
    finish(tmp_path, results)

    marked = json.loads(known.read_text(encoding="utf-8"))
    assert marked["status"] == "skipped"
    details = marked["statusDetails"]
    assert details["message"].startswith(
        "known: one-cause: Versions are [not] compared\nMS-SWN 3.1.4.2 MUST: "
    )
    assert (details["known"], details["flaky"]) == (True, False)
    assert {"name": "tag", "value": "known: one-cause"} in marked["labels"]
    assert {"type": "issue", "name": "one-cause", "url": _BUG} in marked["links"]
    assert old.read_bytes() == before
    assert json.loads(new.read_text(encoding="utf-8"))["status"] == "failed"
    categories = json.loads((tmp_path / "categories.json").read_text(encoding="utf-8"))
    config = json.loads((tmp_path / "allurerc.json").read_text(encoding="utf-8"))
    expected = [
        "New violations",
        "Errors of the suite or the target",
        "known: Versions are [not] compared",
        "Not tested",
    ]
    assert [each["name"] for each in categories] == expected
    assert [each["name"] for each in config["categories"]["rules"]] == expected
    pattern = config["categories"]["rules"][2]["matchers"][0]["labels"]["tag"]
    assert re.search(pattern, "known: one-cause")


def test_allure_shows_a_case_in_the_words_of_the_report(results: Results, tmp_path: Path) -> None:
    path = write_allure(tmp_path, "new", _NOW)
    finish(tmp_path, results)
    shown = json.loads(path.read_text(encoding="utf-8"))
    assert shown["name"] == "Do new"
    assert shown["fullName"] == "rpc.register.new"
    assert shown["statusDetails"]["message"].splitlines()[1:] == [
        f"  requirement: {_REQUIREMENT}",
        "  expected: a",
        "  observed: b|c",
    ]
    assert "trace" not in shown["statusDetails"]
    labels = [(each["name"], each["value"]) for each in shown["labels"]]
    assert ("suite", "rpc.register") in labels
    assert ("suite", "test_register") not in labels
    assert ("violates", _REQUIREMENT) in labels
    assert shown["links"][0]["name"] == "MS-SWN 3.1.4.2"
    assert "learn.microsoft.com" in shown["links"][0]["url"]


def test_parameters_tell_two_cases_apart_in_allure(results: Results, tmp_path: Path) -> None:
    names = ("new[ndr32]", "new[ndr64]")
    both = dataclasses.replace(results, cases=tuple(case(name, "passed") for name in names), comparison=None)
    paths = [write_allure(tmp_path, name, _NOW) for name in names]
    finish(tmp_path, both)
    shown = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    assert shown[0]["testCaseId"] == shown[1]["testCaseId"]
    assert shown[0]["historyId"] != shown[1]["historyId"]
    assert shown[0]["parameters"] == [{"name": "parameters", "value": "ndr32"}]
    assert [each["status"] for each in shown] == ["passed", "passed"]


def test_fixtures_of_cases_are_removed_from_allure_unless_they_failed(
    results: Results, tmp_path: Path
) -> None:
    write_allure(tmp_path, "new", _NOW)
    ours, others = f"new-{_NOW}", "other"
    containers = {
        "passed": ([ours], "passed", _NOW),
        "failed": ([ours], "failed", _NOW),
        "shared": ([ours, others], "passed", _NOW),
        "earlier": ([ours], "passed", 1),
    }
    for name, (children, status, start) in containers.items():
        content = {"children": children, "befores": [{"status": status}], "afters": [{}], "start": start}
        (tmp_path / f"{name}-container.json").write_text(json.dumps(content), encoding="utf-8")
    finish(tmp_path, results)
    assert {path.name.split("-")[0] for path in tmp_path.glob("*-container.json")} == {
        *("failed", "shared", "earlier")
    }


def test_allure_says_what_was_tested(results: Results, tmp_path: Path) -> None:
    finish(tmp_path, dataclasses.replace(results, comparison=None))
    lines = (tmp_path / "environment.properties").read_text(encoding="utf-8").splitlines()
    assert "target=my_samba" in lines
    assert "verdict=my_samba violates the specification (MS-SWN 14.0)." in lines
    config = json.loads((tmp_path / "allurerc.json").read_text(encoding="utf-8"))
    assert config["name"] == "Conformance of my_samba"
    assert len(config["categories"]["rules"]) == 3
