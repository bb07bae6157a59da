"""WitnessrAsyncNotify and the events that feed it (MS-SWN 3.1.4.4, 3.1.6)."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from swn_torture.server.state.methods import RpcFault
from swn_torture.server.state.service import Selection
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    RespAsyncNotify,
    UnRegisterRequest,
)
from swn_torture.witness.notifications import ResourceChange
from tests.server.notifications import (
    CHANGE,
    CLIENT_MOVE,
    DOWN,
    IP_CHANGE,
    NODE2,
    NODE2_V6,
    NODE3,
    SHARE_MOVE,
    UP,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.conftest import Bench

# Resource changes


def test_a_change_answers_the_call_that_waits_for_it(bench: Bench) -> None:
    for make in (bench.register, bench.register_ex):
        handle = make()
        waiting = bench.notify(handle)
        assert bench.pending(waiting)
        bench.down()
        assert bench.notified(waiting) == (CHANGE, (DOWN,))
        assert bench.pending(bench.notify(handle)), "it is told once"
        bench.ask(UnRegisterRequest(handle))


def test_changes_that_happened_meanwhile_come_together_and_in_order(bench: Bench) -> None:
    handle = bench.register_ex()
    bench.down()
    bench.up()
    bench.down()

    assert bench.notified(bench.notify(handle)) == (CHANGE, (DOWN, UP, DOWN))
    assert bench.pending(bench.notify(handle))


def test_only_the_registered_address_and_the_own_names_count(bench: Bench) -> None:
    elsewhere = bench.notify(bench.register_ex(ip_address=str(NODE3)))
    by_v6 = bench.notify(bench.register_ex(ip_address=str(NODE2_V6)))
    by_alias = bench.notify(bench.register_ex(net_name="swncluster.swn.test"))

    bench.down()
    assert bench.pending(elsewhere, by_v6)
    assert bench.notified(by_alias) == (CHANGE, (DOWN,))

    bench.take(bench.service.interface_event("NODE2", InterfaceState.AVAILABLE, ipv4=NODE2, ipv6=NODE2_V6))
    assert bench.notified(by_v6) == (CHANGE, (UP,))
    assert bench.pending(elsewhere)


def test_an_event_for_another_network_name_is_not_told(bench: Bench) -> None:
    waiting = bench.notify(bench.register_ex())

    bench.take(
        bench.service.interface_event("NODE2", InterfaceState.UNAVAILABLE, ipv4=NODE2, net_name="OTHER")
    )

    assert bench.pending(waiting)


def test_a_new_interface_is_no_change(bench: Bench) -> None:
    bench.view.shares.replace(())
    waiting = bench.notify(bench.register(ip_address="192.0.2.4"))

    bench.up(IPv4Address("192.0.2.4"), "NODE4")
    assert bench.pending(waiting)

    bench.down(IPv4Address("192.0.2.4"), "NODE4")
    assert bench.notified(waiting) == (CHANGE, (ResourceChange(0xFF, "NODE4"),))


def test_unknown_is_told_as_available(bench: Bench, make_bench: Callable[..., Bench]) -> None:
    for server, change_type in ((bench, 1), (make_bench(unknown_state="unknown"), 0)):
        waiting = server.notify(server.register_ex())
        server.take(server.service.interface_event("NODE2", InterfaceState.UNKNOWN, ipv4=NODE2))
        assert server.notified(waiting) == (CHANGE, (ResourceChange(change_type, "NODE2"),))


def test_a_repeated_state_is_announced_unless_suppressed(
    bench: Bench, make_bench: Callable[..., Bench]
) -> None:
    waiting = bench.notify(bench.register_ex())
    bench.up()
    assert bench.notified(waiting) == (CHANGE, (UP,))

    quiet = make_bench(repeated_state="suppress")
    waiting = quiet.notify(quiet.register_ex())
    quiet.up()
    assert quiet.pending(waiting)


@pytest.mark.parametrize(
    ("choice", "name"), [("group", "NODE2"), ("net-name", "SWNCLUSTER"), ("address", "192.0.2.2")]
)
def test_the_three_sources_of_a_resource_name(
    make_bench: Callable[..., Bench], choice: str, name: str
) -> None:
    bench = make_bench(resource_name=choice)
    waiting = bench.notify(bench.register_ex(net_name="swncluster"))
    bench.down()
    assert bench.notified(waiting) == (CHANGE, (ResourceChange(0xFF, name),))


def test_whom_a_change_concerns_by_option(make_bench: Callable[..., Bench]) -> None:
    old = make_bench(change_concerns="group-and-address")
    waiting = old.notify(old.register_ex())
    old.down()
    assert old.pending(waiting), "by revision 11.0 the NetName would have to be the group's"

    asked_for_the_group = old.notify(old.register_ex(net_name="swncluster.swn.test"))
    event = old.service.interface_event
    old.take(event("SWNCLUSTER.swn.test", InterfaceState.AVAILABLE, ipv4=IPv4Address("192.0.2.2")))
    assert old.pending(asked_for_the_group), "a new interface is no change"
    old.take(event("SWNCLUSTER.swn.test", InterfaceState.UNAVAILABLE, ipv4=IPv4Address("192.0.2.2")))
    assert old.notified(asked_for_the_group)[1] == (ResourceChange(0xFF, "SWNCLUSTER.swn.test"),)
    assert old.pending(waiting)

    samba = make_bench(change_concerns="address")
    waiting = samba.notify(samba.register_ex())
    samba.take(samba.service.interface_event("NODE2", InterfaceState.UNAVAILABLE, ipv4=NODE2, net_name="X"))
    assert samba.notified(waiting) == (CHANGE, (DOWN,))


def test_aliases_can_share_one_notification(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(aliases_told_once=True)
    by_name = bench.notify(bench.register_ex())
    by_alias = bench.notify(bench.register_ex(net_name="swncluster.swn.test"))
    other = bench.notify(bench.register_ex(client="CLIENT02"))

    bench.down()

    assert bench.notified(by_name) == bench.notified(other) == (CHANGE, (DOWN,))
    assert bench.pending(by_alias)


def test_an_event_may_name_an_interface_by_its_ipv6_address_alone(bench: Bench) -> None:
    by_v4 = bench.notify(bench.register_ex())
    by_v6 = bench.notify(bench.register_ex(ip_address=str(NODE2_V6)))

    bench.take(bench.service.interface_event("NODE2", InterfaceState.UNAVAILABLE, ipv6=NODE2_V6))

    assert bench.notified(by_v6) == (CHANGE, (DOWN,))
    assert bench.pending(by_v4)
    assert len(bench.service.interfaces) == 3


# Several things at once


def test_several_kinds_come_one_by_one(bench: Bench) -> None:
    handle = bench.register_ex(share_name="PROFILES", flags=1)
    bench.change_ip("NODE1")
    bench.move_share("NODE3")
    bench.move("NODE3")
    bench.down()
    bench.up()

    notified = [bench.notified(bench.notify(handle)) for _ in range(4)]

    assert [kind for kind, _ in notified] == [CHANGE, CLIENT_MOVE, SHARE_MOVE, IP_CHANGE]
    assert notified[0][1] == (DOWN, UP)
    assert bench.pending(bench.notify(handle))


def test_the_last_kind_can_overwrite_the_others(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(several_kinds="last-overwrites", share_and_ip_end_wait=False)
    handle = bench.register_ex(share_name="PROFILES")
    waiting = bench.notify(handle)
    bench.move_share("NODE3")
    assert bench.pending(waiting), "share moves do not end the wait on this server"
    bench.down()
    assert bench.notified(waiting)[0] == SHARE_MOVE
    assert bench.pending(bench.notify(handle))


def test_of_three_kinds_the_last_overwrites_both_others(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(several_kinds="last-overwrites")
    handle = bench.register_ex(share_name="PROFILES")
    bench.down()
    bench.move("NODE3")
    bench.move_share("NODE3")

    assert bench.notified(bench.notify(handle))[0] == SHARE_MOVE
    assert bench.pending(bench.notify(handle))


def test_a_client_move_brings_along_what_ends_no_wait_itself(make_bench: Callable[..., Bench]) -> None:
    """One event then answers two calls, each in its turn."""
    order = ["share-move", "client-move", "change", "ip-change"]
    bench = make_bench(share_and_ip_end_wait=False, pending_order=order)
    handle = bench.register_ex(share_name="PROFILES")
    first, second = bench.notify(handle), bench.notify(handle)
    bench.move_share("NODE3")
    assert bench.pending(first, second)

    bench.move("NODE3")

    assert bench.notified(first)[0] == SHARE_MOVE
    assert bench.notified(second)[0] == CLIENT_MOVE


def test_several_calls_are_served_in_turn(bench: Bench) -> None:
    handle = bench.register_ex()
    first, second = bench.notify(handle), bench.notify(handle)

    bench.down()
    assert bench.notified(first) == (CHANGE, (DOWN,))
    assert bench.pending(second)

    bench.up()
    assert bench.notified(second) == (CHANGE, (UP,))


def test_several_calls_can_all_hear_the_same(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(several_calls="all")
    handle = bench.register_ex()
    tokens = bench.notify(handle), bench.notify(handle)
    bench.down()
    assert [bench.notified(token) for token in tokens] == [(CHANGE, (DOWN,))] * 2


# Calls given up, connections gone


def test_a_cancelled_call_costs_neither_registration_nor_event(bench: Bench) -> None:
    handle = bench.register_ex()
    cancelled = bench.notify(handle)

    assert bench.service.cancel(cancelled, "A")
    assert not bench.service.cancel(cancelled, "A")
    bench.down()

    assert bench.pending(cancelled)
    assert bench.notified(bench.notify(handle)) == (CHANGE, (DOWN,))


def test_an_association_lives_until_its_last_connection(bench: Bench) -> None:
    handle = bench.register_ex(connection="A1")
    lost = bench.notify(handle, connection="A1")

    bench.take(bench.service.disconnected("A1", "A"))
    kept = bench.notify(handle, connection="A2")
    bench.down()
    assert bench.pending(lost)
    assert bench.notified(kept) == (CHANGE, (DOWN,))

    bench.service.rundown("A")
    assert len(bench.service.registrations) == 0


def test_a_registration_can_die_with_its_connection(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(rundown="connection")
    handle = bench.register_ex(connection="A1")
    waiting = bench.notify(handle, connection="A2")

    bench.take(bench.service.disconnected("A1", "A"))

    assert bench.result(waiting) == Win32.ERROR_NOT_FOUND
    assert bench.result(bench.notify(handle, connection="A2")) == Win32.ERROR_NOT_FOUND


def test_rundown_forgets_the_handles_of_an_association_only(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(unknown_handle="fault")
    gone = bench.register_ex(association="A")
    kept = bench.register_ex(association="B")

    bench.service.rundown("A")

    assert len(bench.service.registrations) == 1
    assert bench.ask(UnRegisterRequest(kept), association="B").result == 0
    # An RPC runtime still knows the handle that it has not been given back, and no other.
    assert bench.ask(UnRegisterRequest(kept), association="B").result == Win32.ERROR_INVALID_PARAMETER
    assert isinstance(bench.ask(UnRegisterRequest(gone), association="A"), RpcFault)


# By order of an administrator


def test_an_administrator_can_unregister_and_answer(bench: Bench) -> None:
    handle, other = bench.register_ex(), bench.register_ex(client="CLIENT02")
    waiting, left = bench.notify(handle), bench.notify(other)
    forced = AsyncNotifyResponse(RespAsyncNotify(77, 3, b"raw"), 0x1234)
    key = Selection(key=str(handle.uuid).upper())

    bench.take(bench.service.force_response(key, forced))
    assert bench.answers[waiting] == forced
    bench.take(bench.service.force_response(key, forced))
    assert bench.answers[bench.notify(handle)] == forced

    again = bench.notify(handle)
    bench.take(bench.service.force_unregister(key))
    assert bench.result(again) == Win32.ERROR_NOT_FOUND
    assert bench.pending(left)


def test_the_order_of_kinds_can_be_chosen(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(pending_order=["ip-change", "share-move", "client-move", "change"])
    handle = bench.register_ex(share_name="PROFILES", flags=1)
    bench.down()
    bench.move("NODE3")
    bench.move_share("NODE3")
    bench.change_ip("NODE3")
    notified = [bench.notified(bench.notify(handle))[0] for _ in range(4)]
    assert notified == [IP_CHANGE, SHARE_MOVE, CLIENT_MOVE, CHANGE]


def test_a_selection_can_be_narrower_than_a_client(bench: Bench) -> None:
    here = bench.notify(bench.register_ex(ip_address="2001:db8:0::2"))
    other_address = bench.notify(bench.register_ex(ip_address=str(NODE3)))
    other_name = bench.notify(bench.register_ex(net_name="swncluster.swn.test"))

    bench.move("NODE1", ip_address="2001:db8::2", net_name="swncluster")

    assert bench.notified(here)[0] == CLIENT_MOVE
    assert bench.pending(other_address, other_name)

    bench.move("NODE1", net_name="SwnCluster.swn.test")

    assert bench.notified(other_name)[0] == CLIENT_MOVE
    assert bench.pending(other_address)


def test_a_selection_by_key_ignores_case_as_uuids_do(bench: Bench) -> None:
    bench.service.new_uuid = lambda: UUID("abcdefab-cdef-abcd-efab-cdefabcdefab")
    one = bench.notify(bench.register_ex())
    bench.service.new_uuid = lambda: UUID(int=1)
    other = bench.notify(bench.register_ex())

    bench.move("NODE1", key="ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB")

    assert bench.notified(one)[0] == CLIENT_MOVE
    assert bench.pending(other)


def test_an_address_that_is_none_is_selected_as_it_was_written(bench: Bench) -> None:
    """Without a scale-out share it does not matter what a client registers for."""
    somewhere = bench.notify(bench.register_ex(ip_address="somewhere"))
    elsewhere = bench.notify(bench.register_ex(ip_address="elsewhere"))

    bench.move("NODE1", ip_address="somewhere")

    assert bench.notified(somewhere)[0] == CLIENT_MOVE
    assert bench.pending(elsewhere)
