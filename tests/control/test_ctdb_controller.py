"""The CTDB controller with a fake cluster, a shell script: which commands it runs, and what it returns."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control import ControllerError, NodeState, NotHealthy, NotRegistered
from swn_torture.control.ctdb.cluster import CtdbCluster, CtdbView
from swn_torture.control.ctdb.controller import CtdbController
from swn_torture.control.ctdb.messages import response_json
from swn_torture.control.ctdb.settings import CtdbSettings
from swn_torture.control.runner import CommandFailed, Output
from swn_torture.witness.messages import RespAsyncNotify
from swn_torture.witness.notifications import ResourceChange

if TYPE_CHECKING:
    from pathlib import Path

_NODES = {"node1": "198.51.100.10", "node2": "198.51.100.11", "node3": "198.51.100.12"}

# Acts as all nodes. It logs each command, and prints the file for the node and the command, if there is one.
_SCRIPT = """#!/bin/sh
node=$1; shift
echo "$node $*" >> {directory}/log
for output in "{directory}/$node $1 $2 $3" "{directory}/any $1 $2 $3"; do
  [ ! -f "$output" ] || {{ cat "$output"; exit 0; }}
done
[ "$2" != --json ] || {{ echo "Invalid option --json: unknown option" >&2; exit 1; }}
[ ! -f "{directory}/after $*" ] || mv "{directory}/after $*" "{directory}/any ctdb -X status"
[ ! -f "{directory}/$node fails" ] || {{ echo "cannot reach $node" >&2; exit 1; }}
"""

_STATUS = "|Node|IP|Disconnected|Banned|Disabled|Unhealthy|\n"
_ADDRESSES = "|Public IP|Node|\n|198.51.100.198|2|\n|198.51.100.199|1|\n|198.51.100.200|0|\n"


class FakeCluster:
    """A cluster made of a script and files with its outputs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        script = directory / "script"
        script.write_text(_SCRIPT.format(directory=directory), encoding="utf-8")
        script.chmod(0o755)
        self.controller = CtdbController.from_settings({"nodes": _NODES, "prefix": [str(script), "{node}"]})
        self.set_output("any", "ctdb -X status", status("000", "000", "000"))
        self.set_output("any", "ctdb -X ip", _ADDRESSES)
        self.set_output("any", "ctdb listvars ", "NoIPFailback = 0\n")

    def set_output(self, node: str, command: str, text: str) -> None:
        (self.directory / f"{node} {command}").write_text(text, encoding="utf-8")

    def set_status_after(self, command: str, text: str) -> None:
        """Set what `ctdb -X status` prints after the command has run."""
        (self.directory / f"after {command}").write_text(text, encoding="utf-8")

    def set_failing(self, node: str) -> None:
        (self.directory / f"{node} fails").touch()

    def commands(self) -> list[str]:
        lines = (self.directory / "log").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if " ctdb -X " not in line]


@pytest.fixture
def fake(tmp_path: Path) -> FakeCluster:
    return FakeCluster(tmp_path)


def status(*flags: str) -> str:
    """The output of `ctdb -X status` for nodes with these flags: disconnected, banned, disabled."""
    rows = (
        f"|{n}|{a}|{'|'.join(f)}|0|\n" for n, (a, f) in enumerate(zip(_NODES.values(), flags, strict=True))
    )
    return _STATUS + "".join(rows)


def witness(*clients: str) -> str:
    """The output of `net witness` for one registration of each of these clients."""
    entry: dict[str, Any] = {
        "version": "0x00020000",
        "net_name": "SWNCLUSTER",
        "ip_address": "198.51.100.200",
    }
    entries = {f"key-{client}": {**entry, "client_computer_name": client} for client in clients}
    return json.dumps({"filters": {}, "registrations": entries})


def test_nodes_have_their_states_and_addresses(fake: FakeCluster) -> None:
    fake.set_output("any", "ctdb -X status", status("000", "000", "001"))
    nodes = asyncio.run(fake.controller.nodes())
    assert [(n.name, n.state, n.addresses) for n in nodes] == [
        ("node1", NodeState.OK, ("198.51.100.200",)),
        ("node2", NodeState.OK, ("198.51.100.199",)),
        ("node3", NodeState.DISABLED, ("198.51.100.198",)),
    ]


def test_view_of_a_node_without_its_peers_is_not_used(fake: FakeCluster) -> None:
    fake.set_output("node1", "ctdb -X status", status("000", "100", "100"))
    fake.set_output("any", "ctdb -X status", status("100", "000", "000"))
    states = {n.name: n.state for n in asyncio.run(fake.controller.nodes())}
    assert states == {"node1": NodeState.DOWN, "node2": NodeState.OK, "node3": NodeState.OK}


def test_cluster_with_other_nodes_is_rejected(fake: FakeCluster) -> None:
    fake.set_output("any", "ctdb -X status", _STATUS + "|0|198.51.100.77|0|0|0|0|\n")
    with pytest.raises(ControllerError, match=r"CTDB has the nodes 198\.51\.100\.77, but the profile has"):
        asyncio.run(fake.controller.open())


