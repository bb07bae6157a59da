"""The gate of a real target lets through what is known and reasoned, and nothing else."""

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


def test_a_known_violation_passes() -> None:
    assert baseline.compare(results(case(MUST, passed=False)), known()) == ([], [])


def test_brackets_in_ids_are_literal() -> None:
    assert baseline.compare(results(case(MUST, passed=False)), known(cases=("cluster.a.b[ndr64]",))) == (
        [],
        [],
    )


def test_an_unknown_violation_is_a_problem() -> None:
    problems, stale = baseline.compare(results(case(MUST, passed=False)), {"violation": []})
    assert problems == [f"cluster.a.b[ndr64] violates {MUST}, observed: x"]
    assert not stale


def test_a_known_violation_in_another_case_is_a_problem() -> None:
    problems, _ = baseline.compare(results(case(MUST, passed=False, name="rpc.c.d")), known())
    assert problems


def test_a_deviation_is_none() -> None:
    assert baseline.compare(results(case(SHOULD, passed=False)), {"violation": []}) == ([], [])


def test_an_entry_that_nothing_confirms_is_named() -> None:
    problems, stale = baseline.compare(results(case(MUST, passed=True, outcome="passed")), known())
    assert not problems
    assert stale == [f"{MUST} in cluster.a.*"]


@pytest.mark.parametrize(
    ("found", "entries", "message"),
    [
        (results(complete=False), {"violation": []}, "not complete: interrupted"),
        (results(case(MUST, passed=True, outcome="error")), {"violation": []}, "ended in an error: r"),
        (results(), known(requirement="SWN-0-nothing"), "names SWN-0-nothing"),
        (results(), known(reason=""), "gives no reason"),
    ],
)
def test_what_else_is_a_problem(found: dict[str, Any], entries: dict[str, Any], message: str) -> None:
    problems, _ = baseline.compare(found, entries)
    assert any(message in problem for problem in problems)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "fixtures" / "baselines").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_shipped_baseline_holds_together(path: Path) -> None:
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["violation"]
    requirements = load_catalogue().requirements
    assert entries
    for entry in entries:
        assert requirements[entry["requirement"]].binding
        assert len(entry["reason"]) > 40
        assert entry["cases"]
