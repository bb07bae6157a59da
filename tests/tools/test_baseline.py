"""The tool that compares a run with a baseline accepts known violations only."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from typing import Any

import pytest

from swn_torture.spec import load_catalogue

ROOT = Path(__file__).parents[2]
MUST = "SWN-3.1.4.1-empty-list"
SHOULD = "SWN-3.1.6.1-change-name"


def load_tool() -> Any:
    spec = importlib.util.spec_from_file_location("baseline_tool", ROOT / "tools" / "baseline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


baseline = load_tool()


def results(*cases: dict[str, Any], complete: bool = True) -> dict[str, Any]:
    return {"run": {"complete": complete, "stopped": "interrupted"}, "cases": list(cases)}


def case(
    requirement: str, *, passed: bool, name: str = "cluster.a.b[ndr64]", outcome: str = "failed"
) -> dict[str, Any]:
    check = {"requirement": requirement, "passed": passed, "observed": "x"}
    return {"id": name, "outcome": outcome, "reason": "r", "checks": [check]}


def known(
    requirement: str = MUST, cases: tuple[str, ...] = ("cluster.a.*",), reason: str = "r"
) -> dict[str, Any]:
    return {"violation": [{"requirement": requirement, "cases": list(cases), "reason": reason}]}


def test_known_violation_is_no_problem() -> None:
    assert baseline.compare(results(case(MUST, passed=False)), known()) == ([], [])


def test_brackets_in_case_ids_are_literal() -> None:
    assert baseline.compare(results(case(MUST, passed=False)), known(cases=("cluster.a.b[ndr64]",))) == (
        [],
        [],
    )


def test_unknown_violation_is_a_problem() -> None:
    problems, unconfirmed = baseline.compare(results(case(MUST, passed=False)), {"violation": []})
    assert problems == [f"cluster.a.b[ndr64] violates {MUST}, observed: x"]
    assert not unconfirmed


def test_known_violation_in_another_case_is_a_problem() -> None:
    problems, _ = baseline.compare(results(case(MUST, passed=False, name="rpc.c.d")), known())
    assert problems


def test_deviation_is_no_problem() -> None:
    assert baseline.compare(results(case(SHOULD, passed=False)), {"violation": []}) == ([], [])


def test_unconfirmed_entry_is_listed() -> None:
    problems, unconfirmed = baseline.compare(results(case(MUST, passed=True, outcome="passed")), known())
    assert not problems
    assert unconfirmed == [f"{MUST} in cluster.a.*"]


@pytest.mark.parametrize(
    ("found", "entries", "message"),
    [
        (results(complete=False), {"violation": []}, "not complete: interrupted"),
        (results(case(MUST, passed=True, outcome="error")), {"violation": []}, "ended in an error: r"),
        (results(), known(requirement="SWN-0-nothing"), "names SWN-0-nothing"),
        (results(), known(reason=""), "gives no reason"),
    ],
)
def test_incomplete_run_error_or_bad_entry_is_a_problem(
    found: dict[str, Any], entries: dict[str, Any], message: str
) -> None:
    problems, _ = baseline.compare(found, entries)
    assert any(message in problem for problem in problems)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "fixtures" / "baselines").glob("*.toml")), ids=lambda p: p.stem
)
def test_shipped_baseline_is_valid(path: Path) -> None:
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["violation"]
    requirements = load_catalogue().requirements
    assert entries
    for entry in entries:
        assert requirements[entry["requirement"]].binding
        assert len(entry["reason"]) > 40
        assert entry["cases"]
