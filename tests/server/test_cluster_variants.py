"""Configurations that the variants of the reference profile use."""

from __future__ import annotations

import pytest

from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.cluster import ReferenceCluster
from swn_torture.server.state.shares import EnumerationError


def test_single_family_makes_one_interface_per_address() -> None:
    config = ClusterConfig.from_mapping({"single_family": True, "nodes": 2, "network": "127.7.7.0"})

    assert [[len(i.addresses) for i in node.interfaces] for node in config.nodes] == [[1], [1, 1]]
    assert config.nodes[1].interfaces[0].ipv4 is not None
    assert config.nodes[1].interfaces[1].ipv6 is not None


def test_spare_addresses_belong_to_no_node() -> None:
    config = ClusterConfig.from_mapping({"network": "127.7.7.0"})
    used = {address for node in config.nodes for i in node.interfaces for address in i.addresses}

    spare = config.spare_addresses()

    assert [address.version for address in spare] == [4, 6]
    assert not used & set(spare)


def test_restore_keeps_a_configured_enumeration_failure() -> None:
    cluster = ReferenceCluster(ClusterConfig.from_mapping({"share_enumeration_fails": True}))

    cluster.shares.restore()

    with pytest.raises(EnumerationError):
        cluster.shares.enumerate()
