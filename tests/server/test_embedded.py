"""The cluster in a thread, and as the target profile of the suite describes it."""

from __future__ import annotations

import asyncio
import dataclasses
import socket

import pytest

from swn_torture.control import NodeState
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.harness.live_target import embedded_cluster
from swn_torture.server.config import ClusterConfig, ConfigError, choose_epm_port, default_nodes
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.target import load_profile, make_controller
from swn_torture.witness.client import connect


def test_the_shipped_profile_describes_a_cluster() -> None:
    profile = load_profile("reference")
    with embedded_cluster(profile) as cluster:
        assert [node.name for node in cluster.nodes] == ["NODE1", "NODE2", "NODE3"]
        options = cluster.config.options
        assert (options.unused_timeout, options.scan_interval) == (3.0, 0.1)
        controller = make_controller(
            dataclasses.replace(profile, controller={"kind": "reference", "port": cluster.admin_port})
        )

        async def story() -> None:
            async with controller:
                assert {node.state for node in await controller.nodes()} == {NodeState.OK}
                shares = [(share.name, share.scale_out) for share in await controller.shares()]
                assert shares == [(share.name, share.scale_out) for share in profile.expect.shares]
            for account in (profile.account, profile.second_account):
                assert account is not None
                client = await connect(
                    cluster.nodes[0].address,
                    epm_port=cluster.nodes[0].epm_port,
                    credentials=Credentials(account.username, account.password, account.domain),
                )
                assert len((await client.get_interface_list()).interfaces) == 3
                await client.close()

        asyncio.run(story())


@pytest.mark.parametrize("name", sorted(load_profile("reference").variants))
def test_every_variant_of_the_shipped_profile_can_be_built(name: str) -> None:
    profile = load_profile("reference")
    changes = {key: value for key, value in profile.variants[name].items() if key != "expect"}
    varied = dataclasses.replace(profile, embedded={**(profile.embedded or {}), **changes})
    assert embedded_cluster(varied).config.nodes


def test_a_cluster_that_cannot_start_says_so_where_it_was_asked_for() -> None:
    config = ClusterConfig(nodes=default_nodes(1, "203.0.113.0"), epm_port=1135)
    with pytest.raises(OSError, match="NODE1 could not listen"), EmbeddedCluster(config):
        pytest.fail("it cannot have started")


def test_it_ends_with_its_block_even_when_a_node_is_silent() -> None:
    with EmbeddedCluster(ClusterConfig.from_mapping({"nodes": 1})) as cluster:
        (node,) = cluster.nodes
        line = socket.create_connection((node.address, node.port))
        with socket.create_connection((cluster.admin_address, cluster.admin_port)) as admin:
            admin.sendall(b'{"do": "power-off", "node": "NODE1"}\n')
            assert b'"ok": true' in admin.makefile("rb").readline()
    line.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((node.address, node.port))


def test_the_endpoint_mapper_gets_another_port_where_135_is_taken() -> None:
    address = default_nodes(1)[0].address
    port = choose_epm_port(address)
    with socket.socket() as taken:
        taken.bind((address, port))
        taken.listen()
        assert choose_epm_port(address) != port or port != 135


def test_nodes_have_to_differ() -> None:
    (node,) = default_nodes(1)
    with pytest.raises(ConfigError, match="node names have to differ"):
        ClusterConfig(nodes=(node, node))
    with pytest.raises(ConfigError, match="at least one node"):
        ClusterConfig(nodes=())
