"""WitnessrGetInterfaceList, which answers or waits (MS-SWN 3.1.4.1), and new interfaces (3.1.6.1)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest

from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceFlags, InterfaceState
from swn_torture.witness.messages import GetInterfaceListRequest, GetInterfaceListResponse, InterfaceInfo
from swn_torture.witness.notifications import ResourceChange

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.conftest import Bench

ASK = GetInterfaceListRequest()
NODES = [(IPv4Address("192.0.2.1"), "NODE1"), (IPv4Address("192.0.2.2"), "NODE2")]
NODES += [(IPv4Address("192.0.2.3"), "NODE3")]


def test_every_interface_is_listed_with_what_it_has(bench: Bench) -> None:
    answer = bench.ask(ASK)

    v4, v6, witness = InterfaceFlags.IPV4, InterfaceFlags.IPV6, InterfaceFlags.WITNESS
    none = IPv6Address(0)
    assert answer.result == 0
    assert answer.interfaces == (
        InterfaceInfo("NODE1", 0x00020000, 1, IPv4Address("192.0.2.1"), none, v4),
        InterfaceInfo(
            "NODE2",
            0x00020000,
            1,
            IPv4Address("192.0.2.2"),
            IPv6Address("2001:db8::2"),
            v4 | v6 | witness,
        ),
        InterfaceInfo("NODE3", 0x00020000, 1, IPv4Address("192.0.2.3"), none, v4 | witness),
    )


def test_an_unavailable_interface_stays_in_the_list(bench: Bench) -> None:
    bench.down()

    states = [interface.state for interface in bench.ask(ASK).interfaces]
    assert states == [InterfaceState.AVAILABLE, InterfaceState.UNAVAILABLE, InterfaceState.AVAILABLE]


def test_no_interfaces_are_an_error(make_bench: Callable[..., Bench], bench: Bench) -> None:
    bench.view.known.clear()

    empty = make_bench(bench.view)
    assert empty.ask(ASK) == GetInterfaceListResponse(None, Win32.ERROR_NO_MORE_ITEMS)
    answer = make_bench(bench.view, empty_interface_list="success").ask(ASK)
    assert (answer.result, answer.interfaces) == (0, ())


def test_with_nothing_available_the_call_waits_for_something_that_is(bench: Bench) -> None:
    for address, group in NODES:
        bench.down(address, group)
    first, second = bench.call(ASK), bench.call(ASK, association="B")
    assert bench.pending(first, second)

    bench.down()
    assert bench.pending(first, second)

    bench.up()
    assert [i.state for i in bench.answers[first].interfaces] == [0xFF, 1, 0xFF]
    assert bench.answers[second] == bench.answers[first]


def test_a_new_interface_ends_the_wait(bench: Bench) -> None:
    for address, group in NODES:
        bench.down(address, group)
    waiting = bench.call(ASK)

    new = IPv6Address("2001:db8::4")
    bench.take(bench.service.interface_event("NODE4", InterfaceState.AVAILABLE, ipv6=new))

    added = bench.answers[waiting].interfaces[-1]
    assert (added.group_name, added.ipv6) == ("NODE4", new)
    assert added.flags == InterfaceFlags.IPV6 | InterfaceFlags.WITNESS
    assert added.ipv4 == IPv4Address(0)


@pytest.mark.parametrize(
    ("group", "node", "local"),
    [("NODE1", None, True), ("VIRTUAL", "NODE1", True), ("VIRTUAL", None, False), ("NODE1", "NODE3", False)],
)
def test_a_new_interface_belongs_to_the_node_that_is_told_or_else_to_its_groups(
    bench: Bench, group: str, node: str | None, *, local: bool
) -> None:
    new = IPv4Address("192.0.2.77")
    bench.take(bench.service.interface_event(group, InterfaceState.AVAILABLE, ipv4=new, node=node))

    added = bench.ask(ASK).interfaces[-1]
    assert added.flags == InterfaceFlags.IPV4 | (0 if local else InterfaceFlags.WITNESS)


def test_a_waiting_call_can_be_given_up(bench: Bench) -> None:
    for address, group in NODES:
        bench.down(address, group)
    given_up, other = bench.call(ASK), bench.call(ASK)

    assert bench.service.cancel(given_up, "A")
    assert not bench.service.cancel(given_up, "A")
    bench.up()

    assert bench.pending(given_up)
    assert bench.result(other) == 0


def test_the_end_of_an_association_alone_ends_its_waiting_calls(bench: Bench) -> None:
    for address, group in NODES:
        bench.down(address, group)
    lost, other = bench.call(ASK, association="B"), bench.call(ASK)

    bench.service.rundown("B")
    bench.up()

    assert bench.pending(lost)
    assert bench.result(other) == 0


def test_the_local_interface_is_not_enough_for_a_server_that_counts_witness_ones(
    make_bench: Callable[..., Bench],
) -> None:
    patient = make_bench(interface_list_waits="witness")
    for address, group in NODES[1:]:
        patient.down(address, group)
    waiting = patient.call(ASK)
    assert patient.pending(waiting)
    patient.up()
    assert patient.result(waiting) == 0

    hasty = make_bench(interface_list_waits="never")
    for address, group in NODES:
        hasty.down(address, group)
    assert hasty.ask(ASK).result == 0


def test_a_waiting_call_dies_with_its_connection(bench: Bench) -> None:
    for address, group in NODES:
        bench.down(address, group)
    lost, other = bench.call(ASK, association="B", connection="B1"), bench.call(ASK)

    bench.take(bench.service.disconnected("B1", "B"))
    bench.service.rundown("B")
    bench.up()

    assert bench.pending(lost)
    assert bench.result(other) == 0


def test_a_removed_interface_is_listed_no_more(bench: Bench) -> None:
    bench.take(bench.service.address_removed("NODE3", IPv4Address("192.0.2.3")))

    assert [i.group_name for i in bench.ask(ASK).interfaces] == ["NODE1", "NODE2"]


def test_an_interface_outlives_one_of_two_addresses(bench: Bench) -> None:
    by_v4, by_v6 = bench.register_ex(), bench.register_ex(ip_address="2001:db8::2")
    first, second = bench.notify(by_v4), bench.notify(by_v6)

    bench.take(bench.service.address_removed("NODE2", IPv4Address("192.0.2.2")))

    assert bench.notified(first) == (1, (ResourceChange(0xFF, "NODE2"),))
    assert bench.pending(second)
    node2 = bench.ask(ASK).interfaces[1]
    assert (node2.group_name, node2.state, node2.flags) == ("NODE2", 1, 0x2 | 0x4)


def test_the_ipv6_address_of_an_interface_can_go_alone_too(bench: Bench) -> None:
    by_v4, by_v6 = bench.register_ex(), bench.register_ex(ip_address="2001:db8::2")
    first, second = bench.notify(by_v4), bench.notify(by_v6)

    bench.take(bench.service.address_removed("NODE2", IPv6Address("2001:db8::2")))

    assert bench.notified(second) == (1, (ResourceChange(0xFF, "NODE2"),))
    assert bench.pending(first)
    node2 = bench.ask(ASK).interfaces[1]
    assert (node2.group_name, node2.flags) == ("NODE2", InterfaceFlags.IPV4 | InterfaceFlags.WITNESS)


def test_an_address_that_nobody_had_cannot_go(bench: Bench) -> None:
    waiting = bench.notify(bench.register_ex())

    bench.take(bench.service.address_removed("NODE2", IPv4Address("192.0.2.3")))

    assert bench.pending(waiting)
    assert len(bench.ask(ASK).interfaces) == 3


def test_a_server_may_announce_another_version(make_bench: Callable[..., Bench]) -> None:
    versions = {i.version for i in make_bench(announced_version=0xFFFFFFFF).ask(ASK).interfaces}
    assert versions == {0xFFFFFFFF}
    assert {i.version for i in make_bench(version="V1").ask(ASK).interfaces} == {0x00010001}
