"""The controller of the reference cluster, with an embedded cluster."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control import Capability, ControllerError, Failure, NodeState, NotHealthy, ShareView
from swn_torture.control.reference import ReferenceController
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.admin_token import token_path
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.witness.client import connect
from swn_torture.witness.messages import RespAsyncNotify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


def test_server_selects_the_registrations_of_a_move(cluster: EmbeddedCluster) -> None:
    async def steps() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            for sent in (
                await controller.move_client("CLIENT01", "NODE3", not_for=["key"]),
                await controller.move_share("SHARE", "NODE3", client="CLIENT01", not_for=["key"]),
            ):
                assert sent.reaches("key")
                assert "the server compares it with all of its registrations" in sent.how

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
                (controller.add_address("NODE3", "127.99.99.95"), 4),
                (controller.move_address("127.99.99.95", "NODE1"), 4),
                (controller.remove_address("NODE1", "127.99.99.95"), 4),
                (controller.set_interface("NODE2", up=False), 1),
                (controller.set_interface("NODE2", up=True), None),
                (controller.fail("NODE2", Failure.CRASH), 1),
                (controller.recover("NODE2"), None),
                (controller.fail("NODE2", Failure.POWER_OFF), 1),
                (controller.recover("NODE2"), None),
                (controller.fail("NODE2", Failure.PARTITION), 1),
                (controller.recover("NODE2"), None),
                (controller.fail("NODE2", Failure.LINK_DOWN), 1),
                (controller.recover("NODE2"), None),
                (controller.fail("NODE2", Failure.HANG), 1),
                (controller.recover("NODE2"), None),
                (controller.fail("NODE2", Failure.BAN), 1),
                (controller.recover("NODE2"), None),
                (controller.fail("NODE2", Failure.STOP), 1),
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


def test_failure_returns_when_the_other_nodes_detected_it() -> None:
    async def steps(slow: EmbeddedCluster) -> None:
        async with ReferenceController(port=slow.admin_port) as controller:
            client, handle = await register(slow)
            call = client.async_notify(handle)
            began = time.monotonic()
            await controller.fail("NODE2", Failure.POWER_OFF)
            assert time.monotonic() - began >= 0.4
            assert (await call.reply(TIMEOUT)).result == 0
            await client.close()

    with EmbeddedCluster(ClusterConfig(detection_delay=0.4)) as slow:
        asyncio.run(steps(slow))


def test_errors_name_the_problem(cluster: EmbeddedCluster) -> None:
    async def steps() -> None:
        async with ReferenceController(port=cluster.admin_port) as controller:
            with pytest.raises(ControllerError, match="disable: unknown node 'NODE9'; known: NODE1"):
                await controller.disable("NODE9")
            await controller.disable("NODE1")
            with pytest.raises(NotHealthy, match="NODE1 disabled"):
                await controller.wait_healthy(timeout=0)
            await controller.restore()
            await controller.set_interface("NODE2", up=False)
            with pytest.raises(NotHealthy, match=f"AVAILABLE: NODE2 {cluster.nodes[1].address}"):
                await controller.wait_healthy(timeout=0)
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


@pytest.mark.parametrize(
    ("request_of", "problem"),
    [
        ({"do": 7}, "a request must be an object"),
        ({"do": "disable"}, "node"),
        ({"do": "move_client", "destination": "NODE1"}, "select registrations by"),
        ({"do": "set_interface", "node": "NODE1", "state": "up"}, "state must be one of UNKNOWN, AVAILABLE"),
    ],
    ids=["do", "argument", "selection", "state"],
)
def test_administration_rejects_wrong_commands(
    cluster: EmbeddedCluster, request_of: dict[str, Any], problem: str
) -> None:
    (response,) = asked(cluster, {"token": cluster.admin_token} | request_of)
    assert response["ok"] is False
    assert problem in response["error"]


@pytest.mark.parametrize(
    "line",
    [b"hello", b"[]", b'{"do": "nodes"}', b'{"do": "nodes", "token": "x"}', b"[" * 100_000, b'{"token": 1}'],
    ids=["text", "list", "no-token", "wrong-token", "deep", "number"],
)
def test_administration_rejects_requests_without_the_token(cluster: EmbeddedCluster, line: bytes) -> None:
    responses = asked(cluster, line, {"token": cluster.admin_token, "do": "nodes"})
    # The connection ends after the first answer.
    assert [each["ok"] for each in responses] == [False]
    assert "the token is missing or wrong" in responses[0]["error"]


def test_token_file_is_for_one_user_and_is_removed() -> None:
    with EmbeddedCluster(ClusterConfig.from_mapping({"nodes": 1})) as cluster:
        path = token_path(cluster.admin_address, cluster.admin_port)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.read_text() == cluster.admin_token
    assert not path.exists()


def test_controller_of_another_user_has_the_token_in_its_profile(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # no file there

    async def steps() -> None:
        settings = {"address": cluster.admin_address, "port": cluster.admin_port}
        async with ReferenceController.from_settings(settings) as without:
            with pytest.raises(ControllerError, match="the token is missing or wrong"):
                await without.nodes()
        settings |= {"token": cluster.admin_token}
        async with ReferenceController.from_settings(settings) as controller:
            assert await controller.nodes()

    asyncio.run(steps())


def asked(cluster: EmbeddedCluster, *requests: dict[str, Any] | bytes) -> list[dict[str, Any]]:
    """The responses to requests on one connection, until the administration ends it or all are sent."""
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in requests]
    with (
        socket.create_connection((cluster.admin_address, cluster.admin_port), timeout=TIMEOUT) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(b"".join(line + b"\n" for line in lines))
        connection.shutdown(socket.SHUT_WR)
        return [json.loads(line) for line in stream]


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
