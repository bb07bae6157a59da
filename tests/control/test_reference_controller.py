"""The controller of the reference, through its administration, on an embedded cluster."""

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

SOON = 5.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as running:
        yield running


async def registered(
    cluster: EmbeddedCluster, share_name: str | None = "SHARE"
) -> tuple[WitnessClient, ContextHandle]:
    here, there = cluster.nodes[0], cluster.nodes[1]
    client = await connect(
        here.address,
        epm_port=here.epm_port,
        credentials=Credentials("witness", "Passw0rd!", "SWNTEST"),
        level=AuthLevel.INTEGRITY,
    )
    response = await client.register_ex(
        net_name="SWNCLUSTER",
        ip_address=there.address,
        client_computer_name="CLIENT01",
        share_name=share_name,
        flags=1,
    )
    assert response.result == 0
    return client, response.context


def test_it_sees_everything(cluster: EmbeddedCluster) -> None:
    async def story() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            assert controller.can(*Capability)
            client, handle = await registered(cluster)
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

    asyncio.run(story())


def test_it_moves_everything(cluster: EmbeddedCluster) -> None:
    async def story() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            client, handle = await registered(cluster)
            raw = RespAsyncNotify(9, 2, b"\x01\x02")
            for order, message_type in (
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
                await order
                seen = []
                # Those who watch addresses hear of a state twice: RESOURCE_CHANGE, then IP_CHANGE.
                while True:
                    answer = await call.reply(SOON)
                    assert answer.result == 0
                    assert answer.response is not None
                    seen.append(answer.response.message_type)
                    if message_type in {2, 3, 9} or seen[-1] == 4:
                        break
                    call = client.async_notify(handle)
                assert message_type is None or message_type in seen
            call = client.async_notify(handle)
            await controller.force_unregister(str(handle.uuid))
            assert (await call.reply(SOON)).result == 0x490
            await controller.restart("NODE1")
            assert await client.rpc.wait_closed(SOON) == "reset"
            await controller.restore()

    asyncio.run(story())


def test_it_tells_what_is_wrong(cluster: EmbeddedCluster) -> None:
    async def story() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            with pytest.raises(ControllerError, match="disable: no node is called 'NODE9'; known are: NODE1"):
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
            with pytest.raises(ControllerError, match="no order 'dance'"):
                await controller.order("dance")
            assert "crash" in await controller.order("help")

    asyncio.run(story())


def test_a_cluster_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ControllerError, match=f"administration at 127.0.0.1 port {port} cannot be reached"):
        asyncio.run(ReferenceController(port=port).open())
    with pytest.raises(ValueError, match="needs the port"):
        ReferenceController()


def test_lines_that_are_no_orders_are_answered_as_such(cluster: EmbeddedCluster) -> None:
    with socket.create_connection((cluster.admin_address, cluster.admin_port), timeout=SOON) as line:
        stream = line.makefile("rwb")
        for request, problem in (
            (b"hello", "not JSON"),
            (b"[]", "a request is an object"),
            (b'{"do": "disable"}', "node"),
            (b'{"do": "move_client", "destination": "NODE1"}', "say whom"),
            (b'{"do": "set_interface", "node": "NODE1", "state": "up"}', "state can be UNKNOWN, AVAILABLE"),
        ):
            stream.write(request + b"\n")
            stream.flush()
            answer = json.loads(stream.readline())
            assert answer["ok"] is False
            assert problem in answer["error"]


def test_orders_that_only_the_reference_knows(cluster: EmbeddedCluster) -> None:
    async def story() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            info = await controller.order("info")
            assert (info["net_name"], info["options"]["dual_stack"]) == ("SWNCLUSTER", "two-entries")
            assert [i["state"] for i in await controller.order("interfaces")] == ["AVAILABLE"] * 3
            await controller.order("set_shares", shares=[{"name": "NEW", "scale_out": True}])
            assert await controller.shares() == (ShareView("NEW", True),)  # noqa: FBT003
            await controller.order("fail_share_enumeration", failing=True)
            client, handle = await registered(cluster, share_name=None)
            refused = await client.register(
                net_name="SWNCLUSTER", ip_address=cluster.nodes[1].address, client_computer_name="C"
            )
            assert refused.result == 0x139F
            call = client.async_notify(handle)
            await controller.order("change_ip", client_name="CLIENT01", change="NODE3")
            answer = await call.reply(SOON)
            assert answer.response is not None
            assert answer.response.message_type == 4
            await client.close()
            await controller.restore()

    asyncio.run(story())
