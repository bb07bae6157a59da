"""The address plan of a lab and of its instances."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from swn_torture import lab
from swn_torture.lab.addresses import (
    MAX_BLOCK,
    MAX_NODES_OF_INSTANCE,
    client_addresses,
    controller_addresses,
    spare_addresses,
    with_prefix,
)
from swn_torture.lab.config import NodeConfig
from swn_torture.lab.variants import INSTANCES


def addresses_of(node: NodeConfig) -> list[str]:
    return [*node.fixed_addresses, *node.public_addresses]


def test_no_address_is_used_twice() -> None:
    nodes = [NodeConfig(index) for index in range(lab.MAX_NODES)]
    for block in range(1, MAX_BLOCK + 1):
        nodes += [NodeConfig(index, block) for index in range(MAX_NODES_OF_INSTANCE)]
    every = [*client_addresses(ipv6=True), *controller_addresses()]
    every += [address for block in range(MAX_BLOCK + 1) for address in spare_addresses(block)]
    every += [address for node in nodes for address in addresses_of(node)]
    assert len({ip_address(address) for address in every}) == len(every)


@pytest.mark.parametrize("block", [0, 1, MAX_BLOCK])
def test_each_node_has_two_public_addresses_of_each_family(block: int) -> None:
    for index in range(MAX_NODES_OF_INSTANCE):
        families = [ip_address(each).version for each in NodeConfig(index, block).public_addresses]
        assert families == [4, 4, 6, 6]


@pytest.mark.parametrize("block", [0, 3])
def test_ctdb_gives_each_node_one_address_of_each_row(block: int) -> None:
    """CTDB goes round the nodes from the highest address on, so that each node gets the planned ones."""
    nodes = [NodeConfig(index, block) for index in range(3)]
    every = sorted((ip_address(a) for n in nodes for a in n.public_addresses), key=int, reverse=True)
    given = {str(address): position % 3 for position, address in enumerate(every)}
    assert given == {address: node.index for node in nodes for address in node.public_addresses}


def test_addresses_without_ipv6() -> None:
    node = NodeConfig(0, ipv6=False)
    assert all(ip_address(address).version == 4 for address in addresses_of(node))
    assert client_addresses(ipv6=False) == client_addresses(ipv6=True)[:4]


def test_prefix_lengths_put_a_block_on_one_link() -> None:
    assert with_prefix("203.0.113.17") == "203.0.113.17/24"
    assert with_prefix("fd53:574e:0:1::10") == "fd53:574e:0:1::10/48"


def test_instances_have_blocks_of_their_own() -> None:
    blocks = [instance.block for instance in INSTANCES.values()]
    assert len({0, *blocks}) == len(blocks) + 1
    assert max(blocks) <= MAX_BLOCK
    assert all(each.settings["nodes"] <= MAX_NODES_OF_INSTANCE for each in INSTANCES.values())
