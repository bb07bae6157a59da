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
        self.started: list[tuple[str, str]] = []
        self.ended = {"smbd"}

    def run(self, _lab: str, node: str, argv: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if argv[0] != "swn-probe":
            self.killed += [node] if "-KILL" in argv[-1] else []
            self.started += [(node, argv[0])] if argv[-1] == "-D" else []
            return subprocess.CompletedProcess(argv, int(argv[-1] in self.ended), "", "")
        rows: list[dict[str, object]] = [{"address": each.address} for each in self.config.node_configs]
        if self.silent:
            rows[1]["error"] = "no response within 10 s"
            self.silent -= 1
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        return subprocess.CompletedProcess(argv, int(any("error" in row for row in rows)), lines, "")


@pytest.mark.parametrize("silent", [0, 1, 2, 3])
def test_silent_node_gets_its_daemons_again_and_its_processes_are_ended_once(
    silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = lab.LabConfig()
    nodes = Nodes(config, silent=silent)
    monkeypatch.setattr("swn_torture.lab.node.run_on", nodes.run)
    monkeypatch.setattr("swn_torture.lab.health.log_tail", lambda _: "")
    services = (("/usr/sbin/winbindd", "-D"), ("smbd", "-D"))
    if silent < 3:
        assert len(wait_for_service(config, time.monotonic(), services)) == config.nodes
    else:
        with pytest.raises(LabError, match=r"does not serve: .*: no response within 10 s"):
            wait_for_service(config, time.monotonic(), services)
    assert nodes.started == [("node2", "smbd")][:silent]
    assert nodes.killed == ["node2"][: max(0, silent - 1)]