def test_error_shows_why_no_node_answers(fake: FakeCluster) -> None:
    for path in fake.directory.glob("any *"):
        path.unlink()
    for node in _NODES:
        fake.set_failing(node)
    with pytest.raises(ControllerError, match=r"no node of the cluster.*cannot reach node3"):
        asyncio.run(fake.controller.open())


def test_client_moves_to_a_node(fake: FakeCluster) -> None:
    fake.set_output("any", "net witness client-move", witness("CL.1"))
    asyncio.run(fake.controller.move_client("CL.1", "NODE3", net_name="SWNCLUSTER"))
    assert fake.commands() == [
        (
            "node1 net witness client-move --json --witness-client-computer-name=^CL\\.1$ "
            "--witness-net-name=^SWNCLUSTER$ --witness-new-node=2"
        )
    ]


def test_share_moves_to_an_address(fake: FakeCluster) -> None:
    fake.set_output("any", "net witness share-move", witness("CL1"))
    asyncio.run(fake.controller.move_share("data", "198.51.100.199"))
    assert fake.commands()[0].endswith("--witness-share-name=^data$ --witness-new-ip=198.51.100.199")


def test_call_for_a_registration_that_is_not_listed_says_so(fake: FakeCluster) -> None:
    fake.set_output("any", "net witness force-unregister", witness())
    fake.set_output("any", "net witness list", witness("CL1"))
    with pytest.raises(NotRegistered, match="does not list the registration key-CL2"):
        asyncio.run(fake.controller.force_unregister("key-CL2"))


def test_call_that_does_not_match_a_listed_registration_is_an_error(fake: FakeCluster) -> None:
    fake.set_output("any", "net witness force-response", witness())
    fake.set_output("any", "net witness list", witness("CL1"))
    with pytest.raises(
        ControllerError, match=r"no registration matches .*, but the cluster lists it"
    ) as caught:
        asyncio.run(fake.controller.force_response("key-CL1"))
    assert type(caught.value) is ControllerError


def test_unknown_node_lists_the_known_nodes(fake: FakeCluster) -> None:
    with pytest.raises(ControllerError, match="unknown node 'node9'; known: node1, node2, node3"):
        asyncio.run(fake.controller.disable("node9"))


def test_wait_healthy_reports_the_unhealthy_node(fake: FakeCluster) -> None:
    fake.set_output("any", "ctdb -X status", status("000", "010", "000"))
    with pytest.raises(NotHealthy, match="node2 unhealthy"):
        asyncio.run(fake.controller.wait_healthy(timeout=0))


def test_cluster_in_recovery_is_not_healthy(fake: FakeCluster) -> None:
    fake.set_output("any", "ctdb status ", "Recovery mode:RECOVERY (1)\n")
    with pytest.raises(NotHealthy):
        asyncio.run(fake.controller.wait_healthy(timeout=0))
    fake.set_output("any", "ctdb status ", "Recovery mode:NORMAL (0)\n")
    asyncio.run(fake.controller.wait_healthy(timeout=0))


def test_banned_node_is_unbanned(fake: FakeCluster) -> None:
    fake.set_output("any", "ctdb -X status", status("010", "000", "000"))
    fake.set_output("any", "ctdb status ", "Recovery mode:NORMAL (0)\n")
    fake.set_status_after("ctdb -n 0 unban", status("000", "000", "000"))
    asyncio.run(fake.controller.recover("node1"))
    assert "node1 ctdb -n 0 unban" in fake.commands()


def test_forced_response_as_json_of_net_witness() -> None:
    response = RespAsyncNotify.of(ResourceChange(255, "node1"), ResourceChange(1, "node1"))
    assert response_json(response) == {
        "type": 1,
        "messages": [{"type": 255, "name": "node1"}, {"type": 1, "name": "node1"}],
    }


class BusyCluster(CtdbCluster):
    """A cluster on which commands reach their deadline."""

    def __init__(self, slow: int) -> None:
        super().__init__(CtdbSettings({"node1": "192.0.2.1"}))
        self.slow = slow

    async def run_on(self, node: str, *command: str, check: bool = True) -> Output:  # noqa: ARG002
        await asyncio.sleep(0)
        if self.slow:
            self.slow -= 1
            raise CommandFailed(command, None, "")
        return Output(0, f"{node}: {' '.join(command)}", "")


VIEW = CtdbView(seen_from="node1", nodes=(), hosts={})


def test_query_that_reaches_its_deadline_is_run_again() -> None:
    listed = asyncio.run(BusyCluster(1).net_witness_text(VIEW, "list"))
    assert listed == "node1: net witness list --json"
    with pytest.raises(CommandFailed):
        asyncio.run(BusyCluster(2).net_witness_text(VIEW, "list"))


def test_order_that_reaches_its_deadline_is_not_run_again() -> None:
    with pytest.raises(CommandFailed):
        asyncio.run(BusyCluster(1).net_witness_text(VIEW, "client-move"))
