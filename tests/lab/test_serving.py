"""Waiting until the nodes of a lab serve. No lab is started."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture import lab
from swn_torture.lab.errors import LabError
from swn_torture.lab.health import wait_for_service

if TYPE_CHECKING:
    from collections.abc import Sequence


class Nodes:
    """Answers the probe as often as said with a node that does not serve; the commands that were run."""

    def __init__(self, config: lab.LabConfig, *, silent: int) -> None:
        self.config = config
        self.silent = silent
        self.killed: list[str] = []

    def run(self, _lab: str, node: str, argv: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if argv[0] != "swn-probe":
            self.killed += [node] if "-KILL" in argv[-1] else []
            return subprocess.CompletedProcess(argv, 0, "", "")
        rows: list[dict[str, object]] = [{"address": each.address} for each in self.config.node_configs]
        if self.silent:
            rows[1]["error"] = "no response within 10 s"
            self.silent -= 1
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        return subprocess.CompletedProcess(argv, int(any("error" in row for row in rows)), lines, "")


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_processes_of_a_silent_node_are_ended_once(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = lab.LabConfig()
    nodes = Nodes(config, silent=silent)
    monkeypatch.setattr("swn_torture.lab.node.run_on", nodes.run)
    monkeypatch.setattr("swn_torture.lab.health.log_tail", lambda _: "")
    if silent < 2:
        assert len(wait_for_service(config, time.monotonic())) == config.nodes
    else:
        with pytest.raises(LabError, match=r"does not serve: .*: no response within 10 s"):
            wait_for_service(config, time.monotonic())
    assert nodes.killed == ["node2"][:silent]
