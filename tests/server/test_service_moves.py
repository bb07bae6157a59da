"""WitnessrAsyncNotify tells of moves and changed addresses (MS-SWN 3.1.4.4, 3.1.6.2 to 3.1.6.4)."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from swn_torture.server.state.interfaces import Interface, InterfaceTable
from swn_torture.server.state.options import Options
from swn_torture.server.state.registrations import Owner, Registration
from swn_torture.server.state.responses import Responder
from swn_torture.server.state.service import Selection
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


def test_a_client_move_lists_the_destination_with_its_state(bench: Bench) -> None:
    handle = bench.register_ex()
    waiting = bench.notify(handle)
    bench.move("NODE3")
    assert bench.notified(waiting) == (CLIENT_MOVE, addresses(IpAddrInfo(V4 | ONLINE, NODE3)))

    bench.down(NODE3, "NODE3")
    bench.move("NODE3")
    notified = bench.notified(bench.notify(handle))
    assert notified == (CLIENT_MOVE, addresses(IpAddrInfo(V4 | OFFLINE, NODE3)))


def test_only_the_latest_move_counts(bench: Bench) -> None:
    handle = bench.register()
    bench.move("NODE3")
    bench.move("NODE1")

    assert bench.notified(bench.notify(handle)) == (CLIENT_MOVE, addresses(IpAddrInfo(V4 | ONLINE, NODE1)))
    assert bench.pending(bench.notify(handle))


def test_a_move_goes_by_client_and_reaches_all_its_registrations(bench: Bench) -> None:
    mine = [bench.notify(bench.register(client="client01")), bench.notify(bench.register_ex())]
    other = bench.notify(bench.register_ex(client="CLIENT02"))

    bench.move("NODE1", client="CLIENT01")

    assert all(bench.notified(token)[0] == CLIENT_MOVE for token in mine)
    assert bench.pending(other)


def test_a_dual_stack_destination_has_an_entry_for_each_family(
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
def test_a_destination_is_a_group_an_address_or_a_host(
    bench: Bench, destination: str, entries: list[IpAddrInfo]
) -> None:
    waiting = bench.notify(bench.register_ex())
    bench.move(destination)
    assert bench.notified(waiting) == (CLIENT_MOVE, addresses(*entries))


def test_a_lost_destination_can_be_a_null_response(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(lost_destination="null-response", destination_forms="group")
    waiting = bench.notify(bench.register_ex())
    bench.move("192.0.2.3")
    assert bench.answers[waiting] == AsyncNotifyResponse(None, Win32.ERROR_SUCCESS)


def test_a_group_may_have_several_interfaces(bench: Bench, make_bench: Callable[..., Bench]) -> None:
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


def test_a_share_move_reaches_those_who_asked_for_the_share(bench: Bench) -> None:
    asked = bench.notify(bench.register_ex(share_name="PROFILES"))
    silent = [
        bench.notify(bench.register_ex()),
        bench.notify(bench.register_ex(share_name="DATA")),
        bench.notify(bench.register_ex(share_name="PROFILES", client="CLIENT02")),
        bench.notify(bench.register()),
    ]

    bench.move_share("NODE3", share="profiles")

    assert bench.notified(asked) == (SHARE_MOVE, addresses(IpAddrInfo(V4, NODE3)))
    assert bench.pending(*silent)


def test_an_ip_change_reaches_those_who_asked_for_it(bench: Bench) -> None:
    asked = bench.notify(bench.register_ex(flags=1))
    silent = [
        bench.notify(bench.register_ex(flags=0xFFFFFFFE)),
        bench.notify(bench.register_ex(flags=1, client="CLIENT02")),
        bench.notify(bench.register()),
    ]
    assert bench.service.clients_watching_addresses() == ["CLIENT01", "CLIENT02"]

    bench.change_ip("NODE2")

    entries = addresses(IpAddrInfo(V4, NODE2), IpAddrInfo(V6, ipv6=NODE2_V6))
    assert bench.notified(asked) == (IP_CHANGE, entries)
    assert bench.pending(*silent)


def test_states_in_address_lists_by_option(make_bench: Callable[..., Bench]) -> None:
    everywhere = make_bench(address_states="all")
    waiting = everywhere.notify(everywhere.register_ex(share_name="PROFILES"))
    everywhere.move_share("NODE3")
    assert everywhere.notified(waiting) == (SHARE_MOVE, addresses(IpAddrInfo(V4 | ONLINE, NODE3)))

    nowhere = make_bench(address_states="none")
    waiting = nowhere.notify(nowhere.register_ex())
    nowhere.move("NODE3")
    assert nowhere.notified(waiting) == (CLIENT_MOVE, addresses(IpAddrInfo(V4, NODE3)))


def test_a_version_1_server_moves_clients_without_states(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(version="V1")
    waiting = bench.notify(bench.register())
    bench.move_share("NODE3")
    bench.change_ip("NODE3")
    assert bench.pending(waiting)
    bench.move("NODE3")
    assert bench.notified(waiting) == (CLIENT_MOVE, addresses(IpAddrInfo(V4, NODE3)))
    assert bench.service.next_deadline() is None


def test_windows_sends_a_client_to_the_owner_of_its_share(make_bench: Callable[..., Bench]) -> None:
    from swn_torture.server.state.shares import Share, ShareType

    bench = make_bench(initial_share_move=True)
    bench.view.shares.replace((Share("PROFILES", ShareType.CLUSTER_SOFS, owner="NODE3"),))
    away = bench.register_ex(share_name="PROFILES", ip_address=str(NODE2))
    there = bench.register_ex(share_name="PROFILES", ip_address=str(NODE3))

    assert bench.notified(bench.notify(away)) == (SHARE_MOVE, addresses(IpAddrInfo(V4, NODE3)))
    assert bench.pending(bench.notify(there))


def test_windows_sends_nobody_whose_share_or_address_it_does_not_know(
    make_bench: Callable[..., Bench],
) -> None:
    from swn_torture.server.state.shares import Share, ShareType

    bench = make_bench(initial_share_move=True, unknown_share="accept", address_check="never")
    bench.view.shares.replace((Share("DATA", ShareType.CLUSTER_FS, owner="NODE3"),))

    nowhere = bench.register_ex(share_name="DATA", ip_address="192.0.2.99")
    nothing = bench.register_ex(share_name="NOSUCH")

    assert bench.pending(bench.notify(nowhere), bench.notify(nothing))


def test_a_move_of_no_share_concerns_only_those_who_named_one(bench: Bench) -> None:
    named = bench.notify(bench.register_ex(share_name="PROFILES"))
    unnamed = bench.notify(bench.register_ex())

    bench.take(bench.service.share_move(Selection(client_name="CLIENT01"), "NODE3"))

    assert bench.notified(named)[0] == SHARE_MOVE
    assert bench.pending(unnamed)


def test_a_state_that_is_unknown_sets_no_flag_of_its_own(bench: Bench) -> None:
    unknown = InterfaceState.UNKNOWN
    bench.take(bench.service.interface_event("NODE2", unknown, ipv4=NODE2, ipv6=NODE2_V6))
    waiting = bench.notify(bench.register_ex(ip_address=str(NODE1)))

    bench.move("NODE2")

    entries = addresses(IpAddrInfo(V4, NODE2), IpAddrInfo(V6, ipv6=NODE2_V6))
    assert bench.notified(waiting) == (CLIENT_MOVE, entries)


@pytest.mark.parametrize(("server", "client"), [("V1", 0x10001), ("V1", 0x20000), ("V2", 0x10001)])
def test_version_1_on_either_side_knows_neither_share_moves_nor_ip_changes(server: str, client: int) -> None:
    """By 3.1.4.4, whatever came to be pending."""
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
