"""The addresses and interfaces of nodes, a management address, and a mapper with authentication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.epm.messages import EPM
from swn_torture.dcerpc.errors import BindRefused
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.server.config import ClusterConfig, ConfigError
from tests.server.scenarios import WITNESS, client_of, run_in_cluster

if TYPE_CHECKING:
    from swn_torture.server.nodes.cluster import ReferenceCluster


def families(**settings: Any) -> list[list[str]]:
    """For each node the families of its interfaces, ``4``, ``6`` or ``46``."""
    config = ClusterConfig.from_mapping({"network": "127.7.7.0", **settings})
    return [
        ["".join(str(address.version) for address in each.addresses) for each in node.interfaces]
        for node in config.nodes
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [["4"], ["46"], ["4"]]),
        ({"families": "mixed", "single_family": True}, [["4"], ["4", "6"], ["4"]]),
        ({"families": "ipv4"}, [["4"], ["4"], ["4"]]),
        ({"families": "ipv6"}, [["6"], ["6"], ["6"]]),
        ({"families": "ipv6", "single_family": True}, [["6"], ["6"], ["6"]]),
        ({"families": "dual-stack"}, [["46"], ["46"], ["46"]]),
        ({"families": "dual-stack", "single_family": True}, [["4", "6"]] * 3),
        ({"nodes": 2, "interfaces": 3}, [["4"] * 3, ["46"] * 3]),
    ],
    ids=str,
)
def test_families_of_the_nodes(settings: dict[str, Any], expected: list[list[str]]) -> None:
    assert families(**settings) == expected


def test_interfaces_have_different_addresses() -> None:
    config = ClusterConfig.from_mapping({"network": "127.7.7.0", "nodes": 2, "interfaces": 2})

    addresses = [[str(a) for i in node.interfaces for a in i.addresses] for node in config.nodes]
    assert addresses[0] == ["127.7.7.1", "127.7.7.3"]
    assert addresses[1][::2] == ["127.7.7.2", "127.7.7.4"]


def test_first_node_has_the_management_address_of_the_settings() -> None:
    config = ClusterConfig.from_mapping({"management": "127.7.9.9", "network": "127.7.7.0", "nodes": 2})

    assert [node.address for node in config.nodes] == ["127.7.9.9", "127.7.7.2"]


def test_management_address_that_the_host_does_not_have_is_ignored() -> None:
    config = ClusterConfig.from_mapping({"management": "192.0.2.77", "network": "127.7.7.0"})

    assert [node.management for node in config.nodes] == [None, None, None]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"families": "both"}, "families must be one of mixed, ipv4, ipv6, dual-stack, not 'both'"),
        ({"management": "node1"}, "management must be an IP address, not 'node1'"),
        ({"interfaces": 0}, "interfaces must be a number from 1 to 4, not 0"),
        ({"interfaces": True}, "interfaces must be a number from 1 to 4"),
        ({"nodes": 200, "interfaces": 2}, "200 nodes with 2 interfaces each do not fit"),
        ({"event_delay": "long"}, "event_delay must be of type float"),
    ],
)
def test_invalid_setting_is_explained(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ClusterConfig.from_mapping(settings)


def test_ipv6_nodes_are_reached_by_their_management_address() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node = cluster.nodes["NODE2"]
        assert node.address.endswith(".2")
        assert node.address not in {str(address) for address in cluster.addresses_of("NODE2")}
        async with client_of(node) as client:
            listed = (await client.get_interface_list()).interfaces
        assert [str(each.ipv4) for each in listed] == ["0.0.0.0"] * 3
        await cluster.restart("NODE2")
        async with client_of(node) as client:
            assert len((await client.get_interface_list()).interfaces) == 3

    run_in_cluster(scenario, families="ipv6")


@pytest.mark.parametrize("accepts", [False, True])
def test_mapper_accepts_authentication_if_configured(accepts: bool) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node = cluster.nodes["NODE1"]
        logon: dict[str, Any] = {
            "credentials": WITNESS,
            "auth_type": AuthType.NTLM,
            "level": AuthLevel.INTEGRITY,
        }
        async with await connect(node.address, node.epm_port) as rpc:
            if accepts:
                await rpc.bind(EPM, host="SWNCLUSTER", **logon)
                return
            with pytest.raises(BindRefused):
                await rpc.bind(EPM, host="SWNCLUSTER", **logon)

    run_in_cluster(scenario, mapper_authentication=accepts)
