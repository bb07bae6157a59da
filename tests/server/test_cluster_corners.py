"""What a cluster does with orders that change nothing, cannot be carried out, or come at a bad moment."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.errors import Fault
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.harness.live_target import embedded_cluster
from swn_torture.server.config import ClusterConfig, ConfigError, choose_epm_port, free_network
from swn_torture.server.nodes.admin import AdminServer
from swn_torture.server.nodes.cluster import ClusterError, ReferenceCluster
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.nodes.serve import introduction
from swn_torture.stubdata.syntax import NDR32
from swn_torture.target import load_profile
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import NULL_HANDLE, RegisterRequest
from tests.server.conftest import Bench
from tests.server.scenarios import SOON, client_of, notified, register, story

if TYPE_CHECKING:
    from swn_torture.server.nodes.node import Node


def another_address(node: Node) -> str:
    return str(ip_address(node.address) + 100)


def test_a_node_that_is_disabled_is_not_disabled_again() -> None:
    async def tell(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            handle = await register(client, node2)
            await cluster.disable("NODE2")
            assert notified(await client.async_notify(handle).reply(SOON)) == (1, ["NODE2 UNAVAILABLE"])

            await cluster.disable("NODE2")
            await cluster.enable("NODE2")

            assert notified(await client.async_notify(handle).reply(SOON)) == (1, ["NODE2 AVAILABLE"])

    story(tell)


def test_an_address_that_is_in_use_is_not_given_away() -> None:
    async def tell(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        before = list(cluster.interfaces)

        with pytest.raises(ClusterError, match=f"{node1.address} is in use"):
            await cluster.add_address(node2.name, node1.address)

        assert cluster.interfaces == before

    story(tell)


@pytest.mark.parametrize("port", ["port", "epm_port"])
def test_an_address_where_a_port_is_taken_is_not_half_served(port: str) -> None:
    async def tell(cluster: ReferenceCluster) -> None:
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

    story(tell)


def test_an_administrator_replaces_an_address_by_one_order() -> None:
    async def tell(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        old, new = node2.address, another_address(node2)
        order = json.dumps({"do": "change-address", "old": old, "new": new})

        answer = await AdminServer(cluster).obey(order.encode())

        assert answer == {"ok": True, "result": None}
        async with client_of(node1) as client:
            listed = {str(i.ipv4) for i in (await client.get_interface_list()).interfaces}
        assert new in listed
        assert old not in listed

    story(tell)


def test_only_the_chosen_causes_are_told_as_ip_changes() -> None:
    async def tell(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            call = client.async_notify(await register(client, node1, flags=1))
            await cluster.add_address("NODE2", another_address(node2))
            await client.get_interface_list()
            assert not call.done()

            await cluster.remove_address(another_address(node2))

            assert notified(await call.reply(SOON))[0] == 4

    story(tell, ip_change_causes=["removed"])


def test_a_cluster_that_ends_notices_nothing_any_more() -> None:
    cluster = ReferenceCluster(ClusterConfig.from_mapping({"detection_delay": 3600}))

    async def run() -> list[asyncio.TimerHandle]:
        async with cluster:
            await cluster.crash("NODE2")
            (discovery,) = cluster._discoveries.values()
            assert not discovery.cancelled()
        return list(cluster._discoveries.values())

    assert all(discovery.cancelled() for discovery in asyncio.run(run()))


def test_an_unknown_handle_can_be_a_fault() -> None:
    async def tell(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.nodes["NODE1"]) as client:
            with pytest.raises(Fault) as caught:
                await client.unregister(NULL_HANDLE)
            assert caught.value.status == FaultStatus.RPC_X_SS_IN_NULL_CONTEXT

    story(tell, unknown_handle="fault")


def test_a_server_may_ignore_that_a_client_has_lost_its_patience() -> None:
    async def tell(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            call = client.async_notify(await register(client, node2))
            call.cancel()
            await client.get_interface_list()
            assert not call.done()

            await cluster.disable("NODE2")

            assert notified(await call.reply(SOON)) == (1, ["NODE2 UNAVAILABLE"])

    story(tell, honour_cancel=False)


def test_where_parameters_end_can_be_told_of_whole_requests_alone() -> None:
    """A verification trailer is looked for behind that; where nothing can be told, from the beginning on."""
    endpoint = WitnessEndpoint(Bench().service, (NDR32,))
    stub = encode(RegisterRequest(0x00010001, "SWNCLUSTER", "192.0.2.2", "C"), NDR32)

    def end(opnum: int, octets: bytes) -> int:
        return endpoint.end_of_parameters(opnum, octets, NDR32, "little")

    assert end(1, stub + b"trailer") == len(stub)
    assert end(1, stub[:-1]) == 0
    assert end(6, stub) == 0


def test_a_profile_that_expects_no_shares_has_those_of_every_cluster() -> None:
    profile = load_profile("reference")
    bare = dataclasses.replace(profile, expect=dataclasses.replace(profile.expect, shares=()))

    assert embedded_cluster(bare).config.shares == ClusterConfig().shares


@pytest.fixture
def stops_badly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters stop, and complain."""
    stop = ReferenceCluster.stop

    async def stop_badly(self: ReferenceCluster) -> None:
        await stop(self)
        raise RuntimeError("one node would not stop")

    monkeypatch.setattr(ReferenceCluster, "stop", stop_badly)


@pytest.mark.usefixtures("stops_badly")
def test_a_cluster_that_ends_in_trouble_says_so_behind_its_block() -> None:
    with pytest.raises(RuntimeError, match="one node would not stop"), EmbeddedCluster():
        pass


@pytest.mark.usefixtures("stops_badly")
def test_what_went_wrong_in_the_block_is_not_hidden_by_trouble_at_its_end() -> None:
    with pytest.raises(ZeroDivisionError), EmbeddedCluster():
        raise ZeroDivisionError


def test_an_introduction_names_a_profile_only_where_there_is_one() -> None:
    async def tell(cluster: ReferenceCluster) -> None:
        async with AdminServer(cluster) as admin:
            assert not [line for line in introduction(cluster, admin, None) if "profile" in line]

    story(tell)


class Busy(socket.socket):
    """Whatever is tried, somebody is there already."""

    def connect_ex(self, address: object) -> int:  # noqa: ARG002
        return 0


def test_a_host_full_of_endpoint_mappers_has_no_network_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", Busy)

    with pytest.raises(ConfigError, match=r"no loopback network without an endpoint mapper .* in 100 tries"):
        free_network()


def test_an_address_of_another_host_has_no_endpoint_mapper_here() -> None:
    with pytest.raises(OSError, match="Cannot assign requested address"):
        choose_epm_port("203.0.113.1")
