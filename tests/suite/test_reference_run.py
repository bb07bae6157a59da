"""The suite against the embedded reference, as a user runs it; and what that run reached."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from swn_torture.harness.case_map import collect_cases
from swn_torture.report.formats import FORMATS
from swn_torture.report.json_report import results_schema
from swn_torture.spec import load_catalogue, load_untestable

if TYPE_CHECKING:
    from pathlib import Path

#: Kinds of notification that the run must cause, with the requirement on the MessageType of each.
KINDS = {
    "RESOURCE_CHANGE": "SWN-3.1.4.4-change-type",
    "CLIENT_MOVE": "SWN-3.1.4.4-move-type",
    "SHARE_MOVE": "SWN-3.1.4.4-share-type",
    "IP_CHANGE": "SWN-3.1.4.4-ip-type",
}

REPORTS = (*(each.file_name for each in FORMATS), "journal.jsonl")


#: The requirements that no run without Kerberos checks: tests/kerberos does.
NEEDS_A_TICKET = {"RPC-AUTH-spn-cifs"}


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
def collected() -> set[str]:
    """The ids of all cases that pytest collects."""
    return set(collect_cases())


@pytest.fixture(scope="module")
def by_kerberos(collected: set[str]) -> set[str]:
    """The ids of the cases that need Kerberos."""
    cases = (".rejected-ticket[", ".large-ticket[", ".ticket-for-cifs")
    named = {
        each for each in collected if "kerberos" in each.partition("[")[2] and ".falls-back[" not in each
    }
    return named | {each for each in collected if any(case in each for case in cases)}


@pytest.fixture(scope="module")
def reached(results: dict[str, Any]) -> dict[str, set[str]]:
    """The ids of the cases that checked each requirement."""
    found: dict[str, set[str]] = {}
    for case in results["cases"]:
        for check in case["checks"]:
            found.setdefault(check["requirement"], set()).add(case["id"])
    return found


def test_reference_conforms(
    run: subprocess.CompletedProcess[str],
    results: dict[str, Any],
    collected: set[str],
    by_kerberos: set[str],
) -> None:
    outcomes = Counter(case["outcome"] for case in results["cases"])
    wrong = [
        f"{c['id']}: {c['reason']}"
        for c in results["cases"]
        if c["outcome"] in {"failed", "error", "deviation"}
    ]
    assert not wrong
    assert outcomes == {"passed": len(collected) - len(by_kerberos), "not-tested": len(by_kerberos)}
    assert run.returncode == 0, run.stdout + run.stderr
    assert results["run"]["complete"] is True
    assert results["summary"]["verdict"] == "conforming"


def test_every_collected_case_has_a_result(results: dict[str, Any], collected: set[str]) -> None:
    ids = [case["id"] for case in results["cases"]]
    assert len(ids) == len(set(ids))
    assert set(ids) == collected


def test_every_case_can_be_tested_on_the_reference(results: dict[str, Any], by_kerberos: set[str]) -> None:
    """All but those by Kerberos, which needs a keytab: tests/kerberos runs them."""
    reasons = {case["id"]: case["reason"] for case in results["cases"] if case["outcome"] == "not-tested"}
    assert set(reasons) == by_kerberos
    assert all("Kerberos" in reason for reason in reasons.values())


def test_results_follow_their_schema(results: dict[str, Any]) -> None:
    jsonschema_rs.validate(results_schema(), results)


def test_every_report_is_written(run: subprocess.CompletedProcess[str], directory: Path) -> None:
    assert run.stdout
    for name in REPORTS:
        assert (directory / name).stat().st_size > 0


def test_no_report_contains_a_password(results: dict[str, Any], directory: Path) -> None:
    assert results["cases"]
    for name in REPORTS:
        assert "Passw0rd!" not in (directory / name).read_text(encoding="utf-8")


def test_case_ids_have_their_form(results: dict[str, Any]) -> None:
    for case_id in (case["id"] for case in results["cases"]):
        assert re.fullmatch(r"(ndr|rpc|cluster)(\.[a-z0-9-]+)+(\[[^\]\s']+\])?", case_id), case_id


@pytest.mark.parametrize("requirement", KINDS.values(), ids=KINDS)
def test_every_kind_of_notification_was_caused(reached: dict[str, set[str]], requirement: str) -> None:
    assert reached.get(requirement)


def test_every_requirement_that_cases_name_was_checked(
    results: dict[str, Any], reached: dict[str, set[str]]
) -> None:
    """A case that names a requirement proves nothing about it; only a check does."""
    named = {name for case in results["cases"] for name in case["requirements"]}
    assert named - reached.keys() == NEEDS_A_TICKET


def test_every_observable_requirement_was_checked(reached: dict[str, set[str]]) -> None:
    """Only checks that the run reached count, not what cases declare."""
    observable = {row.id for row in load_catalogue().observable("server", "wire")}
    missing = observable - reached.keys() - load_untestable().keys()
    assert missing == NEEDS_A_TICKET


def test_untestable_requirements_are_few_and_not_checked(reached: dict[str, set[str]]) -> None:
    untestable = load_untestable()
    assert len(untestable) <= 25
    assert not untestable.keys() & reached.keys()


def test_choice_at_every_ambiguity_was_recorded(results: dict[str, Any]) -> None:
    recorded = {c["ambiguity"] for c in results["choices"]}
    # A bind that is longer than any fragment needs a large ticket: tests/kerberos has one.
    assert load_catalogue().ambiguities.keys() - recorded == {"AMB-46"}


def test_every_requirement_of_a_case_is_in_the_catalogue(results: dict[str, Any]) -> None:
    catalogue = load_catalogue()
    assert not {n for case in results["cases"] for n in case["requirements"]} - catalogue.requirements.keys()
