"""Nodes and their interfaces, destinations of moves, and waiting for a state of the interface list."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swn_torture.casekit.checks import CaseStopped
from swn_torture.casekit.steps.host_nodes import (
    HostNode,
    address_elsewhere,
    addresses_of,
    destination,
    destinations,
    host_nodes,
    index_of,
    make_available,
    make_unavailable,
    other_nodes,
    share_of,
    unaffected_address,
    with_family,
)
from swn_torture.casekit.steps.interface_list import (
    complete_lists,
    is_complete,
    listed_and_hosted_states,
    show_states,
    states_of,
    wait_for_interfaces,
    wait_until_listed,
)
from swn_torture.casekit.witness import NotTestable
from swn_torture.control.base import Capability, NodeState
from swn_torture.target import Expectations, ExpectedShare
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import InterfaceInfo, InterfaceList
from tests.casekit.fakes import FakeCluster, fake_witness, node
from tests.casekit.samples import IPV4, IPV6, OTHER_IPV4, OTHER_IPV6, interface

DOWN = int(InterfaceState.UNAVAILABLE)
UP = int(InterfaceState.AVAILABLE)

# Nodes
# ----------------------------------------------------------------------------------------------------------


def test_flags_decide_which_addresses_are_valid() -> None:
    assert addresses_of(interface(IPV4)) == (IPV4,)
    assert addresses_of(interface(ipv6=IPV6)) == (IPV6,)
    assert addresses_of(interface(IPV4, IPV6)) == (IPV4, IPV6)
    assert addresses_of(interface()) == ()


def test_a_node_is_available_with_all_its_interfaces() -> None:
    assert HostNode("N", (interface(IPV4), interface(OTHER_IPV4))).available
    assert not HostNode("N", (interface(IPV4), interface(OTHER_IPV4, state=DOWN))).available
    assert not HostNode("N", ()).available


def test_the_controller_decides_who_hosts_what() -> None:
    first, second = interface(IPV4, IPV6), interface(OTHER_IPV4)
    cluster = FakeCluster(nodes=[node("B", "2001:db8:0::5"), node("A", "192.0.2.6"), node("C")])

    found = asyncio.run(host_nodes(fake_witness(first, second), cluster))

    assert found == (HostNode("B", (first,)), HostNode("A", (second,)), HostNode("C", ()))
    assert [each.listed_addresses for each in found] == [("2001:db8::5",), ("192.0.2.6",), ()]
    assert found[0].addresses == ("192.0.2.5", "2001:db8::5")


def test_nodes_are_found_in_the_profile_by_name() -> None:
    witness = fake_witness(nodes=["node1", "Node2"])

    assert index_of(witness, "NODE2") == 1
    with pytest.raises(NotTestable, match=r"no \[\[node\]\] for node3"):
        index_of(witness, "node3")


THREE = (interface(IPV4, IPV6), interface(OTHER_IPV4), interface(ipv6=OTHER_IPV6, state=DOWN))
NODES = (node("A", str(IPV4)), node("B", str(OTHER_IPV4)), node("C", str(OTHER_IPV6)))


def test_destinations_are_available_and_single_stack_first() -> None:
    witness, cluster = fake_witness(*THREE), FakeCluster(nodes=NODES)

    assert [host.node for host in asyncio.run(destinations(witness, cluster))] == ["B", "A"]


def test_a_destination_is_another_node() -> None:
    witness, cluster = fake_witness(*THREE), FakeCluster(nodes=NODES)

    found = asyncio.run(destinations(witness, cluster, other_than=str(OTHER_IPV4)))

    assert [host.node for host in found] == ["A"]


def test_too_few_destinations_cannot_be_tested() -> None:
    witness, cluster = fake_witness(*THREE), FakeCluster(nodes=NODES)

    with pytest.raises(NotTestable, match="2 nodes have only AVAILABLE interfaces; the case needs 3"):
        asyncio.run(destinations(witness, cluster, at_least=3))


@pytest.mark.parametrize(("ipv6", "expected"), [(False, "B"), (True, "A")])
def test_a_destination_has_an_address_of_the_family(ipv6: bool, expected: str) -> None:
    witness, cluster = fake_witness(*THREE), FakeCluster(nodes=NODES)

    assert asyncio.run(destination(witness, cluster, ipv6=ipv6)).node == expected


def test_a_destination_without_an_ipv4_address_will_do() -> None:
    witness = fake_witness(interface(ipv6=OTHER_IPV6))
    cluster = FakeCluster(nodes=[node("C", str(OTHER_IPV6))])

    assert asyncio.run(destination(witness, cluster)).node == "C"
    with pytest.raises(NotTestable, match="an IPv4 address"):
        with_family(asyncio.run(destinations(witness, cluster)), 4)


def test_a_case_takes_down_other_nodes_than_the_called_one() -> None:
    cluster = FakeCluster(nodes=NODES)

    found = asyncio.run(other_nodes(fake_witness(*THREE, nodes=["b", "A"]), cluster))

    assert [host.node for host in found] == ["A"]
    with pytest.raises(NotTestable, match="the list of A has no other node"):
        asyncio.run(other_nodes(fake_witness(THREE[0], nodes=["A", "B"]), cluster))


def test_an_address_that_the_event_does_not_concern() -> None:
    host, other = HostNode("A", (interface(IPV4, IPV6),)), HostNode("B", (interface(OTHER_IPV4),))
    witness = fake_witness(*THREE, nodes=["A", "B"])

    assert asyncio.run(unaffected_address(witness, other)) == "192.0.2.5"
    assert asyncio.run(unaffected_address(witness, host)) == "192.0.2.6"
    assert asyncio.run(unaffected_address(fake_witness(interface(IPV4)), host)) is None
    with pytest.raises(NotTestable, match="the list of A has AVAILABLE addresses of A only"):
        asyncio.run(address_elsewhere(fake_witness(interface(IPV4), nodes=["A"]), host))


def test_no_destination_of_the_family_cannot_be_tested() -> None:
    witness, cluster = fake_witness(*THREE), FakeCluster(nodes=NODES)

    with pytest.raises(NotTestable, match="only AVAILABLE interfaces and an IPv6 address"):
        asyncio.run(destination(witness, cluster, other_than=str(IPV4), ipv6=True))


def test_scale_out_shares_come_first() -> None:
    shares = (ExpectedShare("DATA"), ExpectedShare("PROFILES", scale_out=True))
    witness = fake_witness(expect=Expectations(shares=shares))

    assert share_of(witness) == "PROFILES"
    assert share_of(witness, "PROFILES") == "DATA"
    with pytest.raises(NotTestable, match="too few shares"):
        share_of(witness, "PROFILES", "DATA")


@pytest.mark.parametrize(
    ("capabilities", "orders"),
    [
        ((Capability.DISABLE_NODE,), ["disable A", "enable A"]),
        ((Capability.INTERFACE_STATE,), ["interface of A down", "interface of A up"]),
        (
            (Capability.DISABLE_NODE, Capability.INTERFACE_STATE),
            ["interface of A down", "interface of A up"],
        ),
    ],
)
def test_only_the_interfaces_go_down_if_possible(
    capabilities: tuple[Capability, ...], orders: list[str]
) -> None:
    cluster = FakeCluster(*capabilities)

    async def down_and_up() -> None:
        await make_unavailable(cluster, "A")
        await make_available(cluster, "A")

    asyncio.run(down_and_up())

    assert cluster.orders == orders


@pytest.mark.parametrize(
    ("address", "gone", "expected"),
    [
        ("192.0.2.5", False, True),
        ("2001:DB8::5", False, True),
        ("192.0.2.6", False, False),
        ("192.0.2.6", True, True),
        ("192.0.2.5", True, False),
    ],
)
def test_waiting_for_an_address(address: str, gone: bool, expected: bool) -> None:
    witness = fake_witness(outcomes=[result_list(interface(IPV4, IPV6))])

    assert asyncio.run(wait_until_listed(witness, address, gone=gone)) is expected


# The interface list
# ----------------------------------------------------------------------------------------------------------


def test_states_by_address() -> None:
    states = states_of([interface(OTHER_IPV4, state=DOWN), interface(IPV4, IPV6)])

    assert states == {"192.0.2.6": DOWN, "192.0.2.5": UP, "2001:db8::5": UP}
    assert show_states({"192.0.2.6": DOWN, "192.0.2.5": UP}) == (
        "192.0.2.5 AVAILABLE (0x1), 192.0.2.6 UNAVAILABLE (0xFF)"
    )
    assert show_states({}) == "no interface"


def result_list(*interfaces: InterfaceInfo, result: int = 0) -> SimpleNamespace:
    """A response of GetInterfaceList with these interfaces; without any, a null list."""
    return SimpleNamespace(result=result, interface_list=InterfaceList(interfaces) if interfaces else None)


def response(*states: int, result: int = 0) -> SimpleNamespace:
    """A response of GetInterfaceList with an interface in each state; without any, a null list."""
    return result_list(*(interface(IPV4, state=state) for state in states), result=result)


def test_waiting_ends_with_the_expected_list() -> None:
    witness = fake_witness(outcomes=[response(UP), response(), response(DOWN), response(UP)])

    interfaces = asyncio.run(wait_for_interfaces(witness, lambda found: [i.state for i in found] == [DOWN]))

    assert [interface.state for interface in interfaces] == [DOWN]
    assert len(cast("Any", witness).client.called) == 3


def test_waiting_ends_at_the_event_deadline() -> None:
    witness = fake_witness(outcomes=[response(UP)])

    interfaces = asyncio.run(wait_for_interfaces(witness, lambda found: not found))

    assert [interface.state for interface in interfaces] == [UP]


def test_a_pending_call_is_an_empty_list() -> None:
    assert asyncio.run(wait_for_interfaces(fake_witness(outcomes=[None]), bool)) == ()


def test_a_failed_call_stops_the_case() -> None:
    witness = fake_witness(outcomes=[response(result=5)])

    with pytest.raises(CaseStopped):
        asyncio.run(wait_for_interfaces(witness, bool))

    assert [check.requirement for check in witness.spec.violations] == ["SWN-3.1.4.1-returns-success"]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((node("A", "192.0.2.5"),), UP),
        ((node("A", "192.0.2.5", state=NodeState.DOWN),), DOWN),
        ((node("A"), node("B", "192.0.2.5")), UP),
        ((node("A"),), DOWN),
    ],
)
def test_a_node_in_service_makes_its_addresses_available(nodes: tuple[Any, ...], expected: int) -> None:
    witness = fake_witness(interface(IPV4), interface(OTHER_IPV4))

    states = asyncio.run(listed_and_hosted_states(witness, FakeCluster(nodes=nodes), ["192.0.2.5"]))

    assert states == ({"192.0.2.5": UP}, {"192.0.2.5": expected})


@pytest.mark.parametrize(("state", "expected"), [(NodeState.DOWN, DOWN), (NodeState.OK, {})])
def test_a_list_of_one_node_may_wait(state: NodeState, expected: Any) -> None:
    witness, cluster = fake_witness(outcomes=[None]), FakeCluster(nodes=[node("A", "192.0.2.5", state=state)])

    listed, hosted = asyncio.run(listed_and_hosted_states(witness, cluster, ["192.0.2.5"], may_wait=True))

    assert listed == ({"192.0.2.5": DOWN} if expected == DOWN else {})
    assert hosted == {"192.0.2.5": DOWN if expected == DOWN else UP}


@pytest.mark.parametrize(
    ("listed", "complete"),
    [("abc", True), ("bc", True), ("abcd", False), ("ab", False), ("", False)],
)
def test_a_list_need_not_have_the_nodes_own_addresses(listed: str, complete: bool) -> None:
    assert is_complete(listed, hosted="abc", own="a") is complete
    assert complete_lists("abc", "a") == ("a, b, c", "without its own: b, c")


def test_an_address_that_is_not_listed_has_no_state() -> None:
    cluster = FakeCluster(nodes=[node("A", "192.0.2.5")])

    states = asyncio.run(listed_and_hosted_states(fake_witness(), cluster, ["192.0.2.5"]))

    assert states == ({}, {"192.0.2.5": UP})
