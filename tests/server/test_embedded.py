"""The cluster in a thread, configured by code and by the reference profile."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket

import pytest

from swn_torture.control import NodeState
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.harness.live_target import embedded_cluster
from swn_torture.server import config as server_config
from swn_torture.server.config import ClusterConfig, ConfigError, choose_epm_port, default_nodes
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.target import load_profile, make_controller
from swn_torture.witness.client import connect


def test_reference_profile_describes_a_cluster() -> None:
    profile = load_profile("reference")
    with embedded_cluster(profile) as cluster:
        assert [node.name for node in cluster.nodes] == ["NODE1", "NODE2", "NODE3"]
        options = cluster.config.options
        assert (options.unused_timeout, options.scan_interval) == (3.0, 0.1)
        controller = make_controller(
            dataclasses.replace(profile, controller={"kind": "reference", "port": cluster.admin_port})
        )

        async def scenario() -> None:
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

        asyncio.run(scenario())


@pytest.mark.parametrize("name", sorted(load_profile("reference").variants))
def test_every_variant_of_the_reference_profile_is_valid(name: str) -> None:
    profile = load_profile("reference")
    changes = {key: value for key, value in profile.variants[name].items() if key != "expect"}
    variant = dataclasses.replace(profile, embedded={**(profile.embedded or {}), **changes})

    default, config = embedded_cluster(profile).config, embedded_cluster(variant).config

    interfaces = [[len(node.interfaces) for node in c.nodes] for c in (default, config)]
    assert dataclasses.replace(config, nodes=default.nodes) != default or interfaces[0] != interfaces[1]


def test_failed_start_is_raised_by_the_with_block() -> None:
    config = ClusterConfig(nodes=default_nodes(1, "203.0.113.0"), epm_port=1135)
    with pytest.raises(OSError, match="NODE1 cannot listen"), EmbeddedCluster(config):
        pytest.fail("the cluster started")


def test_with_block_stops_a_silent_node() -> None:
    with EmbeddedCluster(ClusterConfig.from_mapping({"nodes": 1})) as cluster:
        (node,) = cluster.nodes
        connection = socket.create_connection((node.address, node.port))
        with socket.create_connection((cluster.admin_address, cluster.admin_port)) as admin:
            request = {"token": cluster.admin_token, "do": "power-off", "node": "NODE1"}
            admin.sendall(json.dumps(request).encode() + b"\n")
            assert b'"ok": true' in admin.makefile("rb").readline()
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((node.address, node.port))


def test_endpoint_mapper_uses_another_port_if_135_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    address = default_nodes(1)[0].address
    with socket.create_server((address, 0)) as server:
        well_known = server.getsockname()[1]
        monkeypatch.setattr(server_config, "EPM_PORT", well_known)

        other = choose_epm_port(address)

    assert other not in {0, well_known}
    with socket.create_server((address, other)) as server:
        assert server.getsockname()[1] == other
    assert choose_epm_port(address) == well_known, "the port is free again"


def test_nodes_must_be_unique_and_at_least_one() -> None:
    (node,) = default_nodes(1)
    with pytest.raises(ConfigError, match="node names must be unique"):
        ClusterConfig(nodes=(node, node))
    with pytest.raises(ConfigError, match="at least one node"):
        ClusterConfig(nodes=())
