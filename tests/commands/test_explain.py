"""``swn-torture explain``: every kind of id, unknown ids and renamed cases."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from swn_torture import shipped
from swn_torture.cli import main
from swn_torture.harness import case_map
from swn_torture.spec import load_catalogue
from tests.preloaded import python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Command = Callable[..., subprocess.CompletedProcess[str]]

REQUIREMENT = "SWN-3.1.4.2-version-first"
CASE = "rpc.check-order.every-defect"


@pytest.fixture
def explain(swn_torture: Command) -> Callable[[str], dict[str, Any]]:
    """Explains an id as JSON."""

    def call(name: str) -> dict[str, Any]:
        answer = swn_torture("explain", name, "--json")
        assert answer.returncode == 0, answer.stderr
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    return call


def test_requirement_has_its_text_cases_and_faults(explain: Callable[[str], dict[str, Any]]) -> None:
    row = load_catalogue().requirements[REQUIREMENT]
    found = explain(REQUIREMENT.lower())
    assert (found["kind"], found["id"]) == ("requirement", REQUIREMENT)
    assert (found["text"], found["level"], found["cite"], found["how"]) == (
        row.text,
        row.level,
        row.cite,
        row.how,
    )
    assert f"{CASE}[register]" in found["cases"]
    assert "register-checks-version-last" in found["faults"]


def test_text_names_cases_and_faults_of_a_requirement(swn_torture: Command) -> None:
    answer = swn_torture("explain", REQUIREMENT)
    assert answer.returncode == 0, answer.stderr
    text = " ".join(answer.stdout.split())
    row = load_catalogue().requirements[REQUIREMENT]
    for part in (row.text, row.cite, row.level, CASE, "register-checks-version-last", "How it is tested:"):
        assert part in text


def test_explain_loads_no_client_and_no_server() -> None:
    """They would take most of its time; a benchmark could not say that on a loaded machine."""
    command = [sys.executable, "-X", "importtime", "-m", "swn_torture", "explain", REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"swn_torture", "_pytest"} <= loaded
    assert not loaded & {"impacket", "scapy", "spnego", "cryptography", "smbprotocol", "jinja2"}


def test_ambiguity_has_its_readings_and_requirements(explain: Callable[[str], dict[str, Any]]) -> None:
    row = load_catalogue().ambiguities["AMB-3"]
    found = explain("AMB-3")
    assert found["kind"] == "ambiguity"
    assert (found["topic"], found["text"]) == (row.topic, row.text)
    assert (found["readings"], found["requirements"]) == ([*row.readings], [*row.requirements])
    assert found["cases"]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        (CASE, [f"{CASE}[register]", f"{CASE}[register-ex]"]),
        (f"{CASE}[register-ex]", [f"{CASE}[register-ex]"]),
    ],
)
def test_case_with_and_without_parameters(
    explain: Callable[[str], dict[str, Any]], name: str, ids: list[str]
) -> None:
    found = explain(name)
    assert (found["kind"], found["id"], found["ids"]) == ("case", name, ids)
    assert REQUIREMENT in found["requirements"]
    assert found["source"].startswith("swn_torture/rpc/")
    assert found["title"].endswith(".")
    assert found["renamed_from"] == ""


def test_fault_has_its_summary_requirements_and_cases(explain: Callable[[str], dict[str, Any]]) -> None:
    found = explain("register-checks-version-last")
    assert found["kind"] == "fault"
    assert found["summary"].endswith(".")
    assert REQUIREMENT in found["violates"]
    assert f"{CASE}[register]" in found["cases"]


@pytest.mark.parametrize("name", ["ERROR_INVALID_STATE", "error_invalid_state", "0x139F", "0x139f", "5023"])
def test_win32_code_by_symbol_and_by_number(explain: Callable[[str], dict[str, Any]], name: str) -> None:
    found = explain(name)
    assert (found["kind"], found["id"]) == ("code", "ERROR_INVALID_STATE")
    assert [code["value"] for code in found["meanings"]] == [0x139F]
    assert "SWN-3.1.4.5-share-unknown" in found["requirements"]
    assert "AMB-5" in found["ambiguities"]


@pytest.mark.parametrize("name", ["nca_s_op_rng_error", "NCA_S_OP_RNG_ERROR", "0x1c010002"])
def test_fault_status_by_symbol_and_by_number(explain: Callable[[str], dict[str, Any]], name: str) -> None:
    found = explain(name)
    assert (found["kind"], found["id"]) == ("code", "nca_s_op_rng_error")
    assert "RPC-OPNUM-unknown" in found["requirements"]


def test_number_with_two_meanings_shows_both(swn_torture: Command) -> None:
    lines = swn_torture("explain", "0x5").stdout.splitlines()
    assert [line.partition(": ")[2] for line in lines[:2]] == [
        "Win32 code (MS-ERREF 2.2)",
        "fault status (MS-RPCE)",
    ]


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("SWN-3.1.4.2-version-firs", REQUIREMENT),
        ("rpc.check-order.every-defec", CASE),
        ("register-checks-version-lst", "register-checks-version-last"),
        ("ERROR_INVALID_STAT", "ERROR_INVALID_STATE"),
    ],
)
def test_unknown_id_is_a_usage_error_with_close_matches(swn_torture: Command, name: str, close: str) -> None:
    answer = swn_torture("explain", name)
    text = " ".join(answer.stderr.split())
    assert answer.returncode == 2
    assert f"Unknown id '{name}'. Close matches: " in text
    assert close in text
    assert "Traceback" not in text


# Renamed cases
# ----------------------------------------------------------------------------------------------------------


def test_explain_says_that_a_case_was_renamed() -> None:
    code = (
        "import swn_torture.shipped as shipped; from swn_torture.cli import main;"
        f"shipped.renamed_cases = lambda: {{'rpc.old.name': {CASE!r}}}; main()"
    )
    command = [python(), "-c", code, "explain", "rpc.old.name[register]"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stderr
    first = answer.stdout.splitlines()[0]
    assert first == f"The case rpc.old.name[register] was renamed to {CASE}[register]."
    assert f"swn-torture run --case '{CASE}[register]'" in answer.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rpc.a.b", "rpc.a.c"),
        ("rpc.a.b[x]", "rpc.a.c[x]"),
        ("rpc.a.b[y]", "rpc.a.d[z]"),
        ("rpc.a.other[x]", "rpc.a.other[x]"),
    ],
)
def test_entry_with_parameters_precedes_one_without(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    table = {"rpc.a.b": "rpc.a.c", "rpc.a.b[y]": "rpc.a.d[z]"}
    monkeypatch.setattr(shipped, "renamed_cases", lambda: table)
    assert shipped.current_id(old) == new


@pytest.fixture(scope="module")
def ids() -> set[str]:
    """Every present case id, with and without parameters."""
    found = case_map.collect_cases()
    return {*found, *map(case_map.base_of, found)}


def test_shipped_table_of_renamed_cases_leads_to_present_ids(ids: set[str]) -> None:
    table: Mapping[str, str] = shipped.renamed_cases()
    assert not {old: new for old, new in table.items() if new not in ids}
    assert not table.keys() & ids


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "no-ip-change",
            "a cause of the baseline samba-4.22: `swn-torture baseline show samba-4.22 no-ip-change`",
        ),
        ("state-changes", "a rung of the ladder: `swn-torture run --up-to state-changes`"),
    ],
)
def test_id_of_a_report_that_another_command_shows_names_it(name: str, text: str) -> None:
    result = CliRunner().invoke(main, ["explain", name])
    assert result.exit_code == 2
    assert text in " ".join(result.output.split())
