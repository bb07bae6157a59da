"""The controller of the reference cluster, with an embedded cluster."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import pytest

from swn_torture.control import Capability, ControllerError, Failure, NodeState, NotHealthy, ShareView
from swn_torture.control.reference import ReferenceController
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.witness.client import connect
from swn_torture.witness.messages import RespAsyncNotify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import ContextHandle

TIMEOUT = 5.0
"""Seconds to wait for a response."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as running:
        yield running


async def register(
    cluster: EmbeddedCluster, share_name: str | None = "SHARE"
) -> tuple[WitnessClient, ContextHandle]:
    """Connect to NODE1, and register for the address of NODE2 with IP notifications."""
    node1, node2 = cluster.nodes[0], cluster.nodes[1]
    client = await connect(
        node1.address,
        epm_port=node1.epm_port,
        credentials=Credentials("witness", "Passw0rd!", "SWNTEST"),
        level=AuthLevel.INTEGRITY,
    )
    response = await client.register_ex(
        net_name="SWNCLUSTER",
        ip_address=node2.address,
        client_computer_name="CLIENT01",
        share_name=share_name,
        flags=1,
    )
    assert response.result == 0
    return client, response.context


def test_nodes_registrations_and_shares_are_listed(cluster: EmbeddedCluster) -> None:
    async def steps() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            assert controller.can(*Capability)
            client, handle = await register(cluster)
            nodes = await controller.nodes()
            assert [(node.name, node.state) for node in nodes] == [
                (f"NODE{n}", NodeState.OK) for n in (1, 2, 3)
            ]
            assert nodes[1].management_address == cluster.nodes[1].address == nodes[1].addresses[0]
            (view,) = await controller.registrations()
            assert (view.key, view.client_computer_name, view.share_name) == (
                str(handle.uuid),
                "CLIENT01",
                "SHARE",
            )
            assert (view.version, view.flags, view.timeout, view.node) == (0x00020000, 1, 120, "NODE1")
            assert view.account == "SWNTEST\\witness"
            assert await controller.shares() == (ShareView("SHARE", True), ShareView("PLAIN", False))  # noqa: FBT003
            await client.close()

    asyncio.run(steps())


def test_calls_notify_the_client(cluster: EmbeddedCluster) -> None:
    async def steps() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            client, handle = await register(cluster)
            raw = RespAsyncNotify(9, 2, b"\x01\x02")
            for change, message_type in (
                (controller.disable("NODE2"), 1),
                (controller.enable("NODE2"), None),
                (controller.move_client("CLIENT01", "NODE3"), 2),
                (controller.move_share("SHARE", "NODE3", client="CLIENT01"), 3),
                (controller.add_address("NODE3", "127.99.99.99"), 4),
                (controller.move_address("127.99.99.99", "NODE1"), 4),
                (controller.remove_address("NODE1", "127.99.99.99"), 4),
                (controller.set_interface("NODE2", up=False), 1),
                (controller.set_interface("NODE2", up=True), None),
                (controller.fail("NODE2", Failure.CRASH), 1),
                (controller.recover("NODE2"), None),
                (controller.fail("NODE2", Failure.POWER_OFF), 1),
                (controller.recover("NODE2"), None),
                (controller.fail("NODE2", Failure.PARTITION), 1),
                (controller.recover("NODE2"), None),
                (controller.force_response(str(handle.uuid), response=raw), 9),
            ):
                call = client.async_notify(handle)
                await change
                received = []
                # With IP notifications a new state causes two: RESOURCE_CHANGE and IP_CHANGE.
                while True:
                    response = await call.reply(TIMEOUT)
                    assert response.result == 0
                    assert response.response is not None
                    received.append(response.response.message_type)
                    if message_type in {2, 3, 9} or received[-1] == 4:
                        break
                    call = client.async_notify(handle)
                assert message_type is None or message_type in received
            call = client.async_notify(handle)
            await controller.force_unregister(str(handle.uuid))
            assert (await call.reply(TIMEOUT)).result == 0x490
            await controller.restart("NODE1")
            assert await client.rpc.wait_closed(TIMEOUT) == "reset"
            await controller.restore()

    asyncio.run(steps())


def test_errors_name_the_problem(cluster: EmbeddedCluster) -> None:
    async def steps() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            with pytest.raises(ControllerError, match="disable: unknown node 'NODE9'; known: NODE1"):
                await controller.disable("NODE9")
            await controller.disable("NODE1")
            with pytest.raises(NotHealthy, match="NODE1 disabled"):
                await controller.wait_healthy()
            await controller.restore()
            await controller.set_interface("NODE2", up=False)
            with pytest.raises(NotHealthy, match=f"AVAILABLE: NODE2 {cluster.nodes[1].address}"):
                await controller.wait_healthy()
            await controller.restore()
            await controller.wait_healthy()
            with pytest.raises(ControllerError, match="unknown command 'dance'"):
                await controller.send("dance")
            assert "crash" in await controller.send("help")

    asyncio.run(steps())


def test_missing_cluster_or_port_is_an_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ControllerError, match=f"administration at 127.0.0.1 port {port} is not reachable"):
        asyncio.run(ReferenceController(port=port).open())
    with pytest.raises(ValueError, match="needs the port"):
        ReferenceController()


def test_administration_rejects_lines_that_are_no_commands(cluster: EmbeddedCluster) -> None:
    with socket.create_connection((cluster.admin_address, cluster.admin_port), timeout=TIMEOUT) as connection:
        stream = connection.makefile("rwb")
        for request, problem in (
            (b"hello", "not JSON"),
            (b"[]", "a request must be an object"),
            (b'{"do": "disable"}', "node"),
            (b'{"do": "move_client", "destination": "NODE1"}', "select registrations by"),
            (
                b'{"do": "set_interface", "node": "NODE1", "state": "up"}',
                "state must be one of UNKNOWN, AVAILABLE",
            ),
        ):
            stream.write(request + b"\n")
            stream.flush()
            response = json.loads(stream.readline())
            assert response["ok"] is False
            assert problem in response["error"]


def test_commands_of_the_administration_without_a_call(cluster: EmbeddedCluster) -> None:
    async def steps() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            info = await controller.send("info")
            assert (info["net_name"], info["options"]["dual_stack"]) == ("SWNCLUSTER", "two-entries")
            assert [i["state"] for i in await controller.send("interfaces")] == ["AVAILABLE"] * 3
            await controller.send("set_shares", shares=[{"name": "NEW", "scale_out": True}])
            assert await controller.shares() == (ShareView("NEW", True),)  # noqa: FBT003
            await controller.send("fail_share_enumeration", failing=True)
            client, handle = await register(cluster, share_name=None)
            rejected = await client.register(
                net_name="SWNCLUSTER", ip_address=cluster.nodes[1].address, client_computer_name="C"
            )
            assert rejected.result == 0x139F
            call = client.async_notify(handle)
            await controller.send("change_ip", client_name="CLIENT01", change="NODE3")
            response = await call.reply(TIMEOUT)
            assert response.response is not None
            assert response.response.message_type == 4
            await client.close()
            await controller.restore()

    asyncio.run(steps())
