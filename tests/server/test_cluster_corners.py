"""The cluster in special situations: commands without effect, failing commands, options, stop with errors."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.dcerpc.errors import Fault
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.harness.live_target import embedded_cluster
from swn_torture.server.config import ClusterConfig, ConfigError, choose_epm_port, free_network
from swn_torture.server.nodes.admin import AdminServer
from swn_torture.server.nodes.cluster import ReferenceCluster
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.nodes.events import ClusterError
from swn_torture.server.nodes.serve import introduction
from swn_torture.stubdata.syntax import NDR32
from swn_torture.target import load_profile
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import NULL_HANDLE, RegisterRequest
from tests.server.conftest import Bench
from tests.server.scenarios import TIMEOUT, client_of, notified, register, run_in_cluster

if TYPE_CHECKING:
    from swn_torture.server.nodes.node import Node


def another_address(node: Node) -> str:
    return str(ip_address(node.address) + 100)


def test_disabling_a_disabled_node_changes_nothing() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            handle = await register(client, node2)
            await cluster.disable("NODE2")
            assert notified(await client.async_notify(handle).reply(TIMEOUT)) == (1, ["NODE2 UNAVAILABLE"])

            await cluster.disable("NODE2")
            await cluster.enable("NODE2")

            assert notified(await client.async_notify(handle).reply(TIMEOUT)) == (1, ["NODE2 AVAILABLE"])

    run_in_cluster(scenario)


def test_node_that_hung_tells_what_it_missed() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            call = client.async_notify(await register(client, node2))
            node1.hang()
            await cluster.disable("NODE2")
            assert not call.done()

            node1.go_on()
            node1.go_on()  # without effect

            assert notified(await call.reply(TIMEOUT)) == (1, ["NODE2 UNAVAILABLE"])

    run_in_cluster(scenario)


def test_address_in_use_cannot_be_added() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        before = list(cluster.interfaces)

        with pytest.raises(ClusterError, match=f"the address {node1.address} is in use"):
            await cluster.add_address(node2.name, node1.address)

        assert cluster.interfaces == before

    run_in_cluster(scenario)


@pytest.mark.parametrize("port", ["port", "epm_port"])
def test_failed_add_address_leaves_no_listener(port: str) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node = cluster.nodes["NODE1"]
        address, before = another_address(node), list(cluster.interfaces)
        with socket.create_server((address, getattr(node, port))):
            with pytest.raises(OSError, match="in use"):
                await cluster.add_address(node.name, address)

            assert cluster.interfaces == before
            other = node.epm_port if port == "port" else node.port
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(address, other)
        await cluster.add_address(node.name, address)
        assert len(cluster.interfaces) == len(before) + 1

    run_in_cluster(scenario)


def test_admin_command_replaces_an_address() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        old, new = node2.address, another_address(node2)
        request = json.dumps({"do": "change-address", "old": old, "new": new})

        answer = await AdminServer(cluster).execute(request.encode())

        assert answer == {"ok": True, "result": None}
        async with client_of(node1) as client:
            listed = {str(i.ipv4) for i in (await client.get_interface_list()).interfaces}
        assert new in listed
        assert old not in listed

    run_in_cluster(scenario)


def test_only_configured_causes_send_ip_change() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            call = client.async_notify(await register(client, node1, flags=1))
            await cluster.add_address("NODE2", another_address(node2))
            await client.get_interface_list()
            assert not call.done()

            await cluster.remove_address(another_address(node2))

            assert notified(await call.reply(TIMEOUT))[0] == 4

    run_in_cluster(scenario, ip_change_causes=["removed"])


def test_stopped_cluster_cancels_failure_detection() -> None:
    cluster = ReferenceCluster(ClusterConfig.from_mapping({"detection_delay": 3600}))

    async def run() -> list[asyncio.TimerHandle]:
        async with cluster:
            await cluster.crash("NODE2")
            (detection,) = cluster._detections.values()
            assert not detection.cancelled()
        return list(cluster._detections.values())

    (detection,) = asyncio.run(run())
    assert detection.cancelled()


def test_unknown_handle_can_return_a_fault() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.nodes["NODE1"]) as client:
            with pytest.raises(Fault) as caught:
                await client.unregister(NULL_HANDLE)
            assert caught.value.status == FaultStatus.RPC_X_SS_IN_NULL_CONTEXT

    run_in_cluster(scenario, unknown_handle="fault")


def test_server_can_ignore_co_cancel() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            call = client.async_notify(await register(client, node2))
            call.cancel()
            await client.get_interface_list()
            assert not call.done()

            await cluster.disable("NODE2")

            assert notified(await call.reply(TIMEOUT)) == (1, ["NODE2 UNAVAILABLE"])

    run_in_cluster(scenario, honour_cancel=False)


def test_end_of_parameters_needs_a_complete_request() -> None:
    """A verification trailer is searched after the parameters, or from the start if the end is unknown."""
    endpoint = WitnessEndpoint(Bench().service, (NDR32,))
    stub = encode(RegisterRequest(0x00010001, "SWNCLUSTER", "192.0.2.2", "C"), NDR32)

    def end(opnum: int, octets: bytes) -> int:
        return endpoint.end_of_parameters(opnum, octets, NDR32, "little")

    assert end(1, stub + b"trailer") == len(stub)
    assert end(1, stub[:-1]) == 0
    assert end(6, stub) == 0


def test_profile_without_shares_gets_the_default_shares() -> None:
    profile = load_profile("reference")
    assert profile.embedded is not None
    embedded = {key: value for key, value in profile.embedded.items() if key != "shares"}
    expect = dataclasses.replace(profile.expect, shares=())
    bare = dataclasses.replace(profile, embedded=embedded, expect=expect)

    assert embedded_cluster(bare).config.shares == ClusterConfig().shares


@pytest.fixture
def failing_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters raise an error after they have stopped."""
    stop = ReferenceCluster.stop

    async def fail_after_stop(self: ReferenceCluster) -> None:
        await stop(self)
        raise RuntimeError("a node did not stop")

    monkeypatch.setattr(ReferenceCluster, "stop", fail_after_stop)


