"""The reference cluster by the `command` controller: its own commands alone, or with its interface lists."""

from __future__ import annotations

import asyncio
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control import Capability, EffectNotSeen, Failure, NodeState, ShareView, witness_lists
from swn_torture.control.kinds import controller_from
from swn_torture.control.reference import ReferenceController
from swn_torture.control.witness_lists import WitnessLists, WitnessNode
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.shipped import fixtures_directory
from swn_torture.witness.client import connect
from swn_torture.witness.messages import RespAsyncNotify
from tests.examples import in_gate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.control import Controller

EXAMPLES = fixtures_directory() / "controllers"
TIMEOUT = 5.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(ClusterConfig(detection_delay=0.2)) as running:
        yield running


def settings_for(cluster: EmbeddedCluster) -> dict[str, Any]:
    """The example profile, for a running cluster."""
    settings: dict[str, Any] = tomllib.loads((EXAMPLES / "reference.toml").read_text(encoding="utf-8"))[
        "controller"
    ]
    where = f"{cluster.admin_address}:{cluster.admin_port}"
    return settings | {"prefix": [sys.executable, "-I", str(EXAMPLES / "reference_admin.py"), where]}


def lists_of(cluster: EmbeddedCluster) -> WitnessLists:
    nodes = [WitnessNode(n.name, n.address, n.epm_port) for n in cluster.nodes]
    return WitnessLists(nodes, Credentials("witness", "Passw0rd!", "SWNTEST"), "SWNCLUSTER")


@in_gate
def test_every_call_has_the_same_effect_as_by_the_own_controller(cluster: EmbeddedCluster) -> None:
    async def notified(controller: Controller) -> list[tuple[str, int]]:
        """Make each call; the notifications that a registered client gets, by their type."""
        node1, node2 = cluster.nodes[0], cluster.nodes[1]
        client = await connect(
            node1.address,
            epm_port=node1.epm_port,
            credentials=Credentials("witness", "Passw0rd!", "SWNTEST"),
        )
        made = await client.register_ex(
            net_name="SWNCLUSTER",
            ip_address=node2.address,
            client_computer_name="CLIENT01",
            share_name="SHARE",
            flags=0,
        )
        key = str(made.context.uuid)
        (row,) = await controller.registrations()
        assert (row.key, row.ip_address, row.share_name, row.version) == (
            key,
            node2.address,
            "SHARE",
            0x20000,
        )
        raw = RespAsyncNotify(9, 2, b"\x01\x02")
        seen: list[tuple[str, int]] = []
        for name, call in (
            ("disable", lambda: controller.disable("NODE2")),
            ("enable", lambda: controller.enable("NODE2")),
            ("move_client", lambda: controller.move_client("CLIENT01", "NODE3", net_name="SWNCLUSTER")),
            ("move_share", lambda: controller.move_share("SHARE", "NODE3", ip_address=node2.address)),
            ("down", lambda: controller.set_interface("NODE2", up=False)),
            ("up", lambda: controller.set_interface("NODE2", up=True)),
            ("unknown", lambda: controller.set_interface_unknown("NODE2")),
            ("up again", lambda: controller.set_interface("NODE2", up=True)),
            ("crash", lambda: controller.fail("NODE2", Failure.CRASH)),
            ("recover", lambda: controller.recover("NODE2")),
            ("power off", lambda: controller.fail("NODE2", Failure.POWER_OFF)),
            ("recover 2", lambda: controller.recover("NODE2")),
            ("partition", lambda: controller.fail("NODE2", Failure.PARTITION)),
            ("recover 3", lambda: controller.recover("NODE2")),
            ("link down", lambda: controller.fail("NODE2", Failure.LINK_DOWN)),
            ("recover 4", lambda: controller.recover("NODE2")),
            ("hang", lambda: controller.fail("NODE2", Failure.HANG)),
            ("recover 5", lambda: controller.recover("NODE2")),
            ("ban", lambda: controller.fail("NODE2", Failure.BAN)),
            ("recover 6", lambda: controller.recover("NODE2")),
            ("stop", lambda: controller.fail("NODE2", Failure.STOP)),
            ("recover 7", lambda: controller.recover("NODE2")),
            ("response", lambda: controller.force_response(key, result=0, response=raw)),
        ):
            waiting = client.async_notify(made.context)
            await call()
            answer = await waiting.reply(TIMEOUT)
            assert answer.response is not None
            seen.append((name, answer.response.message_type))
        await controller.force_unregister(key)
        await controller.add_address("NODE3", "127.99.99.99")
        await controller.move_address("127.99.99.99", "NODE1")
        await controller.remove_address("NODE1", "127.99.99.99")
        await controller.restart("NODE1")
        for how in (Failure.KILL_WORKER, Failure.HANG_SERVICE):
            await controller.fail("NODE3", how)
            await controller.recover("NODE3")
        await controller.disable("NODE3")
        assert (await controller.node("NODE3")).state is NodeState.DISABLED
        await controller.restore()
        await controller.wait_healthy()
        assert await controller.shares() == (ShareView("SHARE", True), ShareView("PLAIN", False))  # noqa: FBT003
        await client.close()
        return seen

    async def steps() -> None:
        async with ReferenceController(port=cluster.admin_port) as own:
            expected = await notified(own)
            nodes = await own.nodes()
        async with controller_from(settings_for(cluster)) as by_commands:
            assert by_commands.can(*Capability)
            assert await by_commands.nodes() == nodes
            assert await notified(by_commands) == expected
        assert [kind for _, kind in expected].count(1) == 20

    asyncio.run(steps())


