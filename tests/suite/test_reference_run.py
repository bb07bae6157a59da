"""The suite against the embedded reference, as a user runs it, and what it says of itself by measurement."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.report.json_report import results_schema
from swn_torture.spec import load_catalogue, load_untestable

if TYPE_CHECKING:
    from pathlib import Path

#: Kinds of notification that have to have been seen, by the requirement that says how each is announced.
KINDS = {
    "RESOURCE_CHANGE": "SWN-3.1.4.4-change-type",
    "CLIENT_MOVE": "SWN-3.1.4.4-move-type",
    "SHARE_MOVE": "SWN-3.1.4.4-share-type",
    "IP_CHANGE": "SWN-3.1.4.4-ip-type",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


@pytest.fixture(scope="module")
def run(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "swn_torture", "run", "--report", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def results(run: subprocess.CompletedProcess[str], directory: Path) -> dict[str, Any]:
    path = directory / "results.json"
    assert path.is_file(), run.stdout + run.stderr
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def reached(results: dict[str, Any]) -> dict[str, set[str]]:
    """Which cases made a check of which requirement."""
    found: dict[str, set[str]] = {}
    for case in results["cases"]:
        for check in case["checks"]:
            found.setdefault(check["requirement"], set()).add(case["id"])
    return found


def test_the_reference_conforms(run: subprocess.CompletedProcess[str], results: dict[str, Any]) -> None:
    outcomes = Counter(case["outcome"] for case in results["cases"])
    wrong = [
        f"{c['id']}: {c['reason']}"
        for c in results["cases"]
        if c["outcome"] in {"failed", "error", "deviation"}
    ]
    assert not wrong
    assert outcomes["passed"] >= 120
    assert run.returncode == 0, run.stdout + run.stderr
    assert results["run"]["complete"] is True
    assert results["summary"]["verdict"] == "conforming"


def test_nothing_is_left_out_of_a_run_on_the_reference(results: dict[str, Any]) -> None:
    left_out = [
        f"{case['id']}: {case['reason']}" for case in results["cases"] if case["outcome"] == "not-tested"
    ]
    assert not left_out


def test_the_results_follow_their_schema(results: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(results, results_schema())


def test_all_reports_are_there(run: subprocess.CompletedProcess[str], directory: Path) -> None:
    assert run.stdout
    for name in ("index.html", "results.json", "junit.xml", "journal.jsonl"):
        assert (directory / name).stat().st_size > 0


def test_no_password_reaches_a_report(results: dict[str, Any], directory: Path) -> None:
    assert results["cases"]
    for name in ("index.html", "results.json", "junit.xml", "journal.jsonl"):
        assert "Passw0rd!" not in (directory / name).read_text(encoding="utf-8")


def test_ids_are_stable_slugs(results: dict[str, Any]) -> None:
    ids = [case["id"] for case in results["cases"]]
    assert len(ids) == len(set(ids))
    for slug in ids:
        assert re.fullmatch(r"(ndr|rpc|cluster)(\.[a-z0-9-]+)+(\[[^\]\s']+\])?", slug), slug


@pytest.mark.parametrize("requirement", KINDS.values(), ids=KINDS)
def test_every_kind_of_notification_was_caused(reached: dict[str, set[str]], requirement: str) -> None:
    assert reached.get(requirement)


def test_every_case_reached_a_check_of_each_requirement_it_alone_names(
    results: dict[str, Any], reached: dict[str, set[str]]
) -> None:
    """A requirement that cases name and none ever checks is a claim without a proof."""
    named = {name for case in results["cases"] for name in case["requirements"]}
    assert not sorted(named - reached.keys())


def test_every_observable_requirement_was_exercised(reached: dict[str, set[str]]) -> None:
    """What counts is a check that a run reached, not what a case declares."""
    observable = {row.id for row in load_catalogue().observable("server", "wire")}
    missing = observable - reached.keys() - load_untestable().keys()
    assert not sorted(missing)


def test_what_is_called_untestable_is_short_and_true(reached: dict[str, set[str]]) -> None:
    untestable = load_untestable()
    assert len(untestable) <= 25
    assert not untestable.keys() & reached.keys()


def test_every_ambiguity_has_its_choice_recorded(results: dict[str, Any]) -> None:
    assert not sorted(load_catalogue().ambiguities.keys() - {c["ambiguity"] for c in results["choices"]})


def test_no_case_names_what_the_catalogue_lacks(results: dict[str, Any]) -> None:
    catalogue = load_catalogue()
    assert not {n for case in results["cases"] for n in case["requirements"]} - catalogue.requirements.keys()
