"""The CTDB controller against a cluster played by one script: what it runs, and how it judges the answers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control import ControllerError, NodeState, NotHealthy
from swn_torture.control.ctdb import CtdbController, response_json
from swn_torture.witness.messages import RespAsyncNotify
from swn_torture.witness.notifications import ResourceChange

if TYPE_CHECKING:
    from pathlib import Path

_NODES = {"node1": "198.51.100.10", "node2": "198.51.100.11", "node3": "198.51.100.12"}

# Plays all nodes: logs each command, and answers with the file of the node and the command, if there is one.
_PLAYER = """#!/bin/sh
node=$1; shift
echo "$node $*" >> {here}/log
for answer in "{here}/$node $1 $2 $3" "{here}/any $1 $2 $3"; do
  [ ! -f "$answer" ] || {{ cat "$answer"; exit 0; }}
done
[ ! -f "{here}/after $*" ] || mv "{here}/after $*" "{here}/any ctdb -X status"
[ ! -f "{here}/$node fails" ] || {{ echo "no way to $node" >&2; exit 1; }}
"""

_STATUS = "|Node|IP|Disconnected|Banned|Disabled|Unhealthy|\n"
_ADDRESSES = "|Public IP|Node|\n|198.51.100.198|2|\n|198.51.100.199|1|\n|198.51.100.200|0|\n"


class Player:
    """A cluster out of a script and files of answers."""

    def __init__(self, here: Path) -> None:
        self.here = here
        script = here / "player"
        script.write_text(_PLAYER.format(here=here), encoding="utf-8")
        script.chmod(0o755)
        self.controller = CtdbController.from_settings({"nodes": _NODES, "prefix": [str(script), "{node}"]})
        self.answer("any", "ctdb -X status", status("000", "000", "000"))
        self.answer("any", "ctdb -X ip", _ADDRESSES)
        self.answer("any", "ctdb getvar NoIPFailback", "NoIPFailback = 0\n")

    def answer(self, node: str, command: str, text: str) -> None:
        (self.here / f"{node} {command}").write_text(text, encoding="utf-8")

    def after(self, command: str, text: str) -> None:
        """What `ctdb -X status` says once the command has run."""
        (self.here / f"after {command}").write_text(text, encoding="utf-8")

    def fails(self, node: str) -> None:
        (self.here / f"{node} fails").touch()

    def commands(self) -> list[str]:
        lines = (self.here / "log").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if " ctdb -X " not in line]


@pytest.fixture
def player(tmp_path: Path) -> Player:
    return Player(tmp_path)


def status(*flags: str) -> str:
    """`ctdb -X status` for nodes with these flags: disconnected, banned, disabled."""
    rows = (
        f"|{n}|{a}|{'|'.join(f)}|0|\n" for n, (a, f) in enumerate(zip(_NODES.values(), flags, strict=True))
    )
    return _STATUS + "".join(rows)


def witness(*clients: str) -> str:
    """What `net witness` prints of registrations of these clients."""
    entry: dict[str, Any] = {
        "version": "0x00020000",
        "net_name": "SWNCLUSTER",
        "ip_address": "198.51.100.200",
    }
    entries = {f"key-{client}": {**entry, "client_computer_name": client} for client in clients}
    return json.dumps({"filters": {}, "registrations": entries})


def test_nodes_and_what_they_host(player: Player) -> None:
    player.answer("any", "ctdb -X status", status("000", "000", "001"))
    nodes = asyncio.run(player.controller.nodes())
    assert [(n.name, n.state, n.addresses) for n in nodes] == [
        ("node1", NodeState.OK, ("198.51.100.200",)),
        ("node2", NodeState.OK, ("198.51.100.199",)),
        ("node3", NodeState.DISABLED, ("198.51.100.198",)),
    ]


def test_a_node_without_its_peers_is_not_believed(player: Player) -> None:
    player.answer("node1", "ctdb -X status", status("000", "100", "100"))
    player.answer("any", "ctdb -X status", status("100", "000", "000"))
    states = {n.name: n.state for n in asyncio.run(player.controller.nodes())}
    assert states == {"node1": NodeState.DOWN, "node2": NodeState.OK, "node3": NodeState.OK}


def test_a_cluster_that_is_not_the_profiles_is_refused(player: Player) -> None:
    player.answer("any", "ctdb -X status", _STATUS + "|0|198.51.100.77|0|0|0|0|\n")
    with pytest.raises(ControllerError, match=r"CTDB has the nodes 198\.51\.100\.77, but the profile has"):
        asyncio.run(player.controller.open())


def test_no_answer_from_any_node_shows_why(player: Player) -> None:
    for path in player.here.glob("any *"):
        path.unlink()
    for node in _NODES:
        player.fails(node)
    with pytest.raises(ControllerError, match=r"no node of the cluster.*no way to node3"):
        asyncio.run(player.controller.open())


def test_a_client_moves_to_a_node_by_its_number(player: Player) -> None:
    player.answer("any", "net witness client-move", witness("CL.1"))
    asyncio.run(player.controller.move_client("CL.1", "NODE3", net_name="SWNCLUSTER"))
    assert player.commands() == [
        (
            "node1 net witness client-move --json --witness-client-computer-name=^CL\\.1$ "
            "--witness-net-name=^SWNCLUSTER$ --witness-new-node=2"
        )
    ]


def test_a_share_moves_to_an_address(player: Player) -> None:
    player.answer("any", "net witness share-move", witness("CL1"))
    asyncio.run(player.controller.move_share("data", "198.51.100.199"))
    assert player.commands()[0].endswith("--witness-share-name=^data$ --witness-new-ip=198.51.100.199")


def test_an_order_that_reaches_nobody_is_an_error(player: Player) -> None:
    player.answer("any", "net witness force-unregister", witness())
    with pytest.raises(ControllerError, match="no registration matches"):
        asyncio.run(player.controller.force_unregister("b3c7b2b7-5e9f-4c92-99f4-5ec467bd7baa"))


def test_an_unknown_node_is_named_with_the_known_ones(player: Player) -> None:
    with pytest.raises(ControllerError, match="'node9'; known are: node1, node2, node3"):
        asyncio.run(player.controller.disable("node9"))


def test_waiting_for_health_ends_with_what_is_wrong(player: Player) -> None:
    player.answer("any", "ctdb -X status", status("000", "010", "000"))
    with pytest.raises(NotHealthy, match="node2 unhealthy"):
        asyncio.run(player.controller.wait_healthy(timeout=0))


def test_recovery_mode_counts(player: Player) -> None:
    player.answer("any", "ctdb status ", "Recovery mode:RECOVERY (1)\n")
    with pytest.raises(NotHealthy):
        asyncio.run(player.controller.wait_healthy(timeout=0))
    player.answer("any", "ctdb status ", "Recovery mode:NORMAL (0)\n")
    asyncio.run(player.controller.wait_healthy(timeout=0))


def test_a_banned_node_is_unbanned_by_one_that_can(player: Player) -> None:
    player.answer("any", "ctdb -X status", status("010", "000", "000"))
    player.answer("any", "ctdb status ", "Recovery mode:NORMAL (0)\n")
    player.after("ctdb -n 0 unban", status("000", "000", "000"))
    asyncio.run(player.controller.recover("node1"))
    assert "node1 ctdb -n 0 unban" in player.commands()


def test_an_address_that_strayed_is_brought_home(player: Player) -> None:
    async def story() -> None:
        async with player.controller as controller:
            player.answer("any", "ctdb -X ip", _ADDRESSES.replace("200|0", "200|1") + "|198.51.100.77|0|\n")
            player.answer("any", "ctdb getvar NoIPFailback", "NoIPFailback = 1\n")
            await controller.restore(timeout=5)

    player.answer("any", "ctdb getvar NoIPFailback", "NoIPFailback = 1\n")
    player.answer("any", "ctdb status ", "Recovery mode:NORMAL (0)\n")
    asyncio.run(story())
    assert "node1 ctdb moveip 198.51.100.200 0" in player.commands()
    assert "node1 ctdb delip 198.51.100.77" in player.commands()


def test_a_configured_address_that_was_removed_is_read_from_the_configuration_again(player: Player) -> None:
    async def story() -> None:
        async with player.controller as controller:
            await controller.remove_address("node2", "198.51.100.200")
            await controller.restore(timeout=5)
            await controller.restore(timeout=5)

    player.answer("any", "ctdb getvar NoIPFailback", "NoIPFailback = 1\n")
    player.answer("any", "ctdb status ", "Recovery mode:NORMAL (0)\n")
    asyncio.run(story())
    removed = player.commands().index("node2 ctdb delip 198.51.100.200")
    assert player.commands()[removed + 1] == "node2 ctdb ipreallocate"
    assert [c for c in player.commands() if "reloadips" in c] == ["node1 ctdb reloadips all"]


def test_a_forced_response_in_the_json_of_net_witness() -> None:
    response = RespAsyncNotify.of(ResourceChange(255, "node1"), ResourceChange(1, "node1"))
    assert response_json(response) == {
        "type": 1,
        "messages": [{"type": 255, "name": "node1"}, {"type": 1, "name": "node1"}],
    }