@pytest.mark.usefixtures("failing_stop")
def test_error_at_stop_is_raised_by_the_with_block() -> None:
    with pytest.raises(RuntimeError, match="a node did not stop"), EmbeddedCluster():
        pass


@pytest.mark.usefixtures("failing_stop")
def test_error_at_stop_does_not_hide_the_error_of_the_block() -> None:
    with pytest.raises(ZeroDivisionError), EmbeddedCluster():
        raise ZeroDivisionError


def test_introduction_without_profile_does_not_mention_one() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with AdminServer(cluster) as admin:
            without = introduction(cluster, admin, None)
            with_profile = introduction(cluster, admin, Path("ref.toml"))

        (line,) = set(with_profile) - set(without)
        assert line == "  profile  ref.toml: swn-torture cluster status --target ref.toml"
        assert not set(without) - set(with_profile)

    run_in_cluster(scenario)


class ListenerEverywhere(socket.socket):
    """A socket whose connections always succeed."""

    def connect_ex(self, address: object) -> int:  # noqa: ARG002
        return 0


def test_free_network_fails_if_every_network_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", ListenerEverywhere)

    with pytest.raises(ConfigError, match=r"no loopback network .* found in 100 attempts; set network"):
        free_network()


def test_endpoint_mapper_port_of_a_foreign_address_fails() -> None:
    with pytest.raises(OSError, match="Cannot assign requested address"):
        choose_epm_port("203.0.113.1")


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ({"do": "disable"}, "disable: missing a required argument: 'node'; the command help lists all"),
        ({"do": "disable", "node": "NODE1", "how": 1}, "got an unexpected keyword argument 'how'"),
        ({"do": "disable", "node": 5}, "disable: node must be a string, not 5"),
        (
            {"do": "move_client", "destination": "NODE1", "client": "ME"},
            "unknown selection 'client'; known: ",
        ),
        ({"do": "set_shares", "shares": [5]}, "'int' object has no attribute"),
    ],
)
def test_wrong_order_gets_an_answer(order: dict[str, Any], text: str) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        answered = await AdminServer(cluster).execute(json.dumps(order).encode())
        assert answered["ok"] is False
        assert text in answered["error"]

    run_in_cluster(scenario)