def test_effect_is_seen_in_the_interface_lists(cluster: EmbeddedCluster) -> None:
    settings = settings_for(cluster)
    del settings["show"], settings["run"]["restore"]

    async def steps() -> None:
        controller = controller_from(settings)
        controller.attach(lists_of(cluster))
        other = lists_of(cluster)
        async with controller, ReferenceController(port=cluster.admin_port) as own:
            assert not controller.can(Capability.LIST_NODES)
            for call, condition in (
                (controller.disable("NODE2"), NodeState.DISABLED),
                (controller.enable("NODE2"), NodeState.OK),
                (controller.fail("NODE1", Failure.CRASH), NodeState.DOWN),
                (controller.recover("NODE1"), NodeState.OK),
                (controller.fail("NODE2", Failure.PARTITION), NodeState.DOWN),
                (controller.recover("NODE2"), NodeState.OK),
                (controller.fail("NODE2", Failure.BAN), NodeState.UNHEALTHY),
                (controller.recover("NODE2"), NodeState.OK),
                (controller.fail("NODE2", Failure.HANG_SERVICE), NodeState.OK),
                (controller.recover("NODE2"), NodeState.OK),
            ):
                await call
                name = (
                    "NODE1"
                    if "NODE1" in {n.name for n in await own.nodes() if n.state is condition}
                    else "NODE2"
                )
                assert (await own.node(name)).state is condition
            await controller.set_interface("NODE3", up=False)
            await controller.restart("NODE3")
            await controller.add_address("NODE1", "127.99.99.98")
            assert (await own.node("NODE1")).addresses[-1] == "127.99.99.98"
            await controller.restore()
            await own.wait_healthy(1.0)
            lists = await other.read()
            assert [len(lists[name] or ()) for name in ("NODE1", "NODE2", "NODE3")] == [3, 3, 3]
            await other.close()

    asyncio.run(steps())


def test_last_interface_that_goes_down_is_seen_in_the_interface_lists(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then no node completes GetInterfaceList (MS-SWN 3.1.4.1)."""
    monkeypatch.setattr(witness_lists, "_CALL_SECONDS", 0.5)
    settings = settings_for(cluster)
    del settings["show"], settings["run"]["restore"]

    async def steps() -> None:
        controller = controller_from(settings)
        controller.attach(lists_of(cluster))
        async with controller, ReferenceController(port=cluster.admin_port) as own:
            for node in ("NODE1", "NODE2", "NODE3"):
                await controller.set_interface(node, up=False)
            assert {each["state"] for each in await own.send("interfaces")} == {"UNAVAILABLE"}
            await controller.restore()
            await own.wait_healthy(1.0)

    asyncio.run(steps())


def test_call_without_effect_is_not_seen_in_the_interface_lists(cluster: EmbeddedCluster) -> None:
    settings = settings_for(cluster) | {"effect_timeout": 0.3}
    del settings["show"]
    settings["run"] = {"disable": ["nodes"], "enable": ["nodes"]}

    async def steps() -> None:
        controller = controller_from(settings)
        controller.attach(lists_of(cluster))
        async with controller:
            with pytest.raises(EffectNotSeen, match=r"no effect of disable NODE2 .*; seen: interfaces NODE1"):
                await controller.disable("NODE2")

    asyncio.run(steps())
