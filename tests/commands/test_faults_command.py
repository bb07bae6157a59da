"""``swn-torture faults``, and ``--fault`` of the commands that start a reference cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from swn_torture.faults.library import ROOMS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]

CASE = "rpc.check-order.every-defect[register]"
FAULT = "register-checks-version-last"
"""The fault that fails this case."""


def test_faults_lists_name_kind_and_requirements(swn_torture: Command) -> None:
    done = swn_torture("faults", "version-first")

    assert done.returncode == 0
    assert "checks (realistic)" in done.stdout
    assert FAULT in done.stdout
    assert "violates SWN-3.1.4.2-version-first" in done.stdout


def test_faults_finds_what_a_server_was_seen_to_have(swn_torture: Command) -> None:
    done = swn_torture("faults", "samba", "empty-list")

    assert "empty-list-succeeds" in done.stdout
    assert "seen in Samba 4.22" in done.stdout


def test_faults_prints_json(swn_torture: Command) -> None:
    rows = json.loads(swn_torture("faults", "--area", "checks", "--json").stdout)

    assert {row["area"] for row in rows} == {"checks"}
    assert {row["kind"] for row in rows} == {"realistic"}
    assert all(row["summary"].endswith(".") and row["violates"] for row in rows)


def test_faults_of_one_kind(swn_torture: Command) -> None:
    rows = json.loads(swn_torture("faults", "--kind", "narrowed", "--json").stdout)

    assert {row["kind"] for row in rows} == {"narrowed"}
    assert {row["area"] for row in rows} == {area.replace("_", "-") for area in ROOMS["narrowed"]}


@pytest.mark.parametrize(
    ("option", "known"), [("--area", "timers"), ("--kind", "narrowed")], ids=["area", "kind"]
)
def test_unknown_area_or_kind_lists_the_known(swn_torture: Command, option: str, known: str) -> None:
    done = swn_torture("faults", option, "weather")

    assert done.returncode == 2
    assert "weather" in done.stderr
    assert known in done.stderr


def test_reference_with_a_fault_fails_the_case_for_it(swn_torture: Command) -> None:
    done = swn_torture("run", "-n", "0", "--case", CASE, "--fault", FAULT)

    assert done.returncode == 1, done.stderr
    assert f"--fault {FAULT} --case" in done.stdout, "the command that repeats the case names the fault"


@pytest.mark.parametrize("command", ["run", "serve"])
def test_unknown_fault_lists_close_matches(swn_torture: Command, command: str) -> None:
    done = swn_torture(command, "--fault", "register-check-version-last")
    text = done.stderr.replace("\n", " ")

    assert done.returncode == 2
    assert "Unknown fault 'register-check-version-last'. Close matches:" in text
    assert FAULT in text
    assert "Traceback" not in text


def test_only_an_embedded_cluster_can_have_a_fault(swn_torture: Command, profile: Path) -> None:
    done = swn_torture("run", "--target", str(profile), "--fault", FAULT)

    assert done.returncode == 2
    assert "embedded" in done.stderr
