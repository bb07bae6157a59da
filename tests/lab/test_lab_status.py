"""`swn-torture lab status` without a lab: when a run can use the lab, and what is said if not."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from swn_torture import lab
from swn_torture.commands.lab import command
from swn_torture.harness.description import describe_target
from swn_torture.lab.config import NodeConfig
from swn_torture.lab.health import problem_of_ctdb
from swn_torture.target import load_profile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEADER = "|Node|IP|Disconnected|Banned|Disabled|Unhealthy|\n"


class Ctdb:
    """What `ctdb` prints on every node.

    Attributes:
        flags: those of node2.
        hosts: public address -> PNN.
        broken: what node3 prints instead.
    """

    def __init__(self) -> None:
        self.flags = "0|0|0|0"
        self.hosts = {address: n for n in range(3) for address in NodeConfig(n).public_addresses}
        self.broken = ""

    def run_on(
        self, _lab: str, node: str, argv: Sequence[str], **_: object
    ) -> subprocess.CompletedProcess[str]:
        """What `lab.node.run_on` does."""
        if node == "node3" and self.broken:
            return subprocess.CompletedProcess(argv, 0, self.broken, "")
        if argv[-1] == "status":
            rows = (
                f"|{n}|{NodeConfig(n).address}|{self.flags if n == 1 else '0|0|0|0'}|\n" for n in range(3)
            )
            return subprocess.CompletedProcess(argv, 0, HEADER + "".join(rows), "")
        rows = (f"|{address}|{pnn}|\n" for address, pnn in self.hosts.items())
        return subprocess.CompletedProcess(argv, 0, "|Public IP|Node|\n" + "".join(rows), "")


@pytest.fixture
def ctdb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ctdb:
    """A lab of three nodes that exists only in its state file; its CTDB."""
    found = Ctdb()
    monkeypatch.setattr("swn_torture.lab.lifecycle.require_host", lambda: None)
    monkeypatch.setattr("swn_torture.lab.lifecycle.run_directory", lambda _: tmp_path)
    monkeypatch.setattr("swn_torture.lab.namespaces.namespaces_of", lambda _: ["swn-lab-client"])
    monkeypatch.setattr("swn_torture.lab.namespaces.exists", lambda name: name == "swn-lab-client")
    monkeypatch.setattr("swn_torture.lab.namespaces.init_process", lambda _: 1)
    monkeypatch.setattr("swn_torture.lab.node.run_on", found.run_on)
    stored = {"config": dataclasses.asdict(lab.LabConfig()), "samba": "4.22.11-Debian", "base": "/base"}
    (tmp_path / "lab.json").write_text(json.dumps(stored), encoding="utf-8")
    return found


def status() -> tuple[int, str]:
    """The exit code and the output of `swn-torture lab status`."""
    result = CliRunner().invoke(command, ["status"])
    return result.exit_code, result.output


def test_healthy_lab_is_up(ctdb: Ctdb) -> None:
    code, output = status()
    assert code == 0
    assert output.startswith("lab: up\n  node1  198.51.100.10  running  ctdb: ok  hosts: 198.51.100.200 ")


@pytest.mark.parametrize("host", [None, -1])
def test_address_without_a_host_makes_the_lab_unusable(ctdb: Ctdb, host: int | None) -> None:
    if host is None:
        del ctdb.hosts["198.51.100.199"]
    else:
        ctdb.hosts["198.51.100.199"] = host
    code, output = status()
    assert code == 3
    assert (
        "lab: unusable\n  no node hosts 198.51.100.199\n  Mend it with: swn-torture cluster restore" in output
    )


def test_node_that_is_not_ok_makes_the_lab_unusable(ctdb: Ctdb) -> None:
    ctdb.flags = "0|1|0|0"
    code, output = status()
    assert code == 3
    assert "node1 sees 198.51.100.10 ok, 198.51.100.11 banned, 198.51.100.12 ok" in output


def test_every_node_must_see_a_healthy_cluster(ctdb: Ctdb) -> None:
    ctdb.broken = "connection refused"
    code, output = status()
    assert code == 3
    assert "lab: unusable\n  ctdb -X did not print a table" in output


def test_status_as_json(ctdb: Ctdb) -> None:
    ctdb.flags = "0|1|0|0"
    result = CliRunner().invoke(command, ["status", "--json"])
    tables = json.loads(result.output)
    assert result.exit_code == 3
    assert (tables["state"], tables["release"], tables["samba"]) == ("unusable", "trixie", "")
    assert tables["product"] == {"name": "Samba", "version": "4.22.11-Debian", "builds": {}}
    assert [node["ctdb"] for node in tables["nodes"]] == ["ok", "banned", "ok"]


def test_hint_names_the_profile_of_the_lab(ctdb: Ctdb, tmp_path: Path) -> None:
    ctdb.hosts.clear()
    assert "cluster restore --target PROFILE" in status()[1]
    (tmp_path / "profile.toml").touch()
    assert f"cluster restore --target {tmp_path}/profile.toml" in status()[1]


def test_spare_address_without_a_host_is_a_problem(ctdb: Ctdb) -> None:
    ctdb.hosts["198.51.100.240"] = -1
    assert problem_of_ctdb(lab.LabConfig(), "node1") == "no node hosts 198.51.100.240"


# The lab of a profile


def test_lab_is_found_by_the_namespace_of_a_profile(ctdb: Ctdb) -> None:
    found = lab.find_by_namespace("swn-lab-client")
    assert found is not None
    assert lab.title(found) == "Samba 4.22.11-Debian on Debian trixie, 3 CTDB nodes"


def test_report_is_headed_by_the_release_of_the_lab(ctdb: Ctdb) -> None:
    """The shipped profile fits labs of every release."""
    profile = load_profile("samba-lab")
    assert describe_target(profile).title == "Samba 4.22.11-Debian on Debian trixie, 3 CTDB nodes"
    older = dataclasses.replace(profile, title="Samba 4.20")
    assert describe_target(older).title == "Samba 4.22.11-Debian on Debian trixie, 3 CTDB nodes"
    elsewhere = dataclasses.replace(older, network_namespace="swn-two-client")
    assert describe_target(elsewhere).title == "Samba 4.20"


@pytest.mark.parametrize("namespace", ["", "other", "swn-two-client"])
def test_other_namespaces_belong_to_no_running_lab(ctdb: Ctdb, namespace: str) -> None:
    assert lab.find_by_namespace(namespace) is None


def test_unreadable_state_is_no_lab(ctdb: Ctdb, tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text("{", encoding="utf-8")
    assert lab.find_by_namespace("swn-lab-client") is None
