"""``swn-torture faults``, and ``--fault`` wherever a reference cluster is started."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]

CASE = "rpc.register.version-is-checked-before-names[register]"
FAULT = "register-checks-version-last"
"""Makes that case fail."""


def test_faults_are_listed_with_what_they_violate(swn_torture: Command) -> None:
    answer = swn_torture("faults", "version-first")
    assert answer.returncode == 0
    assert FAULT in answer.stdout
    assert "violates SWN-3.1.4.2-version-first" in answer.stdout


def test_faults_as_json(swn_torture: Command) -> None:
    rows = json.loads(swn_torture("faults", "--area", "checks", "--json").stdout)
    assert {row["area"] for row in rows} == {"checks"}
    assert all(row["summary"].endswith(".") and row["violates"] for row in rows)


def test_an_area_that_there_is_not(swn_torture: Command) -> None:
    answer = swn_torture("faults", "--area", "weather")
    assert answer.returncode == 2
    assert "timers" in answer.stderr


def test_a_reference_with_a_fault_fails_the_case_for_it(swn_torture: Command) -> None:
    answer = swn_torture("run", "-n", "0", "--case", CASE, "--fault", FAULT)
    assert answer.returncode == 1, answer.stderr
    assert f"--fault {FAULT} --case" in answer.stdout, "the line that repeats it has to name the fault"


@pytest.mark.parametrize("command", ["run", "serve"])
def test_a_fault_that_there_is_not(swn_torture: Command, command: str) -> None:
    answer = swn_torture(command, "--fault", "register-check-version-last")
    assert answer.returncode == 2
    assert FAULT in answer.stderr.replace("\n", "")
    assert "Traceback" not in answer.stderr


def test_only_an_embedded_cluster_can_be_given_a_fault(swn_torture: Command, profile: Path) -> None:
    answer = swn_torture("run", "--target", str(profile), "--fault", FAULT)
    assert answer.returncode == 2
    assert "embedded" in answer.stderr
