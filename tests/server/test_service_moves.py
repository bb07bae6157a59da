"""WitnessrAsyncNotify with moves and IP changes (MS-SWN 3.1.4.4, 3.1.6.2 to 3.1.6.4)."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from swn_torture.server.state.interfaces import Interface, InterfaceTable
from swn_torture.server.state.options import Options
from swn_torture.server.state.registrations import Owner, Registration
from swn_torture.server.state.responses import Responder
from swn_torture.server.state.service import Selection
from swn_torture.server.state.shares import Share, ShareType
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AsyncNotifyResponse,
)
from swn_torture.witness.notifications import IpAddrInfo
from tests.server.notifications import (
    CLIENT_MOVE,
    IP_CHANGE,
    NODE1,
    NODE2,
    NODE2_V6,
    NODE3,
    OFFLINE,
    ONLINE,
    SHARE_MOVE,
    V4,
    V6,
    addresses,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.conftest import Bench


def test_client_move_lists_the_destination_with_its_state(bench: Bench) -> None:
    handle = bench.register_ex()
    waiting = bench.notify(handle)
    bench.move("NODE3")
    assert bench.notified(waiting) == (CLIENT_MOVE, addresses(IpAddrInfo(V4 | ONLINE, NODE3)))

    bench.down(NODE3, "NODE3")
    bench.move("NODE3")
    move = bench.notified(bench.notify(handle))
    assert move == (CLIENT_MOVE, addresses(IpAddrInfo(V4 | OFFLINE, NODE3)))


def test_later_client_move_replaces_the_earlier_one(bench: Bench) -> None:
    handle = bench.register()
    bench.move("NODE3")
    bench.move("NODE1")

    assert bench.notified(bench.notify(handle)) == (CLIENT_MOVE, addresses(IpAddrInfo(V4 | ONLINE, NODE1)))
    assert bench.pending(bench.notify(handle))


def test_client_move_reaches_all_registrations_of_a_client(bench: Bench) -> None:
    tokens = [bench.notify(bench.register(client="client01")), bench.notify(bench.register_ex())]
    other = bench.notify(bench.register_ex(client="CLIENT02"))

    bench.move("NODE1", client="CLIENT01")

    assert [bench.notified(token)[0] for token in tokens] == [CLIENT_MOVE] * 2
    assert bench.pending(other)


def test_dual_stack_destination_has_an_entry_per_family(
    bench: Bench, make_bench: Callable[..., Bench]
) -> None:
    waiting = bench.notify(bench.register_ex())
    bench.move("NODE2")
    both = addresses(IpAddrInfo(V4 | ONLINE, NODE2), IpAddrInfo(V6 | ONLINE, ipv6=NODE2_V6))
    assert bench.notified(waiting) == (CLIENT_MOVE, both)

    literal = make_bench(dual_stack="one-entry")
    waiting = literal.notify(literal.register_ex())
    literal.move("NODE2")
    one = addresses(IpAddrInfo(V4 | V6 | ONLINE, NODE2, NODE2_V6))
    assert literal.notified(waiting) == (CLIENT_MOVE, one)


@pytest.mark.parametrize(
    ("destination", "entries"),
    [
        ("node3", [IpAddrInfo(V4 | ONLINE, NODE3)]),
        ("192.0.2.2", [IpAddrInfo(V4 | ONLINE, NODE2)]),
        ("2001:0db8::0002", [IpAddrInfo(V6 | ONLINE, ipv6=NODE2_V6)]),
        ("node3.swn.test", [IpAddrInfo(V4 | ONLINE, NODE3)]),
        ("nowhere", []),
    ],
)
def test_destination_can_be_group_address_or_host(
    bench: Bench, destination: str, entries: list[IpAddrInfo]
) -> None:
    waiting = bench.notify(bench.register_ex())
    bench.move(destination)
    assert bench.notified(waiting) == (CLIENT_MOVE, addresses(*entries))


def test_unknown_destination_can_give_a_null_response(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(lost_destination="null-response", destination_forms="group")
    waiting = bench.notify(bench.register_ex())
    bench.move("192.0.2.3")
    assert bench.answers[waiting] == AsyncNotifyResponse(None, Win32.ERROR_SUCCESS)


def test_option_chooses_the_interfaces_of_a_group(bench: Bench, make_bench: Callable[..., Bench]) -> None:
    second = IPv4Address("192.0.2.33")
    bench.view.known.append(Interface("NODE3", second, state=InterfaceState.UNAVAILABLE, node="NODE3"))
    for choice, entries in (
        ("all", [IpAddrInfo(V4 | ONLINE, NODE3), IpAddrInfo(V4 | OFFLINE, second)]),
        ("available", [IpAddrInfo(V4 | ONLINE, NODE3)]),
    ):
        server = make_bench(bench.view, destination_states=choice)
        waiting = server.notify(server.register_ex())
        server.move("NODE3")
        assert server.notified(waiting) == (CLIENT_MOVE, addresses(*entries))


def test_share_move_reaches_registrations_of_the_share(bench: Bench) -> None:
    registered = bench.notify(bench.register_ex(share_name="PROFILES"))
    others = [
        bench.notify(bench.register_ex()),
        bench.notify(bench.register_ex(share_name="DATA")),
        bench.notify(bench.register_ex(share_name="PROFILES", client="CLIENT02")),
        bench.notify(bench.register()),
    ]

    bench.move_share("NODE3", share="profiles")

    assert bench.notified(registered) == (SHARE_MOVE, addresses(IpAddrInfo(V4, NODE3)))
    assert bench.pending(*others)


def test_ip_change_reaches_registrations_with_the_flag(bench: Bench) -> None:
    registered = bench.notify(bench.register_ex(flags=1))
    others = [
        bench.notify(bench.register_ex(flags=0xFFFFFFFE)),
        bench.notify(bench.register_ex(flags=1, client="CLIENT02")),
        bench.notify(bench.register()),
    ]
    assert bench.service.clients_with_ip_notifications() == {"CLIENT01", "CLIENT02"}

    bench.change_ip("NODE2")

    entries = addresses(IpAddrInfo(V4, NODE2), IpAddrInfo(V6, ipv6=NODE2_V6))
    assert bench.notified(registered) == (IP_CHANGE, entries)
    assert bench.pending(*others)


def test_option_chooses_state_flags_in_address_lists(make_bench: Callable[..., Bench]) -> None:
    with_states = make_bench(address_states="all")
    waiting = with_states.notify(with_states.register_ex(share_name="PROFILES"))
    with_states.move_share("NODE3")
    assert with_states.notified(waiting) == (SHARE_MOVE, addresses(IpAddrInfo(V4 | ONLINE, NODE3)))

    without_states = make_bench(address_states="none")
    waiting = without_states.notify(without_states.register_ex())
    without_states.move("NODE3")
    assert without_states.notified(waiting) == (CLIENT_MOVE, addresses(IpAddrInfo(V4, NODE3)))


def test_version_1_server_sends_client_moves_without_states(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(version="V1")
    waiting = bench.notify(bench.register())
    bench.move_share("NODE3")
    bench.change_ip("NODE3")
    assert bench.pending(waiting)
    bench.move("NODE3")
    assert bench.notified(waiting) == (CLIENT_MOVE, addresses(IpAddrInfo(V4, NODE3)))
    assert bench.service.next_deadline() is None


def test_initial_share_move_names_the_owner_of_the_share(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(initial_share_move=True)
    bench.view.shares.replace((Share("PROFILES", ShareType.CLUSTER_SOFS, owner="NODE3"),))
    at_other_node = bench.register_ex(share_name="PROFILES", ip_address=str(NODE2))
    at_owner = bench.register_ex(share_name="PROFILES", ip_address=str(NODE3))

    assert bench.notified(bench.notify(at_other_node)) == (SHARE_MOVE, addresses(IpAddrInfo(V4, NODE3)))
    assert bench.pending(bench.notify(at_owner))


def test_no_initial_share_move_for_unknown_share_or_address(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(initial_share_move=True, unknown_share="accept", address_check="never")
    bench.view.shares.replace((Share("DATA", ShareType.CLUSTER_FS, owner="NODE3"),))

    unknown_address = bench.register_ex(share_name="DATA", ip_address="192.0.2.99")
    unknown_share = bench.register_ex(share_name="NOSUCH")

    assert bench.pending(bench.notify(unknown_address), bench.notify(unknown_share))


def test_share_move_without_share_needs_a_registered_share(bench: Bench) -> None:
    with_share = bench.notify(bench.register_ex(share_name="PROFILES"))
    without_share = bench.notify(bench.register_ex())

    bench.take(bench.service.share_move(Selection(client_name="CLIENT01"), "NODE3"))

    assert bench.notified(with_share)[0] == SHARE_MOVE
    assert bench.pending(without_share)


def test_unknown_state_sets_no_state_flag(bench: Bench) -> None:
    unknown = InterfaceState.UNKNOWN
    bench.take(bench.service.interface_event("NODE2", unknown, ipv4=NODE2, ipv6=NODE2_V6))
    waiting = bench.notify(bench.register_ex(ip_address=str(NODE1)))

    bench.move("NODE2")

    entries = addresses(IpAddrInfo(V4, NODE2), IpAddrInfo(V6, ipv6=NODE2_V6))
    assert bench.notified(waiting) == (CLIENT_MOVE, entries)


@pytest.mark.parametrize(("server", "client"), [("V1", 0x10001), ("V1", 0x20000), ("V2", 0x10001)])
def test_version_1_gets_neither_share_moves_nor_ip_changes(server: str, client: int) -> None:
    """By 3.1.4.4, even if a share move and an IP change are pending."""
    registration = Registration(
        key=NULL_HANDLE,
        owner=Owner("A"),
        version=client,
        client_name="C",
        net_name="N",
        ip_address="192.0.2.2",
        client_move="NODE3",
        share_move="NODE3",
        ip_change="NODE3",
    )
    responder = Responder(InterfaceTable(), Options.from_mapping({"version": server}))

    assert responder.deliverable(registration) == ["client-move"]
