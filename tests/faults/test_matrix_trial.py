"""One real trial, by the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "fault_matrix.py"


def test_fault_matrix_command_tries_one_fault(tmp_path: Path) -> None:
    """In a process of its own, since it forks: a process with the threads of a test run must not."""
    path = tmp_path / "matrix.json"
    command = [sys.executable, str(TOOL), "--fault", "unregister-ex-returns-one", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    (fault,) = json.loads(path.read_text(encoding="utf-8"))["faults"]
    assert fault["violates"]["SWN-V14-3.1.4.6-success"]
    assert (fault["kind"], fault["crashes"], fault["cut_short"]) == ("realistic", [], "")
