"""WitnessrGetInterfaceList, which returns or waits (MS-SWN 3.1.4.1), and new interfaces (3.1.6.1)."""

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


def test_list_has_every_interface_with_its_flags(bench: Bench) -> None:
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


def test_unavailable_interface_stays_in_the_list(bench: Bench) -> None:
    bench.down()

    states = [interface.state for interface in bench.ask(ASK).interfaces]
    assert states == [InterfaceState.AVAILABLE, InterfaceState.UNAVAILABLE, InterfaceState.AVAILABLE]


def test_list_is_the_one_of_now(bench: Bench) -> None:
    first = bench.ask(ASK)
    assert bench.ask(ASK) is first, "made once, as long as nothing changes"
    bench.down()
    assert [interface.state for interface in bench.ask(ASK).interfaces][1] == InterfaceState.UNAVAILABLE
    bench.up()
    assert bench.ask(ASK) == first


def test_empty_interface_list_returns_no_more_items(make_bench: Callable[..., Bench], bench: Bench) -> None:
    bench.view.known.clear()

    empty = make_bench(bench.view)
    assert empty.ask(ASK) == GetInterfaceListResponse(None, Win32.ERROR_NO_MORE_ITEMS)
    answer = make_bench(bench.view, empty_interface_list="success").ask(ASK)
    assert (answer.result, answer.interfaces) == (0, ())


def test_call_waits_until_an_interface_is_available(bench: Bench) -> None:
    for address, group in NODES:
        bench.down(address, group)
    first, second = bench.call(ASK), bench.call(ASK, association="B")
    assert bench.pending(first, second)

    bench.down()
    assert bench.pending(first, second)

    bench.up()
    assert [i.state for i in bench.answers[first].interfaces] == [0xFF, 1, 0xFF]
    assert bench.answers[second] == bench.answers[first]


def test_new_interface_completes_the_call(bench: Bench) -> None:
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
def test_new_interface_belongs_to_its_node_or_the_group_node(
    bench: Bench, group: str, node: str | None, *, local: bool
) -> None:
    new = IPv4Address("192.0.2.77")
    bench.take(bench.service.interface_event(group, InterfaceState.AVAILABLE, ipv4=new, node=node))

    added = bench.ask(ASK).interfaces[-1]
    assert added.flags == InterfaceFlags.IPV4 | (0 if local else InterfaceFlags.WITNESS)


def test_cancelled_call_gets_no_reply(bench: Bench) -> None:
    for address, group in NODES:
        bench.down(address, group)
    cancelled, other = bench.call(ASK), bench.call(ASK)

    assert bench.service.cancel(cancelled, "A")
    assert not bench.service.cancel(cancelled, "A")
    bench.up()

    assert bench.pending(cancelled)
    assert bench.result(other) == 0


def test_rundown_removes_waiting_calls_of_one_association(bench: Bench) -> None:
    for address, group in NODES:
        bench.down(address, group)
    lost, other = bench.call(ASK, association="B"), bench.call(ASK)

    bench.service.rundown("B")
    bench.up()

    assert bench.pending(lost)
    assert bench.result(other) == 0


def test_option_chooses_what_the_call_waits_for(
    make_bench: Callable[..., Bench],
) -> None:
    waits_for_witness = make_bench(interface_list_waits="witness")
    for address, group in NODES[1:]:
        waits_for_witness.down(address, group)
    waiting = waits_for_witness.call(ASK)
    assert waits_for_witness.pending(waiting), "the local interface is AVAILABLE, but not enough"
    waits_for_witness.up()
    assert waits_for_witness.result(waiting) == 0

    never_waits = make_bench(interface_list_waits="never")
    for address, group in NODES:
        never_waits.down(address, group)
    assert never_waits.ask(ASK).result == 0


def test_lost_connection_removes_its_waiting_calls(bench: Bench) -> None:
    for address, group in NODES:
        bench.down(address, group)
    lost, other = bench.call(ASK, association="B", connection="B1"), bench.call(ASK)

    bench.take(bench.service.disconnected("B1", "B"))
    bench.service.rundown("B")
    bench.up()

    assert bench.pending(lost)
    assert bench.result(other) == 0


def test_removed_interface_is_not_listed(bench: Bench) -> None:
    bench.take(bench.service.address_removed("NODE3", IPv4Address("192.0.2.3")))

    assert [i.group_name for i in bench.ask(ASK).interfaces] == ["NODE1", "NODE2"]


def test_interface_keeps_its_other_address(bench: Bench) -> None:
    by_v4, by_v6 = bench.register_ex(), bench.register_ex(ip_address="2001:db8::2")
    first, second = bench.notify(by_v4), bench.notify(by_v6)

    bench.take(bench.service.address_removed("NODE2", IPv4Address("192.0.2.2")))

    assert bench.notified(first) == (1, (ResourceChange(0xFF, "NODE2"),))
    assert bench.pending(second)
    node2 = bench.ask(ASK).interfaces[1]
    assert (node2.group_name, node2.state, node2.flags) == ("NODE2", 1, 0x2 | 0x4)


def test_ipv6_address_can_be_removed_alone(bench: Bench) -> None:
    by_v4, by_v6 = bench.register_ex(), bench.register_ex(ip_address="2001:db8::2")
    first, second = bench.notify(by_v4), bench.notify(by_v6)

    bench.take(bench.service.address_removed("NODE2", IPv6Address("2001:db8::2")))

    assert bench.notified(second) == (1, (ResourceChange(0xFF, "NODE2"),))
    assert bench.pending(first)
    node2 = bench.ask(ASK).interfaces[1]
    assert (node2.group_name, node2.flags) == ("NODE2", InterfaceFlags.IPV4 | InterfaceFlags.WITNESS)


def test_removing_an_unknown_address_changes_nothing(bench: Bench) -> None:
    waiting = bench.notify(bench.register_ex())

    bench.take(bench.service.address_removed("NODE2", IPv4Address("192.0.2.3")))

    assert bench.pending(waiting)
    assert len(bench.ask(ASK).interfaces) == 3


def test_announced_version_by_option(make_bench: Callable[..., Bench]) -> None:
    versions = {i.version for i in make_bench(announced_version=0xFFFFFFFF).ask(ASK).interfaces}
    assert versions == {0xFFFFFFFF}
    assert {i.version for i in make_bench(version="V1").ask(ASK).interfaces} == {0x00010001}
