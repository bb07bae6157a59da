"""One real trial, by the command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.examples import one_in
from tests.preloaded import python

TOOL = Path(__file__).parents[2] / "tools" / "fault_matrix.py"


@pytest.mark.parametrize("scope", one_in(3, ["first", "own", "near"]))
def test_fault_matrix_command_tries_one_fault(tmp_path: Path, scope: str) -> None:
    """In a process of its own, since it forks: a process with the threads of a test run must not."""
    path = tmp_path / "matrix.json"
    options = ["--fault", "unregister-ex-returns-one", "--scope", scope, "--json", str(path)]
    command = [python(), str(TOOL), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    matrix = json.loads(path.read_text(encoding="utf-8"))
    own = {"SWN-V14-3.1.4.6-success", "RPC-NDR-drep"}  # violated, and near
    assert all(own & set(names) for names in matrix["reference"]["named"].values()) == (scope != "near")
    (fault,) = matrix["faults"]
    assert (len(fault["violates"]["SWN-V14-3.1.4.6-success"]) == 1) == (scope == "first")
    assert fault["violates"]["SWN-V14-3.1.4.6-success"]
    assert (fault["kind"], fault["crashes"], fault["cut_short"]) == ("realistic", [], "")


def test_a_trial_ends_when_its_time_is_up(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    options = ["--fault", "unregister-ex-returns-one", "--scope", "own", "--budget", "0", "--json", str(path)]
    done = subprocess.run(
        [python(), str(TOOL), *options], capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 1, done.stdout + done.stderr
    (fault,) = json.loads(path.read_text(encoding="utf-8"))["faults"]
    assert fault["cut_short"] == "the time for one trial is up (0 s)"
